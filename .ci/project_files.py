"""The files of the work tree, for the checks beside this file."""

import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def names(*patterns):
    """Paths from the root: tracked files, and new ones that are not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode()
    return sorted({name for name in listed.split("\0") if name and os.path.isfile(os.path.join(ROOT, name))})


def read(*patterns):
    """{path: text}."""
    files = {}
    for name in names(*patterns):
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            files[name] = file.read()
    return files
