#!/usr/bin/env python3
"""Every JSON and YAML file can be read, with no key twice.

Left out: fixtures, which may be broken on purpose, and Helm's templates, which are no YAML yet.
"""

import json
import os
import re
import sys

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import project_files  # noqa: E402

LEFT_OUT = re.compile(r"(^|/)(fixtures|testdata|templates)/")


class StrictLoader(yaml.SafeLoader):
    """YAML's reader takes the last of two equal keys; a mistake more often than a wish."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is here twice", node.start_mark)
        return super().construct_mapping(node, deep)


def unique_pairs(pairs):
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key {key!r} is here twice")
    return dict(pairs)


def check(files):
    """Findings for {path: text}."""
    findings = []
    for path, text in sorted(files.items()):
        if LEFT_OUT.search(path):
            continue
        try:
            if path.endswith(".json"):
                json.loads(text, object_pairs_hook=unique_pairs)
            else:
                list(yaml.load_all(text, StrictLoader))
        except (ValueError, yaml.YAMLError) as error:
            findings.append(f"{path}: {error}")
    return findings


def main():
    files = project_files.read("*.json", "*.yaml", "*.yml", ".clang-format", ".clang-tidy")
    findings = check(files)
    for finding in findings:
        print(finding)
    print(f"data: {len(files)} files, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
