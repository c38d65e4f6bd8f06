"""Classes of hostile input: what they are, how one is run, and what is printed.

  registry = Place("registry", start, deliver)

  @registry.inputs("a join whose host nobody can parse", must=not_admitted)
  def _(random):
      return [join(host=odd_host(random))]       # one input; `random` is seeded by seed, class and number

A place starts the programs (an Arena), and delivers an input: `deliver(arena, given)` returns what was seen. A class
must hold a Must: a sentence, and a function of (given, seen) that is true if it holds. Each Must has planted examples
for which it must be false; selftest.py checks that it is.
"""
import dataclasses
import random
import time
import traceback
import typing

import arena as arenas

PLACES = {}
FAILURES_SHOWN = 3  # of a class; then its other inputs are left out


@dataclasses.dataclass(frozen=True, eq=False)
class Must:
    sentence: str
    check: typing.Callable
    planted: tuple  # (given, seen) for which check() is false


@dataclasses.dataclass(frozen=True, eq=False)
class Class:
    place: "Place"
    sentence: str
    generate: typing.Callable
    deliver: typing.Callable
    must: Must
    fresh: bool  # an arena of its own

    def input(self, seed, number):
        return self.generate(random.Random(f"{seed} {self.sentence} {number}"))


class Place:
    def __init__(self, name, start, deliver):
        self.name, self.start, self.deliver, self.classes = name, start, deliver, []
        assert name not in PLACES
        PLACES[name] = self

    def inputs(self, sentence, must, deliver=None, fresh=False):
        def register(generate):
            assert all(sentence != one.sentence for one in all_classes()), sentence
            self.classes.append(Class(self, sentence, generate, deliver or self.deliver, must, fresh))
            return generate
        return register


def all_classes():
    return [one for place in PLACES.values() for one in place.classes]


@dataclasses.dataclass
class Result:
    one: Class
    inputs: int = 0
    seconds: float = 0.0
    failures: list = dataclasses.field(default_factory=list)  # (number of the input or None, why)


def shorten(value, most=400):
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def run_input(arena, one, seed, number):
    """Returns why the class does not hold for this input, or None."""
    try:
        given = one.input(seed, number)
        seen = one.deliver(arena, given)
        why = None if one.must.check(given, seen) else f"not so: {one.must.sentence}; seen {shorten(seen, 1200)}"
    except Exception:  # whatever goes wrong fails the input
        given = locals().get("given")
        why = traceback.format_exc(limit=-3)
    ended = arena.ended()
    if ended:
        why = f"{why or ''} {'; '.join(ended)}"
    return f"{why}\ninput: {shorten(given)}" if why else None


def run_class(arena, one, options):
    """Delivers the inputs; returns the Result. The arena is not to be used again after a failure."""
    result, began = Result(one), time.monotonic()
    for number in range(options.first, options.first + options.count):
        why = run_input(arena, one, options.seed, number)
        result.inputs += 1
        if why:
            result.failures.append((number, why))
            if len(result.failures) >= FAILURES_SHOWN or arena.ended():
                break
    try:
        why = arena.served()
        if why:
            result.failures.append((None, f"an honest peer is not served: {why}"))
        result.failures += [(None, trouble) for trouble in arena.troubles()]
    except Exception:
        result.failures.append((None, traceback.format_exc(limit=-3)))
    result.seconds = time.monotonic() - began
    return result


def replay(one, options, number):
    first, count = (number, 1) if number is not None else (options.first, options.count)
    return (f"tests/catalogue/run {options.programs} --seed {options.seed} --class '{one.sentence}' --first {first} "
            f"--count {count}")


def tell(result, options):
    held = "FAILED" if result.failures else "ok"
    print(f"{held:7} {result.one.place.name:12} {result.inputs:4} {result.seconds:6.1f} s  {result.one.sentence}"
          f": {result.one.must.sentence}", flush=True)
    for number, why in result.failures:
        where = "after its inputs" if number is None else f"input {number}"
        print(f"        {where}: {why}\n        replay: {replay(result.one, options, number)}", flush=True)


@dataclasses.dataclass
class Honest:
    """Searches and fetches of honest peers during a run."""
    asked: int = 0
    failures: list = dataclasses.field(default_factory=list)

    @property
    def percent(self):
        return 100.0 * (self.asked - len(self.failures)) / self.asked if self.asked else 100.0


def run_classes(classes, options, told=tell):
    """Runs the classes, place by place, in as few arenas as possible. Returns ([Result], Honest)."""
    results, honest, arena, place = [], Honest(), None, None

    def end():
        nonlocal arena
        if arena:
            honest.asked += arena.probe.asked
            honest.failures += arena.probe.failures
            arena.close()
            arena = None
    try:
        for one in classes:
            if one.place is not place or one.fresh:
                end()
            place = one.place
            if arena is None:
                arena = arenas.Arena(options.programs, options.patience, place.start)
            result = run_class(arena, one, options)
            told(result, options)
            results.append(result)
            if result.failures or one.fresh:
                if result.failures and options.logs:
                    print(arena.network.logs())
                end()
    finally:
        end()
    return results, honest
