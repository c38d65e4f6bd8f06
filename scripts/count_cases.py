#!/usr/bin/env python3
"""Answers questions of ./check about a build folder's tests.

  count_cases.py count TESTLOG          sums the cases of a run: "N passed, M failed", exit code 0 or 1; before it,
                                        for each test that could not run, a line "left out: NAME: why", and for each
                                        that failed, a line "failed: NAME" and its first failure
  count_cases.py select BUILD A,B       the names of the tests that are called, or in a suite called, A or B
  count_cases.py targets BUILD NAME…    the ninja targets that these tests run

A test prints the number of its cases on a line, in doctest's form or in that of this project's scripts:
  [doctest] test cases: 5 | 4 passed | 1 failed | 0 skipped
  cases: 4 passed, 1 failed
A test without such a line counts as one case. A test that failed without reporting a failed case (a crash, a
timeout) counts as one failed case, so no failure is lost.
"""
import json
import os
import re
import subprocess
import sys

DOCTEST = re.compile(r"\[doctest\] test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed")
SCRIPT = re.compile(r"^cases: (\d+) passed, (\d+) failed", re.MULTILINE)
FAILURE = re.compile(r"^TEST CASE:|^FAILED|ERROR|^Traceback|runtime error")
LEFT_OUT = re.compile(r"^left out: (.*)", re.MULTILINE)
FAILURE_LINES = 14
GOOD = {"OK", "EXPECTEDFAIL"}


def cases(test):
    """(passed, failed) of one line of testlog.json."""
    if test["result"] == "SKIP":
        return 0, 0
    told = DOCTEST.findall(test.get("stdout") or "") + SCRIPT.findall(test.get("stdout") or "")
    passed = sum(int(one[0]) for one in told)
    failed = sum(int(one[1]) for one in told)
    if test["result"] not in GOOD:
        failed = max(failed, 1)
    elif passed + failed == 0:
        passed = 1
    return passed, failed


def first_failure(test):
    """The lines of the test's output from its first failure on."""
    lines = [line for part in ("stdout", "stderr") for line in (test.get(part) or "").splitlines()]
    begin = next((at for at, line in enumerate(lines) if FAILURE.search(line)), max(0, len(lines) - FAILURE_LINES))
    return lines[begin:begin + FAILURE_LINES]


def why_left_out(test):
    why = LEFT_OUT.search(test.get("stdout") or "")
    return why[1] if why else "it did not run"


def count(path):
    if not os.path.exists(path):
        print("no test ran\n0 passed, 1 failed")
        return 1
    passed = failed = 0
    with open(path, encoding="utf-8") as log:
        tests = [json.loads(line) for line in log]
    print_lines(f"left out: {test['name']}: {why_left_out(test)}" for test in tests if test["result"] == "SKIP")
    for test in tests:
        more = cases(test)
        passed += more[0]
        failed += more[1]
        if more[1]:
            print(f"failed: {test['name']} ({test['result'].lower()})")
            print_lines(f"    {line[:160]}" for line in first_failure(test))
    if passed + failed == 0:
        failed = 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def tests_of(build):
    listed = subprocess.run(["meson", "introspect", "--tests", build], check=True, capture_output=True)
    return json.loads(listed.stdout)


def in_suite(test, wanted):
    # meson writes a suite as "project:suite".
    return test["name"] in wanted or any(suite.split(":")[-1] in wanted for suite in test["suite"])


def targets(build, names):
    root = os.path.abspath(build)
    listed = subprocess.run(["meson", "introspect", "--targets", build], check=True, capture_output=True)
    by_id = {target["id"]: target for target in json.loads(listed.stdout)}
    found = set()
    for test in tests_of(build):
        if test["name"] in names:
            needed = [by_id[one]["filename"] for one in test.get("depends", []) if one in by_id]
            found.update(os.path.relpath(file, root) for files in needed for file in files)
    return sorted(found)


def print_lines(lines):
    sys.stdout.writelines(line + "\n" for line in lines)  # of an empty list: no line


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "count":
        return count(arguments[1])
    if len(arguments) == 3 and arguments[0] == "select":
        wanted = set(arguments[2].split(","))
        print_lines(test["name"] for test in tests_of(arguments[1]) if in_suite(test, wanted))
        return 0
    if len(arguments) >= 2 and arguments[0] == "targets":
        print_lines(targets(arguments[1], set(arguments[2:])))
        return 0
    print(__doc__, file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
