#!/usr/bin/env python3
"""Shows that the catalogue can fail: each Must on its planted examples, and the arena on programs that misbehave.

  selftest.py BUILD
"""
import argparse
import sys

import arena
import catalogue
import places  # noqa: F401
from catalogue import Class, Must

CASES = []


def case(sentence):
    def register(function):
        CASES.append((sentence, function))
        return function
    return register


def options_for(programs, **more):
    return argparse.Namespace(programs=programs, seed=1, first=0, count=1, logs=False, patience=3.0, **more)


def start(one):
    one.start_network(2)
    one.patience = one.network.patience = 3.0  # what does not come is not awaited for long


PLANTED = catalogue.Place("planted", start, None)
HOLDS = Must("nothing in particular", lambda given, seen: True, ((None, None),))


def outcome(programs, deliver, must=HOLDS):
    """The failures of a class whose only input is delivered by `deliver`."""
    one = Class(PLANTED, "a planted input", lambda random: None, lambda arena, given: deliver(arena), must, True)
    results, _ = catalogue.run_classes([one], options_for(programs), told=lambda result, options: None)
    return "\n".join(why for _, why in results[0].failures)


@case("a class that holds passes")
def _(programs):
    return outcome(programs, lambda one: None) == ""


@case("a program that ends is found")
def _(programs):
    return "s2 ended with" in outcome(programs, lambda one: one.network.peers["s2"].kill())


@case("a file that appears, changes or goes is found")
def _(programs):
    def deliver(one):
        (one.network.folder / "s2" / "planted.txt").write_bytes(b"planted")
        (one.network.folder / "s1" / "honest-s1.txt").unlink()
    found = outcome(programs, deliver)
    return "a file appeared or changed: s2/planted.txt" in found and "s1/honest-s1.txt is gone" in found


@case("an honest peer that is not served is found")
def _(programs):
    def deliver(one):
        (one.network.folder / "s1" / "honest-s1.txt").unlink()
        arena.espalier_process.wait_until(lambda: one.ask("s1", "list")[1][0]["files"] == [], 30, "an empty share")
    return "an honest peer is not served" in outcome(programs, deliver)


@case("a control character in an output is found")
def _(programs):
    return "has a control character" in outcome(
        programs, lambda one: one.network.peers["s1"].log_path.open("ab").write(b"\x1b[2J\n"))


@case("a process that grows is found")
def _(programs):
    def deliver(one):
        one.before["s1"] -= one.growth_bytes + 1
    return "s1 has grown by" in outcome(programs, deliver)


@case("an input that is not answered is found")
def _(programs):
    def deliver(one):
        one.patience = 0.2
        one.network.metaserver.send(19)  # SIGSTOP
        try:
            return sys.modules["registry"].deliver(one, [])
        finally:
            one.network.metaserver.send(18)
    return "TimeoutError" in outcome(programs, deliver)


@case("what a class says is checked")
def _(programs):
    never = Must("never", lambda given, seen: False, ((None, None),))
    return "not so: never" in outcome(programs, lambda one: None, never)


@case("honest searches that fail are counted")
def _(_programs):
    honest = catalogue.Honest(asked=200, failures=["one", "two", "three"])
    return honest.percent == 98.5


def false_for_planted(must):
    return must.planted and all(not must.check(given, seen) for given, seen in must.planted)


def main():
    passed = failed = 0
    for must in dict.fromkeys(one.must for one in catalogue.all_classes()):
        held = false_for_planted(must)
        passed, failed = passed + held, failed + (not held)
        print(f"{'ok' if held else 'FAILED':7} “{must.sentence}” is false for its planted examples")
    for sentence, function in CASES:
        held = function(sys.argv[1])
        passed, failed = passed + held, failed + (not held)
        print(f"{'ok' if held else 'FAILED':7} {sentence}", flush=True)
    print(f"cases: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
