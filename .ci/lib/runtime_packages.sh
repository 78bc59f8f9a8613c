#!/usr/bin/env bash
# runtime_packages.sh PROGRAM…: the Debian packages whose shared libraries these programs load, one a line. An image
# installs just those; their names hold version numbers that differ between Debian's releases.
set -euo pipefail
if (($# == 0)); then
  echo "usage: runtime_packages.sh PROGRAM…" >&2
  exit 2
fi
# ldd prints /lib/… where /lib is a link to /usr/lib: dpkg knows a file by either name, depending on its package.
ldd "$@" | awk '$2 == "=>" {print $3}' | sort -u | while read -r library; do
  owner=$(dpkg-query -S "$library" 2>/dev/null || dpkg-query -S "$(realpath "$library")" 2>/dev/null ||
    dpkg-query -S "/usr$library" 2>/dev/null || dpkg-query -S "${library#/usr}") || {
    echo "no package has $library" >&2
    exit 1
  }
  owner=${owner%%: *}
  echo "${owner%%:*}"
done | sort -u
