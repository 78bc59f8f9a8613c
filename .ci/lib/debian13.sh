# shellcheck shell=bash
# shellcheck disable=SC2154  # root: see common.sh
# Builds and tests in a Debian 13 chroot, which is kept for the next time.

# The mirror that this machine already uses, so that a local one is used here too; nothing = debootstrap's own choice.
debian_mirror() {
  # shellcheck disable=SC2016  # apt-get expands
  apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -m 1 '/debian$' || true
}

make_chroot() {
  local chroot=$1 mirror
  if [[ -e $chroot/.complete ]]; then return; fi
  say "making a Debian 13 chroot in $chroot"
  rm -rf -- "$chroot"
  mkdir -p -- "$(dirname -- "$chroot")"
  mirror=$(debian_mirror)
  debootstrap --variant=minbase --include=ca-certificates,git trixie "$chroot" ${mirror:+"$mirror"} \
    >"$chroot.log" 2>&1 || { tail -n 20 "$chroot.log" >&2; die "debootstrap failed; see $chroot.log"; }
  touch "$chroot/.complete"
}

# The sources as they are in the work tree, not the build: an older build in the chroot goes on from there.
copy_sources() {
  local chroot=$1 work=$1/src/weir
  mkdir -p "$work"
  find "$work" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf -- {} +
  git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    if [[ -e $file ]]; then printf '%s\0' "$file"; fi
  done | tar --null --no-recursion -T - -c | tar -x -C "$work" --no-same-owner
  for file in resolv.conf hosts; do cp -L "/etc/$file" "$chroot/etc/$file"; done
}

# debian13 [CTEST ARGS]: default the unit tests. Mounts and processes live in namespaces of their own and end with it.
debian13() {
  if ! is_root; then
    say "a chroot needs root"
    exec sudo --preserve-env=XDG_CACHE_HOME,WEIR_JOBS,CI "$root/dev" debian13 "$@"
  fi
  local chroot=${XDG_CACHE_HOME:-$HOME/.cache}/weir/debian13 started=$SECONDS
  if (($# == 0)); then set -- -L '^unit$'; fi
  setup_packages chroot
  make_chroot "$chroot"
  copy_sources "$chroot"
  say "building and testing on Debian $(cat "$chroot/etc/debian_version")"
  # shellcheck disable=SC2016  # the inner shell expands
  unshare --mount --pid --fork --kill-child sh -ec '
    chroot=$1
    shift
    mount --make-rprivate /
    mount -t proc proc "$chroot/proc"
    mount --rbind /dev "$chroot/dev"
    mount -t tmpfs tmpfs "$chroot/tmp"
    exec chroot "$chroot" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      TERM="${TERM:-dumb}" LANG=C.UTF-8 http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" \
      WEIR_JOBS="${WEIR_JOBS:-}" CCACHE_DIR=/root/.cache/ccache CI="${CI:-}" /src/weir/dev test "$@"
  ' sh "$chroot" "$@"
  say "Debian 13: $((SECONDS - started)) s"
}
