"""Searches: queries of a member, and its answers to an honest query."""
import contextlib
import os

from catalogue import Must, Place
from intruder import answer, hit, holder
from member import Trap, linked_member
from session import seen
from wire import (BAD_TEXTS, EDGES, GLOB, PATH, ROOT, SUBSTRING, WORDS, bad_host, bad_id, field, message, noise, number,
                  overlong, query, varint)

HONEST = {"s1", "s2", "s3"}
KINDS = [SUBSTRING, GLOB, WORDS, ROOT, PATH]


def deliver_queries(arena, given):
    """Sends the payloads; seen is whether the link ended."""
    one = linked_member(arena)
    with contextlib.suppress(OSError):
        for payload in given:
            one.send(payload)
    return seen(ended=not one.synchronize(), told=None)


def deliver_answers(arena, given):
    """An honest `find` is answered by the member with `given(asked, member)`; seen is what the user is told.

    The member is last in the tree, so its answer arrives while others' do.
    """
    one = linked_member(arena)
    asked_times = []

    def lie(asked):
        asked_times.append(asked)
        return given(asked, one)
    one.on_query = lie
    code, told = arena.ask("s2", "find honest-*.txt")
    one.on_query = None
    assert asked_times, "the member was not asked"
    return seen(ended=not one.synchronize(), told=told[0], code=code)


def example(ended=False, hits=(), searched=3, peers=4, missing=(), honest=True):
    names = [{"name": f"honest-{one}.txt", "holders": [one], "size": 9} for one in sorted(HONEST)] if honest else []
    return seen(ended=ended, code=0, told={"hits": names + list(hits), "searched": searched, "peers": peers,
                                           "missing": list(missing)})


def has_honest_hits(result):
    found = {(one["name"], name) for one in result.told["hits"] for name in one["holders"]}
    return all((f"honest-{name}.txt", name) in found for name in HONEST)


def only_right_names(result):
    """Hits match what was asked for."""
    return all(one["name"].startswith("honest-") and one["name"].endswith(".txt") for one in result.told["hits"])


def not_too_many(result):
    """The user is not told of more peers than there are: three, the member, and those that left a moment ago."""
    return result.told["searched"] <= 4 <= result.told["peers"] <= 12 and len(result.told["missing"]) <= 12


JUNK = {"name": "junk.exe", "holders": ["m"], "size": 1}
link_ends = Must("its link ends", lambda given, result: result.ended, ((None, example()),))
link_stays = Must("its link is answered", lambda given, result: not result.ended, ((None, example(ended=True)),))
not_shown = Must("the user sees all honest hits, and none that does not match",
                 lambda given, result: has_honest_hits(result) and only_right_names(result) and not_too_many(result),
                 ((None, example(honest=False)), (None, example(hits=[JUNK])),
                  (None, example(searched=9999, peers=9999))))
not_complete = Must("the user sees all honest hits, and the count is never more than there are peers",
                    lambda given, result: has_honest_hits(result) and not_too_many(result),
                    ((None, example(honest=False)), (None, example(peers=500)), (None, example(searched=5, peers=4))))

searches = Place("searches", lambda arena: arena.start_network(3), deliver_queries)


def identity(random):
    return random.randbytes(16)


# --- queries
@searches.inputs("a query of a kind that nobody knows", link_ends)
def _(random):
    return [query(identity(random), random.choice([0, *range(6, 40), *EDGES[8:17]]), b"honest")]


@searches.inputs("a query with an id of another length", link_ends)
def _(random):
    return [query(random.randbytes(random.choice([0, 1, 15, 17, 32, 4096])), SUBSTRING, b"honest")]


@searches.inputs("a query without text, or with too much", link_ends)
def _(random):
    return [query(identity(random), random.choice([SUBSTRING, GLOB, WORDS, PATH]),
                  random.choice([b"", b"x" * random.randrange(1025, 60_000)]))]


@searches.inputs("a query of an asker that is nobody", link_ends)
def _(random):
    return [query(identity(random), SUBSTRING, b"honest", asker=bad_id(random) or b" ")]


@searches.inputs("a query for text of any bytes", link_stays)
def _(random):
    return [query(identity(random), random.choice([SUBSTRING, GLOB, WORDS, PATH]),
                  random.choice([one for one in BAD_TEXTS if one]) + noise(random, 900)) for _ in range(3)]


@searches.inputs("a query with any budget and any number of hops", link_stays)
def _(random):
    return [query(identity(random), SUBSTRING, b"honest", number(random) & 0xFFFFFFFF, hops=number(random) & 0xFFFFFFFF)
            for _ in range(3)]


@searches.inputs("patterns that are slow to match", link_stays)
def _(random):
    stars = b"*" + b"*".join(random.choice([b"a", b"?", b"[a-z]", b"[!x]", b"h", b"-"]) for _ in range(random.randrange(
        50, 300)))
    return [query(identity(random), GLOB, stars[:1000] + b"b", 60_000)]


@searches.inputs("patterns with brackets and escapes that do not end", link_stays)
def _(random):
    parts = [b"[", b"]", b"[!", b"[^", b"[a-", b"[z-a]", b"\\", b"{", b"}", b"{a,b", b"**", b"?", b"/", b"[[:alpha:]]"]
    return [query(identity(random), GLOB, b"".join(random.choice(parts) for _ in range(random.randrange(1, 100))))]


@searches.inputs("a root that is none", link_stays)
def _(random):
    return [query(identity(random), ROOT, random.choice([b"x" * 64, b"0" * 63, b"F" * 65, noise(random, 64) + b"z",
                                                         b"%064x" % random.getrandbits(256)]))]


@searches.inputs("paths that lead out of a share", link_stays)
def _(random):
    return [query(identity(random), PATH, b"/".join(random.choice([b"..", b".", b"", b"etc", b"s1", b".espalier",
                                                                   b"index"])
                                                    for _ in range(random.randrange(1, 60))) or b"/")]


@searches.inputs("one query again and again", link_stays)
def _(random):
    return [query(identity(random), SUBSTRING, b"honest")] * random.randrange(2, 300)


@searches.inputs("many queries at once", link_stays)
def _(random):
    return [query(identity(random), random.choice([SUBSTRING, GLOB, WORDS]), b"honest*", random.randrange(60_000))
            for _ in range(random.randrange(50, 500))]


@searches.inputs("a query with fields that nobody knows", link_stays)
def _(random):
    more = b"".join(field(random.randrange(20, 9999), noise(random)) for _ in range(30))
    return [field(10, field(1, message(identity(random), SUBSTRING, b"honest", 1000, b"m", 3) + more))]


@searches.inputs("a search that is no message", link_ends)
def _(random):
    return [field(10, random.choice([overlong(random), field(1, overlong(random)), field(2, overlong(random)), b"",
                                     field(4, b""), field(3, overlong(random))]))]


@searches.inputs("answers to searches that nobody asked", link_stays)
def _(random):
    place = holder("s1", "127.0.0.1:9")
    return [answer(identity(random), place, hit("honest-s1.txt", 9, random.randbytes(32)), field(8, 1))
            for _ in range(random.randrange(1, 200))]


@searches.inputs("an answer with the id of another length, or a hit without a holder", link_ends)
def _(random):
    root = random.randbytes(32)
    return [random.choice([answer(random.randbytes(random.choice([0, 15, 17])), field(8, 1)),
                           answer(identity(random), hit("f", 1, root, random.randrange(1, 99))),
                           answer(identity(random), holder("s1", "127.0.0.1:9"), hit("f", 1, root[:-1])),
                           answer(identity(random), holder("s1", "127.0.0.1:9"), hit("f", (1 << 44) + 1, root)),
                           answer(identity(random), field(2, message(bad_id(random), b"127.0.0.1", 9))),
                           answer(identity(random), field(2, message(b"s1", bad_host(random), 9))),
                           answer(identity(random), field(2, message(b"s1", b"127.0.0.1", 0)))])]


@searches.inputs("coverage that cannot be", link_ends)
def _(random):
    ranges = random.choice([[1], [0, 0], [1, 0, 0, 0], [(1 << 63) - 1, 1], [1, 1 << 63], [(1 << 64) - 1, (1 << 64) - 1],
                            [1, 0] * random.randrange(4097, 9000)])
    return [answer(identity(random), field(4, b"".join(map(varint, ranges))), field(8, 1))]


@searches.inputs("a search that is called lost without being there", link_stays)
def _(random):
    return [field(10, field(3, field(1, identity(random)))) for _ in range(random.randrange(1, 300))]


# --- answers to an honest query
def own_answer(one, asked, *more):
    """The member's answer with `more`, and its coverage of itself."""
    return [answer(asked[1], *more), answer(asked[1], field(4, varint(one.order) + varint(0)), field(8, 1))]


@searches.inputs("hits that do not match", not_shown, deliver_answers)
def _(random):
    names = [random.choice(["junk.exe", "honest", "honest-s1.txt/x", ".ssh/authorized_keys", "../honest-s1.txt.exe",
                            "a" * 1000, "Honest-s1.tx"]) for _ in range(random.randrange(1, 50))]
    roots = [random.randbytes(32) for _ in names]
    return lambda asked, one: own_answer(one, asked, holder("m", "127.0.0.1:9"), *[
        hit(name, 9, root) for name, root in zip(names, roots)])


@searches.inputs("hits in the name of an honest peer", not_shown, deliver_answers)
def _(random):
    count, size, root = random.randrange(1, 200), random.randrange(1, 1 << 44), random.randbytes(32)
    name = random.choice(["s1", "s2", "s3"])
    return lambda asked, one: own_answer(one, asked, holder(name, "127.0.0.1:9"), *[
        hit(f"honest-{number}.txt", size, root) for number in range(count)])


@searches.inputs("an endpoint for an honest peer that is not its own", not_shown, deliver_answers)
def _(random):
    name, endpoint = random.choice(["s1", "s2", "s3"]), random.choice(["0.0.0.0:9", "127.0.0.1:9", "255.255.255.255:1",
                                                                       "x.invalid:80"])
    return lambda asked, one: own_answer(one, asked, holder(name, endpoint),
                                         hit(f"honest-{name}.txt", 22, bytes(31) + b"x"))


@searches.inputs("sizes that differ for one root", not_shown, deliver_answers)
def _(random):
    root = random.randbytes(32)
    sizes = [random.choice([1, 1 << 20, 1 << 44, random.randrange(1, 1 << 44)]) for _ in range(20)]
    return lambda asked, one: own_answer(one, asked, holder("m", "127.0.0.1:9"), *[
        hit("honest-x.txt", size, root) for size in sizes])


@searches.inputs("files that cannot exist", Must(
    "no such file is shown", lambda given, result: has_honest_hits(result) and all(
        one["size"] > 0 for one in result.told["hits"]),
    ((None, example(hits=[{"name": "honest-x.txt", "holders": ["m"], "size": 0}])), (None, example(honest=False)))),
    deliver_answers)
def _(random):
    root = random.randbytes(32)
    return lambda asked, one: own_answer(one, asked, holder("m", "127.0.0.1:9"), hit("honest-x.txt", 0, root),
                                         hit("honest-y.txt", 9, bytes(32)))


@searches.inputs("names with what a terminal takes as a command", not_shown, deliver_answers)
def _(random):
    names = [f"honest-{random.choice(['%c' % 27, '%c' % 0x9b, '%c' % 7, '%c' % 13, '%c' % 10, '%c' % 0x202e])}[2J.txt"
             for _ in range(9)]
    return lambda asked, one: own_answer(one, asked, holder("m", "127.0.0.1:9"), *[
        hit(name, 9, bytes(31) + b"x") for name in names])


@searches.inputs("more hits than a peer may send", not_shown, deliver_answers)
def _(random):
    count, seed = random.randrange(300, 6000), random.randbytes(28)
    def answers(asked, one):
        made = [hit(f"honest-{number}.txt", 9, seed + number.to_bytes(4, "big")) for number in range(count)]
        return [answer(asked[1], holder("m", "127.0.0.1:9"), *made[at:at + 200])
                for at in range(0, count, 200)] + own_answer(
            one, asked)
    return answers


@searches.inputs("coverage of peers that are not there", not_complete, deliver_answers)
def _(random):
    start, following = random.choice([(1, 0), (1, 9), (1, 500), (4, 1000), (1000, 9), (1, (1 << 63) - 2)])
    return lambda asked, one: [answer(asked[1], field(4, varint(start) + varint(following)), field(8, 1))]


@searches.inputs("coverage in many ranges", not_complete, deliver_answers)
def _(random):
    ranges = b"".join(varint(random.randrange(1, 99)) + varint(random.randrange(9))
                      for _ in range(random.randrange(10, 4096)))
    return lambda asked, one: [answer(asked[1], field(4, ranges), field(8, 1))]


@searches.inputs("honest peers that are called missing", not_complete, deliver_answers)
def _(random):
    named = [field(5, message(random.choice([b"s1", b"s3", b"x%d" % number]), random.randrange(1, 9),
                              random.choice([0, 3, 1 << 20]))) for number in range(random.randrange(1, 300))]
    return lambda asked, one: own_answer(one, asked, *named)


@searches.inputs("honest peers that are said to index or to have more", not_complete, deliver_answers)
def _(random):
    told = [random.choice([field(6, random.choice([b"s1", b"x%d" % number])),
                           field(7, message(random.choice([b"s1", b"x%d" % number]), random.choice([1, 9, 1 << 32])))])
            for number in range(random.randrange(1, 300))]
    return lambda asked, one: own_answer(one, asked, *told)


@searches.inputs("an answer that is done at once, and then goes on", not_complete, deliver_answers)
def _(random):
    times = random.randrange(2, 60)
    return lambda asked, one: [*[answer(asked[1], field(8, number % 2)) for number in range(times)],
                               *own_answer(one, asked)]


@searches.inputs("hits at addresses of others", Must(
    "a search dials nobody", lambda given, result: has_honest_hits(result) and result.dials == 0,
    ((None, seen(dials=1, told=example().told)), (None, seen(dials=0, told=example(honest=False).told)))),
    lambda arena, given: deliver_trapped(arena, given))
def _(random):
    return random.randrange(1, 60)


def deliver_trapped(arena, given):
    hole = arena.keep("trap", Trap)
    dials = hole.connections
    result = deliver_answers(arena, lambda asked, one: own_answer(one, asked, *[
        part for number in range(given) for part in (holder(f"x{number}", f"127.0.0.1:{hole.port}"),
                                                     hit(f"honest-{number}.txt", 9, os.urandom(32), number))]))
    result.dials = hole.connections - dials
    return result


@searches.inputs("an answer that breaks the link", Must(
    "the user sees all honest hits", lambda given, result: has_honest_hits(result), ((None, example(honest=False)),)),
    deliver_answers)
def _(random):
    bad = random.choice([overlong(random), field(10, overlong(random)), b"", field(99, b"x")])
    return lambda asked, one: [bad]
