#!/usr/bin/env python3
"""Counts the tests of CTest's JUnit reports; the last line is "N passed, N failed".

A test that did not run is no passed test. With --strict (CI) it is a failed one. A report that is missing or broken
means that CTest itself failed, and counts as one failure. No test at all is a failure too.
"""

import argparse
import sys
import xml.etree.ElementTree as ElementTree


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--strict", action="store_true", help="a test that did not run has failed")
    parser.add_argument("--left-out", type=int, default=0, help="tests that could not even be chosen: failed")
    parser.add_argument("reports", nargs="+")
    args = parser.parse_args()

    passed, failed, not_run = 0, [], []
    for path in args.reports:
        try:
            cases = ElementTree.parse(path).getroot().iter("testcase")
        except (OSError, ElementTree.ParseError) as error:
            failed.append(f"{path}: CTest left no report ({error})")
            continue
        for case in cases:
            status = case.get("status")
            if status == "run":
                passed += 1
            elif status == "fail":
                failed.append(case.get("name"))
            else:
                not_run.append(case.get("name"))

    if not_run:
        print(f"{len(not_run)} did not run:")
        print("\n".join(f"  {name}" for name in not_run))
        if args.strict:
            failed += not_run
    if failed:
        print("failed:")
        print("\n".join(f"  {name}" for name in failed))
    count = len(failed) + args.left_out
    if passed + count == 0:
        print("no test ran")
    print(f"{passed} passed, {count} failed", flush=True)
    return 0 if passed and not count else 1


if __name__ == "__main__":
    sys.exit(main())
