#!/usr/bin/env python3
"""Keeps the include direction: producer and worker → common → common/base, and no cycles.

    common/base      sees nothing else
    common/sources   sees base and plain HTTP data (common/http/http_message.h); one API's folder never sees another's
    common/config    sees base and sources
    common/*         never sees producer, worker, tests or bench
    producer, worker never see each other
    rdkafka is included in common/kafka only, libpq in common/pg, curl and Boost in common/http (Boost for servers in
    tests/support too), OpenSSL's ciphers in common/crypto (its digests in common/http and common/sources/lichess too)
    Tests (*_test.cc, and the fixtures in folders named testing/) see tests/support/ besides; nothing else sees testing/

Includes are written from the root. Neither files nor folders may depend on each other in a circle; the files that put a
program together (main.cc, registry.cc) and tests stand above the folders and do not count for that.
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import project_files  # noqa: E402

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)

# A library's headers, and the folders whose files may include them.
LIBRARIES = [
    ("rdkafka", re.compile(r"^(librdkafka/|rdkafka)"), ["common/kafka/"]),
    ("libpq", re.compile(r"^(libpq|postgresql/|pqxx|pg_config|postgres)"), ["common/pg/"]),
    ("libcurl", re.compile(r"^curl/"), ["common/http/"]),
    ("OpenSSL", re.compile(r"^openssl/"), ["common/crypto/", "common/http/", "common/sources/lichess/"]),
    ("Boost.Beast and Asio", re.compile(r"^boost/(beast|asio)"), ["common/http/", "tests/support/"]),
]

# What the files of a folder may include of the project, as prefixes; the first folder that fits decides. A file may
# always include its own folder's.
PROGRAM_PARTS = ["common/", "proto/"]
ALLOWED = [
    ("common/base/", []),
    ("common/sources/", ["common/base/", "common/http/http_message.h", "common/sources/"]),
    ("common/config/", ["common/base/", "common/sources/"]),
    ("common/", PROGRAM_PARTS),
    ("producer/", PROGRAM_PARTS + ["producer/"]),
    ("worker/", PROGRAM_PARTS + ["worker/"]),
    ("tests/", PROGRAM_PARTS + ["producer/", "worker/", "tests/"]),
    ("bench/", PROGRAM_PARTS + ["producer/", "worker/", "tests/", "bench/"]),
]


def is_test(path):
    return path.endswith("_test.cc") or "/testing/" in path or path.startswith(("tests/", "bench/"))


def is_top(path):
    """A file that nothing below it depends on, so that it closes no circle."""
    return path.endswith("_test.cc") or os.path.basename(path) in ("main.cc", "registry.cc")


def strip_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def allowed_prefixes(path):
    for prefix, allowed in ALLOWED:
        if path.startswith(prefix):
            extra = ["tests/support/"] if is_test(path) else []
            return allowed + extra + [os.path.dirname(path) + "/"]
    return None


def api_of(path):
    """The API whose folder a file is in, else None."""
    match = re.match(r"common/sources/([^/]+)/", path)
    return match.group(1) if match else None


def check_one(path, quoted, system, exists):
    """Findings for one file; `exists(path)` tells whether an include names a file of the project."""
    for header in quoted + system:
        for name, pattern, folders in LIBRARIES:
            if pattern.match(header) and not path.startswith(tuple(folders)):
                yield f"{path}: includes <{header}>; only {' and '.join(folders)} may include {name}"
    allowed = allowed_prefixes(path)
    if allowed is None:
        yield f"{path}: stands in no known folder"
        return
    for header in quoted:
        if not exists(header):
            yield f'{path}: "{header}" names no file from the project\'s root'
        elif not header.startswith(tuple(allowed)):
            yield f'{path}: must not include "{header}" ({describe(path)})'
        elif "/testing/" in header and not is_test(path):
            yield f'{path}: must not include "{header}", which is for tests'
        elif api_of(header) and not is_top(path) and api_of(path) != api_of(header):
            yield f'{path}: must not include "{header}": an API\'s folder is its own'


def describe(path):
    for prefix, allowed in ALLOWED:
        if path.startswith(prefix):
            return f"{prefix} sees {', '.join(allowed) or 'only itself'}"
    return ""


def find_cycle(edges):
    """One circle of a graph {node: set of nodes} as a list, or None."""
    done, stack = set(), []

    def visit(node):
        if node in stack:
            return stack[stack.index(node) :] + [node]
        if node in done:
            return None
        stack.append(node)
        for target in sorted(edges.get(node, ())):
            circle = visit(target)
            if circle:
                return circle
        stack.pop()
        done.add(node)
        return None

    for node in sorted(edges):
        circle = visit(node)
        if circle:
            return circle
    return None


def check(files):
    """Findings for {path: text} of the project's .h and .cc (and .proto) files."""
    def exists(header):
        return header in files or re.sub(r"\.pb\.h$", ".proto", header) in files

    findings, file_edges, folder_edges = [], {}, {}
    for path, text in sorted(files.items()):
        if not path.endswith((".h", ".cc")):
            continue
        includes = INCLUDE.findall(strip_comments(text))
        quoted = [q for q, _ in includes if q]
        system = [s for _, s in includes if s]
        findings += check_one(path, quoted, system, exists)
        file_edges[path] = {h for h in quoted if h in files}
        if is_top(path):
            continue
        folder = os.path.dirname(path)
        folder_edges.setdefault(folder, set()).update(
            os.path.dirname(h) for h in quoted if exists(h) and os.path.dirname(h) != folder)
    for kind, edges in (("files", file_edges), ("folders", folder_edges)):
        circle = find_cycle(edges)
        if circle:
            findings.append(f"{kind} include each other in a circle: {' → '.join(circle)}")
    return findings


def main():
    files = project_files.read("*.h", "*.cc", "*.proto")
    findings = check(files)
    for finding in findings:
        print(finding)
    print(f"layers: {len(files)} files, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
