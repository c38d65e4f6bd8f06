#!/usr/bin/env python3
"""./check must not lose a failure: how scripts/count_cases.py counts what tests say. And the scripts' options."""
import io
import json
import pathlib
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import count_cases  # noqa: E402

DOCTEST = ("[doctest] test cases:  5 |  {} passed | {} failed | 0 skipped\n"
           "[doctest] assertions: 9 | 9 passed | 0 failed |")


def last_line(*tests):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as log:
        log.writelines(json.dumps({"name": "a", "result": result, "stdout": stdout}) + "\n" for result, stdout in tests)
        log.flush()
        told = io.StringIO()
        with redirect_stdout(told):
            code = count_cases.count(log.name)
    return told.getvalue().splitlines()[-1], code


def run(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


CASES = {
    "doctest's cases are summed with those of scripts": lambda: last_line(
        ("OK", DOCTEST.format(5, 0)), ("OK", "cases: 3 passed, 0 failed\n")) == ("8 passed, 0 failed", 0),
    "a failed case is counted once": lambda: last_line(("FAIL", DOCTEST.format(4, 1))) == ("4 passed, 1 failed", 1),
    "a crash before the summary is a failure": lambda: last_line(
        ("FAIL", "Segmentation fault")) == ("0 passed, 1 failed", 1),
    "a crash after a clean summary is a failure": lambda: last_line(
        ("FAIL", DOCTEST.format(5, 0))) == ("5 passed, 1 failed", 1),
    "a test out of time is a failure": lambda: last_line(("TIMEOUT", "")) == ("0 passed, 1 failed", 1),
    "a test that tells no cases is one": lambda: last_line(("OK", "fine")) == ("1 passed, 0 failed", 0),
    "a skipped test is none": lambda: last_line(
        ("SKIP", ""), ("OK", "cases: 1 passed, 0 failed")) == ("1 passed, 0 failed", 0),
    "no test at all is a failure": lambda: last_line() == ("0 passed, 1 failed", 1),
    "demo --help explains": lambda: "--max-links" in run("./demo", "--help")[1],
    "demo refuses one peer": lambda: run("./demo", "--peers", "1")[0] == 64,
    "demo refuses what it does not know": lambda: run("./demo", "--nonsense")[0] == 64,
    "check --help explains": lambda: "--sanitize" in run("./check", "--help")[1],
    "check refuses an unknown sanitizer": lambda: run("./check", "--sanitize", "water")[0] == 64,
    "packages.txt names a package once a line": lambda: run(
        "bash", "-c", "source scripts/lib.sh; wanted_packages ci | grep -vxE '[a-z0-9.+-]+' ; "
        "wanted_packages ci | sort | uniq -d; wanted_packages ci | grep -cx clang")[1] == "1\n",
    "./demo needs no compiler for fuzzing": lambda: "clang" not in run(
        "bash", "-c", "source scripts/lib.sh; wanted_packages build")[1].split(),
}

failed = [name for name, case in CASES.items() if not case()]
for name in failed:
    print(f"failed: {name}")
print(f"cases: {len(CASES) - len(failed)} passed, {len(failed)} failed")
sys.exit(1 if failed else 0)
