#!/usr/bin/env python3
"""What soak promises, with a program in place of the simulation that only says which seeds it was given."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

SOAK = pathlib.Path(__file__).resolve().parent / "soak"
# Seed 10000007 fails, seeds that end in 5 end apart; a file "slow" beside it makes it wait.
PROGRAM = """#!/usr/bin/env python3
import os, sys, time
first, count = (int(sys.argv[sys.argv.index(word) + 1]) for word in ("--first", "--count"))
seeds = range(first, first + count)
with open(os.environ["TOLD"], "a") as told:
    told.write("".join(f"{'kills' if '--kill-each' in sys.argv else 'other'} {seed}\\n" for seed in seeds))
while os.path.exists(os.environ["TOLD"] + ".slow"):
    time.sleep(0.02)
bad = [seed for seed in seeds if seed == 10000007 and "--kill-each" not in sys.argv and "--push" not in sys.argv]
for seed in bad:
    print(f"seed {seed} (3 peers): there are 2 trees")
print(f"apart: {sum(seed % 10 == 5 for seed in seeds)} ended as several trees")
print(f"cases: {count - len(bad)} passed, {len(bad)} failed")
sys.exit(1 if bad else 0)
"""


class Bench:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        programs = self.folder / "build/tests/simulation"
        programs.mkdir(parents=True)
        for name, text in (("simulation", PROGRAM), ("simulation_rooms", PROGRAM.replace("other", "rooms"))):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.told = self.folder / "told"
        self.told.touch()
        self.state = self.folder / "soak.txt"

    def begin(self, *words, kinds="schedules"):
        return subprocess.Popen(
            [SOAK, "--build", self.folder / "build", "--state", self.state, "--kinds", kinds, *words],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "TOLD": str(self.told)})

    def run(self, *words, kinds="schedules"):
        process = self.begin(*words, kinds=kinds)
        output = process.communicate(timeout=60)[0]
        return process.returncode, output

    def seeds(self):
        return sorted(int(line.split()[1]) for line in self.told.read_text().splitlines())

    def counts(self):
        return re.search(r"^schedules (.*)$", self.state.read_text(), re.MULTILINE)[1]


def goes_on_where_it_stopped(bench):
    bench.run("--count", "300")
    bench.run("--count", "200")
    assert bench.seeds() == list(range(10000000, 10000500)), bench.seeds()
    assert bench.counts() == "next 10000500 run 500 failed 1 apart 50", bench.counts()


def tells_and_keeps_a_seed_that_fails(bench):
    code, output = bench.run("--count", "100")
    assert code == 1 and "schedules seed 10000007 (3 peers): there are 2 trees" in output, output
    assert "--peers 3 40 --first 10000007 --count 1 --trace" in output, output
    assert "failed schedules 10000007: (3 peers): there are 2 trees" in bench.state.read_text()
    code, _ = bench.run("--count", "100")
    assert code == 0 and "failed schedules 10000007" in bench.state.read_text()


def loses_nothing_when_it_is_interrupted(bench):
    slow = pathlib.Path(f"{bench.told}.slow")
    slow.touch()
    process = bench.begin("--count", "1000", "--jobs", "2")
    deadline = time.monotonic() + 60
    while len(bench.seeds()) < 200 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    slow.unlink()
    output = process.communicate(timeout=60)[0]
    assert "200 seeds in" in output, output
    assert bench.counts() == "next 10000200 run 200 failed 1 apart 20", bench.counts()


def runs_again_what_was_left(bench):
    slow = pathlib.Path(f"{bench.told}.slow")
    slow.touch()
    process = bench.begin("--count", "1000", "--jobs", "2")
    deadline = time.monotonic() + 60
    while len(bench.seeds()) < 200 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=60)
    assert bench.counts() == "next 10000200 run 0 failed 0 apart 0", bench.counts()
    assert "open schedules 10000100 100" in bench.state.read_text()
    slow.unlink()
    bench.told.write_text("")
    bench.run("--count", "100")
    assert bench.seeds() == list(range(10000000, 10000200)), bench.seeds()
    assert bench.counts() == "next 10000200 run 200 failed 1 apart 20", bench.counts()


def runs_rooms_by_a_program_of_their_own(bench):
    code, output = bench.run("--count", "500", kinds="rooms")
    assert code == 1 and "simulation_rooms --first 10000007 --count 1 --trace" in output, output
    assert bench.seeds() == list(range(10000000, 10000500)), bench.seeds()
    assert {line.split()[0] for line in bench.told.read_text().splitlines()} == {"rooms"}
    assert re.search(r"^rooms next 10000500 run 500 failed 1 ", bench.state.read_text(), re.MULTILINE)


CASES = (goes_on_where_it_stopped, tells_and_keeps_a_seed_that_fails, loses_nothing_when_it_is_interrupted,
         runs_again_what_was_left, runs_rooms_by_a_program_of_their_own)


def main():
    failed = 0
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            try:
                case(Bench(folder))
            except (AssertionError, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f"a soak {case.__name__.replace('_', ' ')}: {error!r}")
    print(f"cases: {len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
