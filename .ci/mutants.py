#!/usr/bin/env python3
"""Runs the mutants of tests/mutants/mutants.yaml in a copy of the work tree, and fails when one survives.

mutants.py BUILD_PRESET JOBS [NAME…]: those whose name contains one of the NAMEs, or all. Each test program first runs
as it is: a test that fails without a mutant proves nothing about one.
mutants.py --check: only whether each still fits the code.
"""

import os
import shutil
import subprocess
import sys

import yaml

LIST = "tests/mutants/mutants.yaml"
COPY = "build/mutants/src"
TIMEOUT = 900  # of a test program, in seconds; a mutant that hangs is found
KEYS = {"name", "file", "old", "new", "test", "filter"}


def fail(text):
    print(f"mutants: {text}", file=sys.stderr)
    sys.exit(2)


def problems(mutants, read):
    """What is wrong with the list itself; `read(path)` gives a file's text or None."""
    found, names = [], set()
    for mutant in mutants:
        name = mutant.get("name", "?")
        if set(mutant) != KEYS:
            found.append(f"{name}: has the keys {sorted(mutant)}, not {sorted(KEYS)}")
            continue
        if name in names:
            found.append(f"{name}: stands twice")
        names.add(name)
        text = read(mutant["file"])
        times = None if text is None else text.count(mutant["old"])
        if times != 1:
            found.append(f"{name}: its `old` stands {times or 0} times in {mutant['file']}, not once")
        if mutant["old"] == mutant["new"]:
            found.append(f"{name}: changes nothing")
    return found


def copy_sources():
    """Only what differs is written, so that an earlier build goes on from there."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    wanted = {path for path in listed if path and os.path.isfile(path)}
    for folder, _, files in os.walk(COPY):
        if os.path.relpath(folder, COPY).split(os.sep)[0] == "build":
            continue
        for file in files:
            path = os.path.join(folder, file)
            if os.path.relpath(path, COPY) not in wanted:
                os.remove(path)
    for path in wanted:
        target = os.path.join(COPY, path)
        with open(path, "rb") as file:
            content = file.read()
        if os.path.exists(target):
            with open(target, "rb") as file:
                if file.read() == content:
                    continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(path, target)


def read_file(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


class Builder:
    def __init__(self, preset, jobs):
        self.folder = os.path.join(COPY, "build", preset)
        self.preset, self.jobs = preset, jobs

    def configure(self):
        done = subprocess.run(["cmake", "--preset", self.preset], cwd=COPY, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode != 0:
            fail("cmake could not configure:\n" + done.stdout.decode(errors="replace"))

    def build(self, targets):
        """The compiler's words when it fails, else None."""
        done = subprocess.run(["cmake", "--build", self.folder, "--parallel", self.jobs, "--target", *targets],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return None if done.returncode == 0 else done.stdout.decode(errors="replace")[-3000:]

    def passes(self, mutant):
        """Whether the test passes, and how many tests it ran."""
        program = os.path.join(self.folder, "bin", mutant["test"])
        try:
            done = subprocess.run([program, "--gtest_filter=" + mutant["filter"], "--gtest_fail_fast",
                                   "--gtest_brief=1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            return False, "it did not end in time"
        text = done.stdout.decode(errors="replace")
        if "0 tests from 0 test suites ran" in text:
            fail(f"{mutant['name']}: the filter {mutant['filter']} of {mutant['test']} chooses no test")
        return done.returncode == 0, text[-2000:]


def check_unchanged(builder, mutants):
    tests = sorted({mutant["test"] for mutant in mutants})
    print(f"building {', '.join(tests)} as they are", flush=True)
    if (words := builder.build(tests)) is not None:
        fail("the build fails without a mutant:\n" + words)
    for test, chosen in sorted({(mutant["test"], mutant["filter"]) for mutant in mutants}):
        passed, text = builder.passes({"name": "unchanged", "test": test, "filter": chosen})
        if not passed:
            fail(f"{test} {chosen} fails without a mutant:\n{text}")


def run(builder, mutant):
    path = os.path.join(COPY, mutant["file"])
    text = read_file(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(mutant["old"], mutant["new"]))
    try:
        if (words := builder.build([mutant["test"]])) is not None:
            return "does not compile", words
        passed, _ = builder.passes(mutant)
        return ("SURVIVES" if passed else "killed"), ""
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def main():
    mutants = yaml.safe_load(read_file(LIST))
    if found := problems(mutants, read_file):
        fail(f"{LIST} is not right:\n" + "\n".join(found))
    if sys.argv[1] == "--check":
        print(f"mutants: {len(mutants)} fit the code", file=sys.stderr)
        return 0
    preset, jobs, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    if names:
        mutants = [m for m in mutants if any(name in m["name"] for name in names)]
        if not mutants:
            fail(f"no mutant's name contains {' or '.join(names)}")
    copy_sources()
    builder = Builder(preset, jobs)
    builder.configure()
    check_unchanged(builder, mutants)
    bad = 0
    for mutant in mutants:
        outcome, words = run(builder, mutant)
        print(f"{outcome:9} {mutant['name']} ({mutant['test']})" + ("\n" + words if words else ""), flush=True)
        bad += outcome != "killed"
    print(f"{len(mutants) - bad} killed, {bad} not")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
