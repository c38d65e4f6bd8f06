#!/usr/bin/env python3
"""How scripts/count_cases.py counts cases, so that ./check loses no failure; the scripts' options; which packages they
treat as installed."""
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import count_cases  # noqa: E402

DOCTEST = ("[doctest] test cases:  5 |  {} passed | {} failed | 0 skipped\n"
           "[doctest] assertions: 9 | 9 passed | 0 failed |")


def told_of(*tests):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as log:
        log.writelines(json.dumps({"name": "a", "result": result, "stdout": stdout}) + "\n" for result, stdout in tests)
        log.flush()
        told = io.StringIO()
        with redirect_stdout(told):
            code = count_cases.count(log.name)
    return told.getvalue().splitlines(), code


def last_line(*tests):
    lines, code = told_of(*tests)
    return lines[-1], code


FAILED = "\n".join(["[doctest] version", *["ok"] * 30, "TEST CASE:  one",
                    "one.cpp:7: ERROR: CHECK( x ) is NOT correct!",
                    DOCTEST.format(4, 1)])


def lines_of(*lines):
    told = io.StringIO()
    with redirect_stdout(told):
        count_cases.print_lines(lines)
    return told.getvalue()


def run(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


# The data of a fake dpkg: package, architecture, state, provided names.
FAKE_DPKG_QUERY = """#!/bin/sh
format=$3 package=$4
while IFS='|' read -r name architecture state provides; do
  [ -z "$package" ] || [ "$package" = "$name" ] || continue
  case $format in
    *Provides*) printf '%s %s %s\\n' "$state" "$architecture" "$provides" ;;
    *) printf '%s %s\\n' "$state" "$architecture" ;;
  esac
  found=yes
done <"$DPKG_ANSWERS"
[ -n "$found" ] || { echo "dpkg-query: no packages found matching $package" >&2; exit 1; }
"""


def missing(*known):
    """The missing packages if `wanted` is required on an amd64 machine whose dpkg has these."""
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        (place / "packages.txt").write_text("#: build\nwanted  # for a test\n")
        (place / "answers").write_text("".join(f"{line}\n" for line in known))
        for name, text in {"dpkg-query": FAKE_DPKG_QUERY, "dpkg": "#!/bin/sh\necho amd64\n"}.items():
            (place / name).write_text(text)
            (place / name).chmod(0o755)
        environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "DPKG_ANSWERS": f"{folder}/answers"}
        program = f"set -euo pipefail; source {ROOT}/scripts/lib.sh; missing_packages build"
        done = subprocess.run(["bash", "-c", program], cwd=folder, env=environment, capture_output=True, text=True,
                              check=True)
    return done.stdout.split()


OWN_PROGRAMS_ONLY = {"floods", "page", "rooms"}  # what runs beside the last two is not found by PATH
BENCHES = sorted(path for path in (ROOT / "bench").iterdir() if path.is_file() and os.access(path, os.X_OK))


def without_anything(program):
    """The output of a benchmark without any program and without Python modules beyond Python's own."""
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run([sys.executable, "-S", program, *(["x"] if program.name == "plot" else [])], cwd=empty,
                              env={"PATH": empty}, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    told = "build it with ninja" if program.name in OWN_PROGRAMS_ONLY else "bench/packages.txt"
    return done.returncode == 69 and done.stdout == "" and lines and told in done.stderr and all(
        line.startswith(f"{program.name}: ") for line in lines)


def known_packages():
    sys.path.insert(0, str(ROOT / "bench"))
    import needs  # pylint: disable=import-outside-toplevel
    return all(needs.line_of(package) > 0 for package in needs.PACKAGES.values())


CASES = {
    "there are benchmarks": lambda: len(BENCHES) >= 6,
    **{f"bench/{program.name} says what it lacks": lambda program=program: without_anything(program)
       for program in BENCHES},
    "what benchmarks need has a line in bench/packages.txt": known_packages,
    "an installed package is not missing": lambda: missing("wanted|amd64|installed|") == [],
    "a package for all architectures is not missing": lambda: missing("wanted|all|installed|") == [],
    "a package that dpkg never heard of is missing": lambda: missing("other|amd64|installed|") == ["wanted"],
    "a package that is in any other state is missing": lambda: all(
        missing(f"wanted|amd64|{state}|") == ["wanted"]
        for state in ("not-installed", "config-files", "half-installed", "unpacked", "half-configured",
                      "triggers-awaited", "triggers-pending")),
    "a package of another architecture only is missing": lambda: missing(
        "wanted|i386|installed|") == ["wanted"],
    "a package of several architectures is there if this one's is": lambda: missing(
        "wanted|i386|config-files|", "wanted|amd64|installed|") == [] and missing(
        "wanted|i386|installed|", "wanted|amd64|config-files|") == ["wanted"],
    "a name that an installed package provides is not missing": lambda: missing(
        "wanted||not-installed|", "other|amd64|installed|c-compiler, wanted (= 1:2.3), objc") == [],
    "a name whose provider is not installed is missing": lambda: missing(
        "wanted||not-installed|", "other|amd64|config-files|wanted", "more|i386|installed|wanted") == ["wanted"],
    "a part of a provided name is not that name": lambda: missing(
        "other|amd64|installed|wanted-doc, libwanted") == ["wanted"],
    "doctest's cases are summed with those of scripts": lambda: last_line(
        ("OK", DOCTEST.format(5, 0)), ("OK", "cases: 3 passed, 0 failed\n")) == ("8 passed, 0 failed", 0),
    "a failed case is counted once": lambda: last_line(("FAIL", DOCTEST.format(4, 1))) == ("4 passed, 1 failed", 1),
    "of a test that failed its first failure is shown": lambda: told_of(("FAIL", FAILED))[0][:3] == [
        "failed: a (fail)", "    TEST CASE:  one", "    one.cpp:7: ERROR: CHECK( x ) is NOT correct!"],
    "of a test that crashed its last lines are shown": lambda: told_of(
        ("FAIL", "a\nSegmentation fault"))[0][:3] == ["failed: a (fail)", "    a", "    Segmentation fault"],
    "a crash before the summary is a failure": lambda: last_line(
        ("FAIL", "Segmentation fault")) == ("0 passed, 1 failed", 1),
    "a crash after a clean summary is a failure": lambda: last_line(
        ("FAIL", DOCTEST.format(5, 0))) == ("5 passed, 1 failed", 1),
    "a test out of time is a failure": lambda: last_line(("TIMEOUT", "")) == ("0 passed, 1 failed", 1),
    "a test that tells no cases is one": lambda: last_line(("OK", "fine")) == ("1 passed, 0 failed", 0),
    "a skipped test is none": lambda: last_line(
        ("SKIP", ""), ("OK", "cases: 1 passed, 0 failed")) == ("1 passed, 0 failed", 0),
    "a test that could not run is told, with the reason": lambda: told_of(
        ("SKIP", "left out: no namespaces: not permitted\ncases: 0 passed, 0 failed\n"),
        ("OK", "cases: 1 passed, 0 failed")) == (
            ["left out: a: no namespaces: not permitted", "1 passed, 0 failed"], 0),
    "no test at all is a failure": lambda: last_line() == ("0 passed, 1 failed", 1),
    "a list without elements has no line": lambda: lines_of() == "" and lines_of("a", "b") == "a\nb\n",
    "demo --help explains": lambda: "--max-links" in run("./demo", "--help")[1],
    "demo refuses one peer": lambda: run("./demo", "--peers", "1")[0] == 64,
    "demo refuses two metaservers": lambda: run("./demo", "--metaservers", "2")[0] == 64,
    "demo refuses what it does not know": lambda: run("./demo", "--nonsense")[0] == 64,
    "check --help explains": lambda: "--sanitize" in run("./check", "--help")[1],
    "check refuses an unknown sanitizer": lambda: run("./check", "--sanitize", "water")[0] == 64,
    "packages.txt names a package once a line": lambda: run(
        "bash", "-c", "source scripts/lib.sh; wanted_packages ci | grep -vxE '[a-z0-9.+-]+' ; "
        "wanted_packages ci | sort | uniq -d; wanted_packages ci | grep -cx clang")[1] == "1\n",
    ".ci/run refuses a stage that it does not know": lambda: run(".ci/run", "water")[0] == 64,
    ".ci/run's stages have budgets of 37 minutes together": lambda: sum(
        int(seconds) for seconds in re.findall(r"\[\w+\]=(\d+)", (ROOT / ".ci/run").read_text())) <= 37 * 60,
    "scripts/bare_debian takes no other option": lambda: run("scripts/bare_debian", "--nonsense")[0] == 64,
    "scripts/bare_debian wants packages": lambda: "scripts/deb makes them" in run(
        "scripts/bare_debian", "--packages", "docs")[2],
    "scripts/deb --help explains": lambda: "--output" in run("scripts/deb", "--help")[1],
    "scripts/deb refuses what it does not know": lambda: run("scripts/deb", "--nonsense")[0] == 64,
    "scripts/deb wants a build folder": lambda: "is no build folder" in run("scripts/deb", "--build", "docs")[2],
    "./demo needs no compiler for fuzzing": lambda: "clang" not in run(
        "bash", "-c", "source scripts/lib.sh; wanted_packages build")[1].split(),
}

failed = [name for name, case in CASES.items() if not case()]
for name in failed:
    print(f"failed: {name}")
print(f"cases: {len(CASES) - len(failed)} passed, {len(failed)} failed")
sys.exit(1 if failed else 0)
