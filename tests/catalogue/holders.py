"""Transfers, the hostile end being the holder: an honest `get` is answered by a holder that lies.

In most classes an honest peer has the file, too: then the get must end with the right bytes. In the others the liar is
the only holder: then nothing is saved.
"""
import hashlib
import os
import time

import arena as arenas
from catalogue import Must, Place
from intruder import HostileServer, answer, hit, holder, receive_from
from member import Trap, linked_member
from session import seen
from wire import field, frame, message, noise, overlong, parse, varint

CHUNK = 1 << 20
DATA = arenas.espalier_process.noise(3 * CHUNK, 6)
ROOT = bytes.fromhex(arenas.espalier_process.file_root(DATA))
WELCOME = frame(field(1, field(1, 1)))
LIST_ASKED, CHUNKS_ASKED, FILES_ASKED, HELD_ASKED = 1, 2, 3, 4
CLOSE = None


def hashes_of(data):
    """The hashes of a file's chunks of 1 MiB, each of them whole."""
    found = []
    for at in range(0, len(data), CHUNK):
        layer = [hashlib.sha256(data[block:block + 16384]).digest() for block in range(at, at + CHUNK, 16384)]
        while len(layer) > 1:
            layer = [hashlib.sha256(layer[one] + layer[one + 1]).digest() for one in range(0, len(layer), 2)]
        found.append(layer[0])
    return found


HASHES = hashes_of(DATA)


def chunk_list(size=len(DATA), chunk_bytes=CHUNK, first=0, hashes=b"".join(HASHES), name=b"wanted.bin"):
    return frame(field(1, message(size, chunk_bytes, first, hashes, name)))


def chunk(number, data, size=None):
    return frame(field(2, message(number, len(data) if size is None else size))) + data


def failure(reason, told=b"no"):
    return frame(field(4, message(reason, told)))


def waiting(position):
    return frame(field(5, message(position)))


def held(*values):
    return frame(field(6, message(*values)))


def cut(first):
    return frame(field(7, message(first)))


def right(kind, asked):
    """The answer of an honest holder."""
    if kind == LIST_ASKED:
        return chunk_list()
    if kind == HELD_ASKED:
        return held(1)
    if kind == CHUNKS_ASKED:
        first, count = asked.get(3, 0), asked.get(4, 0)
        return b"".join(chunk(number, DATA[number * CHUNK:(number + 1) * CHUNK])
                        for number in range(first, min(first + count, 3)))
    return failure(4)


class Holder(HostileServer):
    """Listens for transfers. `behave(kind, fields)` returns the bytes of an answer, or CLOSE."""

    def __init__(self, listener=None):
        self.behave, self.welcome, self.requests = right, WELCOME, 0
        super().__init__(listener)

    def converse(self, one):
        receive_from(one)
        one.sendall(self.welcome)
        while True:
            request = parse(receive_from(one))
            kind = next(iter(request), 0)
            self.requests += 1
            told = self.behave(kind, parse(request[kind]) if kind else {})
            if told is CLOSE:
                return
            one.sendall(told)

    def forget(self):
        super().forget()
        self.requests = 0


def start(arena):
    arena.start_network(3, files={"s1": {"wanted.bin": DATA}})


def get(arena, given, name, told_hit, first):
    """An honest get of `name`, which the liar announces; seen is what was saved, and how often it was asked."""
    liar = arena.keep("liar", Holder)
    one = linked_member(arena)
    liar.welcome, liar.behave = given if isinstance(given, tuple) else (WELCOME, given)
    liar.forget()
    own = [field(4, varint(one.order) + varint(0)), field(8, 1)]
    one.on_query = lambda asked: [
        answer(asked[1], *([holder(one.name.decode(), f"127.0.0.1:{liar.port}"), told_hit]
                           if name.encode() in asked[3] or asked[3] == ROOT.hex().encode() else [])),
                                  answer(asked[1], *own)]
    target = arena.network.folder / "taken" / "wanted"
    target.unlink(missing_ok=True)
    began = time.monotonic()
    code, told = arena.ask(first, f"get {name} -o {target} --force")
    one.on_query = None
    data = target.read_bytes() if target.exists() else None
    target.unlink(missing_ok=True)
    return seen(code=code, right=data == DATA, saved=data is not None, connections=liar.connections,
                requests=liar.requests,
                seconds=time.monotonic() - began, told=told[-1])


def deliver_beside(arena, given):
    """s2 fetches what s1 and the liar have."""
    return get(arena, given, "wanted.bin", hit("wanted.bin", len(DATA), ROOT), "s2")


def deliver_alone(arena, given):
    """s2 fetches what only the liar has: something else under a root that is not that of DATA."""
    name = f"alone-{os.urandom(4).hex()}.bin"
    return get(arena, given, name, hit(name, len(DATA), hashlib.sha256(name.encode()).digest()), "s2")


def example(code=0, is_right=True, saved=True, connections=1):
    return seen(code=code, right=is_right, saved=saved, connections=connections, requests=1, seconds=1.0, told={})


CONNECTIONS = 64
beside_right = Must("the file is fetched from an honest peer, and is right",
                    lambda given, result: result.code in (0, 3) and result.right and result.connections <= CONNECTIONS,
                    ((None, example(code=1)), (None, example(is_right=False)), (None, example(connections=512))))
alone_nothing = Must("nothing is saved, and the get ends",
                     lambda given, result: result.code != 0 and not result.saved and result.connections <= CONNECTIONS,
                     ((None, example()), (None, example(code=1)),
                      (None, example(code=1, saved=False, connections=512))))

holders = Place("holders", start, deliver_beside)


def lie_at(kind, told):
    """Right, but for requests of that kind: bytes, or a function of the request."""
    return lambda asked_kind, asked: (told(asked) if callable(told)
                                      else told) if asked_kind == kind else right(asked_kind, asked)


# --- beside an honest holder
@holders.inputs("a holder whose chunks are wrong", beside_right)
def _(random):
    bad = bytearray(DATA[:CHUNK])
    bad[random.randrange(CHUNK)] ^= 1 << random.randrange(8)
    return lie_at(CHUNKS_ASKED, lambda asked: b"".join(chunk(number, bytes(bad))
                                                       for number in range(asked.get(3, 0), 3)))


@holders.inputs("a holder whose hashes are wrong", beside_right)
def _(random):
    order = random.choice([HASHES[::-1], [*HASHES[:2], random.randbytes(32)], HASHES[:2], HASHES * 2, []])
    return lie_at(LIST_ASKED, chunk_list(hashes=b"".join(order)))


@holders.inputs("a holder that tells another size", beside_right)
def _(random):
    return lie_at(LIST_ASKED, chunk_list(size=random.choice([0, 1, len(DATA) - 1, len(DATA) + 1, 1 << 44,
                                                             (1 << 64) - 1])))


@holders.inputs("a holder whose chunks have another size", beside_right)
def _(random):
    return lie_at(LIST_ASKED, chunk_list(chunk_bytes=random.choice([0, 1, 1 << 14, 1 << 21, 1 << 24, 1 << 25, 3,
                                                                    1 << 63])))


@holders.inputs("a list of hashes that begins elsewhere, or does not end", beside_right)
def _(random):
    first, times = random.choice([1, 2, 3, 1 << 24, (1 << 64) - 1, 0]), random.randrange(1, 200)
    return lie_at(LIST_ASKED, chunk_list(first=first) * times)


@holders.inputs("a list of more hashes than a file has", beside_right)
def _(random):
    return lie_at(LIST_ASKED, chunk_list(hashes=random.randbytes(32 * random.randrange(4, 1500))))


@holders.inputs("chunks that were not asked for", beside_right)
def _(random):
    number = random.choice([3, 4, 1 << 20, (1 << 64) - 1])
    return lie_at(CHUNKS_ASKED, lambda asked: chunk(number, DATA[:CHUNK]))


@holders.inputs("chunks of a length that cannot be", beside_right)
def _(random):
    size = random.choice([0, 1, CHUNK - 1, CHUNK + 1, 1 << 24, (1 << 24) + 1, (1 << 32) - 1])
    return lie_at(CHUNKS_ASKED, lambda asked: chunk(asked.get(3, 0), DATA[:CHUNK], size))


@holders.inputs("a cut that cannot be", beside_right)
def _(random):
    return lie_at(CHUNKS_ASKED, lambda asked: cut(random.choice([asked.get(3, 0), 1 << 40, 0, (1 << 64) - 1])))


@holders.inputs("a cut after each chunk", beside_right)
def _(random):
    return lie_at(CHUNKS_ASKED, lambda asked: chunk(asked.get(3, 0), DATA[asked.get(3, 0) * CHUNK:][:CHUNK]) + (
        cut(asked.get(3, 0) + 1) if asked.get(4, 0) > 1 else b""))


@holders.inputs("failures of any reason, with any sentence", beside_right)
def _(random):
    told = failure(random.randrange(0, 200), random.choice([b"\x1b[2J", b"x" * 4000, noise(random), b"\xff\xfe",
                                                            b"a\nb"]))
    return lambda kind, asked: told


@holders.inputs("a set of chunks that cannot be", beside_right)
def _(random):
    told = random.choice([held(None, 0, b"\xff"), held(None, 3, b"\xff"), held(None, CHUNK, b"\xff" * 40_000),
                          held(1, CHUNK, b"\xff"), held(None, CHUNK, b""), held(None, 1 << 63, b"\x01")])
    return lie_at(HELD_ASKED, told)


@holders.inputs("answers of another kind", beside_right)
def _(random):
    kinds = [chunk_list(), chunk(0, b"x" * 9), held(1), cut(1), failure(1), waiting(1), frame(field(3, b""))]
    told = b"".join(random.choice(kinds) for _ in range(random.randrange(1, 9)))
    return lambda kind, asked: told


@holders.inputs("answers that are no frames", beside_right)
def _(random):
    told = random.choice([b"\xff" * 9, frame(overlong(random)), frame(b""), frame(field(99, b"x")),
                          random.randbytes(5000)])
    return lambda kind, asked: told


@holders.inputs("a holder that closes, at once or after some chunks", beside_right)
def _(random):
    after = random.randrange(0, 3)
    def behave(kind, asked):
        nonlocal after
        after -= 1
        return right(kind, asked) if after >= 0 else CLOSE
    return behave


@holders.inputs("a holder that does not welcome", beside_right)
def _(random):
    return random.choice([frame(field(2, message(random.choice([1, 75, 76, 77, 999, 0]), b"\x1b[2J" + noise(random)))),
                          frame(overlong(random)), b"\xff\xff\xff\xff", frame(field(1, field(1, 99))),
                          frame(b"")]), right


@holders.inputs("a holder that lets everybody wait", beside_right)
def _(random):
    told = waiting(random.choice([0, 1, 2, 64, 65, 1 << 31])) * random.randrange(1, 50)
    return lambda kind, asked: told


# --- alone
@holders.inputs("a file that nobody else has, with wrong hashes", alone_nothing, deliver_alone)
def _(random):
    return lie_at(LIST_ASKED, chunk_list(hashes=random.randbytes(96)))


@holders.inputs("a file that nobody else has, with hashes of another file", alone_nothing, deliver_alone)
def _(random):
    return right


@holders.inputs("a file that nobody else has, with chunks only", alone_nothing, deliver_alone)
def _(random):
    return lie_at(LIST_ASKED, chunk(random.randrange(3), DATA[:CHUNK]))


@holders.inputs("a file that nobody else has, and failures", alone_nothing, deliver_alone)
def _(random):
    told = failure(random.randrange(1, 6), noise(random))
    return lambda kind, asked: told


@holders.inputs("a file that nobody else has, and no frames", alone_nothing, deliver_alone)
def _(random):
    told = random.choice([b"\xff" * 9, frame(overlong(random)), frame(b""), random.randbytes(5000)])
    return lambda kind, asked: told


@holders.inputs("a holder that stops in the middle of a chunk", beside_right)
def _(random):
    at = random.randrange(1, CHUNK)
    return lie_at(CHUNKS_ASKED, lambda asked: chunk(asked.get(3, 0), DATA[:CHUNK])[:at])


def deliver_trapped(arena, given):
    """A hit for which hundreds of holders are named, all of them at one address; seen is how often that is dialled."""
    hole = arena.keep("trap", Trap)
    one, dials = linked_member(arena), hole.connections
    parts = [b"".join([holder(f"x{at + number}", f"127.0.0.1:{hole.port}") for number in range(100)]
                      + [hit("trapped.bin", 9, given[1], number) for number in range(100)])
             for at in range(0, given[0], 100)]
    own = [field(4, varint(one.order) + varint(0)), field(8, 1)]
    one.on_query = lambda asked: [answer(asked[1], part) for part in parts] + [answer(asked[1], *own)]
    code, _ = arena.ask("s2", "get trapped.bin")
    one.on_query = None
    return seen(code=code, right=False, saved=False, connections=hole.connections - dials, requests=0, seconds=0,
                told={})


@holders.inputs("hundreds of holders at one address", alone_nothing, deliver_trapped)
def _(random):
    return random.randrange(1, 6) * 100, random.randbytes(32)


# --- lists
def file_list(random, count, more, names=None):
    files = b"".join(field(1, message(random.randbytes(32), 9, names[at] if names
                                      else b"f%012d" % random.getrandbits(39)))
                     for at in range(count))
    return frame(field(3, files + field(2, int(more))))


def deliver_list(arena, given):
    """An honest `list` of the member, whose port answers as `given` says."""
    one = linked_member(arena)
    liar = arena.keep(("lists", one.name), lambda: Holder(one.listener))
    liar.behave = given
    liar.forget()
    console = arenas.Console(arena.network.folder / "s2/.espalier", arena.patience)
    code, told = console.ask(f"list {one.name.decode()}", arena.network.folder)
    console.close()
    return seen(code=code, files=len(told[-1].get("files", [])), requests=liar.requests)


list_ends = Must("the list ends, and is not longer than a list may be",
                 lambda given, result: result.files <= 100_000 and result.requests <= 10_000,
                 ((None, seen(code=0, files=10**6, requests=1)), (None, seen(code=0, files=1, requests=10**6))))


@holders.inputs("a list without end, whose names do not go on", list_ends, deliver_list)
def _(random):
    page = file_list(random, random.randrange(1, 256), True)
    return lambda kind, asked: page


@holders.inputs("a list without end, whose names go on", list_ends, deliver_list, fresh=True)
def _(random):
    numbers = iter(range(1 << 40))
    root, padding = random.randbytes(32), random.randrange(0, 200)
    def behave(kind, asked):
        files = b"".join(field(1, message(root, 9, b"%012d" % next(numbers) + b"y" * padding)) for _ in range(250))
        return frame(field(3, files + field(2, 1)))
    return behave


@holders.inputs("a list of names that nobody may have", list_ends, deliver_list)
def _(random):
    names = [random.choice([b"../x", b"/x", b"\x1b[2J", b"\xff", b"", b"a\x00b", b".espalier/index", b"x" * 4096])
             for _ in range(20)]
    page = file_list(random, 20, random.random() < 0.5, names)
    return lambda kind, asked: page


@holders.inputs("a list that is no list", list_ends, deliver_list)
def _(random):
    told = random.choice([chunk_list(), held(1), frame(overlong(random)), frame(field(3, field(2, 1))), waiting(9),
                          failure(3),
                          b"\xff\xff\xff\xff", frame(field(3, field(1, message(b"short", 9, b"f"))))])
    return lambda kind, asked: told
