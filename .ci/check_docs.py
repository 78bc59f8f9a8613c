#!/usr/bin/env python3
"""What the documents name exists: relative links, and paths of the project in `code` (a name without extension may be that
of a .h, .cc, .sh or .py file). Paths with <placeholders> are left alone.
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import project_files  # noqa: E402

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE = re.compile(r"`([^`\s]+)`")
FOLDERS = ("common/", "producer/", "worker/", "tests/", "bench/", "proto/", "docs/", "cmake/", "tools/", "helm/", ".ci/")
EXTENSIONS = ("", ".h", ".cc", ".sh", ".py")


def check(files, exists):
    """Findings for {path: text} of Markdown files; `exists(path)` = there is such a file or folder."""
    findings = []
    for path, text in sorted(files.items()):
        prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        for link in LINK.findall(prose):
            target = os.path.normpath(os.path.join(os.path.dirname(path), link))
            if "://" not in link and not exists(target):
                findings.append(f"{path}: the link {link} leads nowhere")
        for name in CODE.findall(prose):
            if not name.startswith(FOLDERS) or re.search(r"[<>*{}]", name):
                continue
            if not any(exists(name.rstrip("/") + extension) for extension in EXTENSIONS):
                findings.append(f"{path}: there is no {name}")
    return findings


def main():
    files = project_files.read("*.md")
    findings = check(files, lambda path: os.path.exists(os.path.join(project_files.ROOT, path)))
    for finding in findings:
        print(finding)
    print(f"docs: {len(files)} files, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
