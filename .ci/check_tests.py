#!/usr/bin/env python3
"""Tests cannot silently stop running.

Every *_test.cc is named in a weir_test() call, with a known label, in a CMakeLists.txt that the build reaches; and no
test is disabled or skips itself. Only a fixture may skip, and only one that fails where WEIR_REQUIRE_KAFKA is set.
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import project_files  # noqa: E402

LABELS = {"unit", "pg", "kafka", "e2e", "fault", "chaos"}
FORBIDDEN = re.compile(r"\bDISABLED_\w*|\bGTEST_SKIP\b|\bGTEST_ALLOW_UNINSTANTIATED\w*")


def strip_comments(text):
    return re.sub(r"#[^\n]*", "", text)


def expand_foreach(text):
    """Writes out foreach(x a b c) loops, so that what they add is seen."""
    loop = re.compile(r"foreach\s*\(\s*(\w+)\s+([^)]*)\)(.*?)endforeach\s*\([^)]*\)", re.DOTALL)
    while True:
        match = loop.search(text)
        if not match:
            return text
        name, items, body = match.groups()
        items = [item for item in items.split() if item not in ("IN", "ITEMS", "LISTS")]
        text = text[: match.start()] + "".join(
            body.replace("${%s}" % name, item) for item in items) + text[match.end() :]


def reached(lists):
    """The CMakeLists.txt files that add_subdirectory() leads to, from the root's."""
    todo, seen = ["CMakeLists.txt"], set()
    while todo:
        path = todo.pop()
        if path in seen or path not in lists:
            continue
        seen.add(path)
        folder = os.path.dirname(path)
        for name in re.findall(r"add_subdirectory\s*\(\s*([^\s)]+)", lists[path]):
            todo.append(os.path.normpath(os.path.join(folder, name, "CMakeLists.txt")))
    return seen


def section(arguments, keyword):
    """The values after a keyword of weir_test, up to the next keyword."""
    keywords = {"SOURCES", "DEPS", "LABELS", "ENVIRONMENT", "TIMEOUT", "SERIAL", "KAFKA_TOO"}
    values, inside = [], False
    for word in arguments:
        if word in keywords:
            inside = word == keyword
        elif inside:
            values += word.strip('"').split(";")
    return values


def check(files):
    """Findings for {path: text} of *_test.cc and CMakeLists.txt files."""
    lists = {p: expand_foreach(strip_comments(t)) for p, t in files.items() if os.path.basename(p) == "CMakeLists.txt"}
    findings, registered = [], {}
    for path in sorted(lists.keys() - reached(lists)):
        findings.append(f"{path}: no add_subdirectory() leads here")
    for path in sorted(reached(lists)):
        for call in re.findall(r"\bweir_test\s*\(([^)]*)\)", lists[path]):
            arguments = call.split()
            labels = section(arguments, "LABELS")
            # gtest_discover_tests gives a test the first label only, and drops the others silently.
            if len(labels) != 1 or labels[0] not in LABELS:
                findings.append(f"{path}: weir_test({arguments[0]}) has the labels {labels}, not one of {sorted(LABELS)}")
            for source in section(arguments, "SOURCES"):
                source = source.replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")
                source = os.path.normpath(os.path.join(os.path.dirname(path), source))
                if source in registered:
                    findings.append(f"{source}: in {registered[source]} and in {arguments[0]}")
                registered[source] = arguments[0]
    for path, text in sorted(files.items()):
        if not path.endswith((".cc", ".h")):
            continue
        if path.endswith("_test.cc") and path not in registered:
            findings.append(f"{path}: no weir_test() names it, so it never runs")
        for number, line in enumerate(text.splitlines(), 1):
            match = FORBIDDEN.search(line)
            fixture = not path.endswith("_test.cc") and "WEIR_REQUIRE_KAFKA" in text
            if match and not (fixture and match.group(0) == "GTEST_SKIP"):
                findings.append(f"{path}:{number}: {match.group(0)}: a test runs or fails")
    return findings


def main():
    files = project_files.read("*.cc", "*.h", "CMakeLists.txt", "**/CMakeLists.txt")
    findings = check(files)
    for finding in findings:
        print(finding)
    tests = sum(path.endswith("_test.cc") for path in files)
    print(f"tests: {tests} test files, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
