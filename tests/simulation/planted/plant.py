#!/usr/bin/env python3
"""Plants faults in copies of the cores and checks that the simulation catches each.

plant.py --plant NAME SOURCE COPY      writes SOURCE with the fault in it
plant.py --catch NAME SOURCE PROGRAM   passes if PROGRAM, the simulation with that fault, reports a seed that
                                       fails, and the same failure when that seed is replayed
plant.py --complete NAME…              passes if these are all the faults there are
"""
import pathlib
import re
import subprocess
import sys

from faults import FAULTS


def occurrences(fault, source):
    return pathlib.Path(source).read_text().count(fault.good)


def plant(name, source, copy):
    """A snippet that is not there (any more) leaves the copy as it was: the test says so, all else still builds."""
    fault = FAULTS[name]
    text = pathlib.Path(source).read_text()
    if occurrences(fault, source) == 1:
        text = text.replace(fault.good, fault.bad)
    pathlib.Path(copy).write_text(f'#line 1 "{source}"\n{text}')


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.returncode, done.stdout


def catch(name, source, program):
    fault = FAULTS[name]
    if occurrences(fault, source) != 1:
        return f"its snippet occurs {occurrences(fault, source)} times in {source}:\n{fault.good}"
    code, output = run([program, *fault.run, "--stop-at-first"])
    # A program that crashes (a negative code) shows nothing about the judge.
    seed = re.search(r"^seed (\d+) \(.*\): .*$", output, re.MULTILINE)
    if code != 1 or not seed:
        return f"not caught: {program} {' '.join(fault.run)} ended with {code}\n{output}"
    print(seed[0])
    run_again = [*fault.run, "--first", seed[1], "--count", "1"]
    code, output = run([program, *run_again])
    if code != 1 or seed[0] not in output:
        return f"seed {seed[1]} fails otherwise when it is replayed, with {code}:\n{output}"
    return None


def main(mode, *words):
    if mode == "--plant":
        return plant(*words)
    if mode == "--complete":
        missing = sorted(set(FAULTS) ^ set(words))
        return f"in faults.py or in meson.build only: {', '.join(missing)}" if missing else None
    print(f"{words[0]}: {FAULTS[words[0]].breaks}")
    return catch(*words)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
