"""Transfers, the hostile end being the asker: requests to the transfer port of an honest peer."""
import contextlib
import time

from catalogue import Must, Place
from arena import espalier_process
from session import Session, seen
from wire import BAD_TEXTS, EDGES, TRANSFER, field, message, noise, number, overlong, parse

CHUNK_LIST, CHUNK, LIST, FAILURE, WAITING, CHUNKS_HELD, CUT = 1, 2, 3, 4, 5, 6, 7
BIG = espalier_process.noise(3 << 20, 5)
SMALL = b"2\n"
BIG_ROOT = bytes.fromhex(espalier_process.file_root(BIG))


def start(arena):
    arena.start_network(3, files={"s1": {"big.bin": BIG, "small.txt": SMALL}})


def chunk_list(root):
    return field(1, message(root))


def chunks(root, chunk_bytes, first, count, within=None):
    return field(2, message(root, chunk_bytes, first, count, within))


def list_request(after=b""):
    return field(3, message(after))


def chunks_held(root):
    return field(4, message(root))


def rejected(root):
    return field(5, message(root))


def answers(one, count):
    """At most `count` answers, without the bytes of chunks, and whether the other side closed."""
    found = []
    try:
        while len(found) < count:
            reply = parse(one.receive())
            if WAITING in reply:
                continue
            if CHUNK in reply:
                one.take(parse(reply[CHUNK]).get(2, 0))
            found.append(reply)
    except ConnectionError:
        return found, True
    return found, False


def deliver(arena, given):
    """Sends the requests to s1, then asks for its list, which is answered last."""
    with Session(arena.endpoint("s1"), TRANSFER, arena.patience) as one:
        if not one.welcomed:
            return seen(replies=[one.first], closed=True, busy=True)
        with contextlib.suppress(ConnectionError):
            one.send(*given, list_request())
        replies = []
        while not replies or LIST not in replies[-1]:
            more, closed = answers(one, 1)
            replies += more
            if closed:
                break
    return seen(replies=replies, closed=closed, busy=False)


def example(*replies, closed=False):
    return seen(replies=list(replies), closed=closed, busy=False)


def serves(result):
    return any(CHUNK in one or CHUNK_LIST in one for one in result.replies)


LISTED = {LIST: b""}
failures_only = Must("each is answered with a failure, and the connection serves on",
                     lambda given, result: not serves(result) and not result.closed and not result.busy
                     and sum(FAILURE in one for one in result.replies) == len(given),
                     (([b""], example(LISTED)), ([b""], example({FAILURE: b""}, closed=True)),
                      ([b""], example({CHUNK: b""}, LISTED))))
ends = Must("the connection ends, and no byte of a file is sent",
            lambda given, result: result.closed and not serves(result),
            (([], example(LISTED)), ([], example({CHUNK: b""}, closed=True))))
answered = Must("the connection is answered to its end", lambda given, result: not result.closed and not result.busy,
                (([], example(closed=True)), ([], seen(replies=[], closed=False, busy=True))))
nothing_served = Must("no byte of a file is sent", lambda given, result: not serves(result),
                      (([], example({CHUNK: b""})),))

askers = Place("askers", start, deliver)


def root(random):
    return random.randbytes(32)


@askers.inputs("requests for files that are not shared", failures_only)
def _(random):
    made = [lambda: chunk_list(root(random)), lambda: chunks(root(random), 1 << 20, 0, 1),
            lambda: chunks_held(root(random))]
    return [random.choice(made)() for _ in range(random.randrange(1, 60))]


@askers.inputs("a root of another length", ends)
def _(random):
    bad = random.randbytes(random.choice([0, 1, 31, 33, 64, 4096]))
    return [random.choice([chunk_list(bad), chunks(bad, 1 << 20, 0, 1), chunks_held(bad), rejected(bad)])]


@askers.inputs("a size of chunks that cannot be", ends)
def _(random):
    size = random.choice([0, 1, 3, 1 << 13, (1 << 20) + 1, 1 << 25, *[one for one in EDGES if one > 1 << 24]])
    return [chunks(BIG_ROOT, size, 0, 1)]


@askers.inputs("a number of chunks that cannot be", ends)
def _(random):
    return [chunks(BIG_ROOT, 1 << 20, 0, random.choice([0, 1025, 65536, (1 << 32) - 1]))]


@askers.inputs("chunks beyond the largest file", ends)
def _(random):
    return [chunks(BIG_ROOT, 1 << 20, random.choice([1 << 24, 1 << 44, 1 << 63, (1 << 64) - 1, (1 << 24) - 1]), 1024)]


@askers.inputs("chunks behind the end of the file", nothing_served)
def _(random):
    return [chunks(BIG_ROOT, 1 << 20, random.randrange(3, 1 << 20), random.randrange(1, 100))]


@askers.inputs("chunks of a size that is not the holder's", answered)
def _(random):
    size = 1 << random.randrange(14, 25)
    return [chunks(BIG_ROOT, size, random.randrange(0, 4), random.randrange(1, 9), random.randrange(2000))]


@askers.inputs("a list from any name on", answered)
def _(random):
    return [list_request(one) for one in random.sample([one for one in BAD_TEXTS if b"\x00" not in one], 6)]


@askers.inputs("a list from a name that is too long, or has a NUL", ends)
def _(random):
    return [list_request(random.choice([b"x" * random.randrange(4097, 60_000), b"a\x00b", b"\x00"]))]


@askers.inputs("many pages of a list without a pause", answered)
def _(random):
    return [list_request(noise(random).replace(b"\x00", b"x")) for _ in range(random.randrange(100, 600))]


@askers.inputs("a request of a kind that nobody knows", Must(
    "it is answered with a failure", lambda given, result: not serves(result)
                                                             and any(FAILURE in one for one in result.replies),
    (([], example(LISTED)), ([], example({CHUNK: b""}, {FAILURE: b""})))))
def _(random):
    return [random.choice([b"", field(random.randrange(6, 1 << 20), noise(random)), field(6, number(random))])]


@askers.inputs("a request that is no message", ends)
def _(random):
    return [random.choice([overlong(random), field(random.randrange(1, 6), overlong(random)), b"\x0a\x7f\x00"])]


@askers.inputs("fields that nobody knows", answered)
def _(random):
    more = b"".join(field(random.randrange(20, 9999), random.choice([noise(random), number(random)]))
                    for _ in range(30))
    return [field(1, message(BIG_ROOT) + more), field(3, more)]


@askers.inputs("a chunk that is called wrong", nothing_served)
def _(random):
    return [rejected(random.choice([BIG_ROOT, root(random)])) for _ in range(random.randrange(1, 30))]


@askers.inputs("the same list of hashes again and again", answered)
def _(random):
    return [chunk_list(BIG_ROOT)] * random.randrange(10, 200)


# --- many connections
def fetch_beside(arena, sessions):
    """An honest get while the sessions are open; seen is how long it took and whether it is right."""
    began = time.monotonic()
    target = arena.network.folder / "taken" / "beside"
    code, _ = arena.ask("s2", f"get small.txt -o {target} --force")
    right = target.exists() and target.read_bytes() == SMALL
    target.unlink(missing_ok=True)
    for one in sessions:
        one.close()
    return seen(right=right and code in (0, 3), seconds=time.monotonic() - began)


honest_get = Must("an honest peer fetches a small file meanwhile", lambda given, result: result.right,
                  (([], seen(right=False, seconds=1.0)),))


def deliver_readers(arena, given):
    """Connections that ask for much, and read nothing or little of it."""
    sessions = []
    for payloads in given:
        with contextlib.suppress(OSError):
            one = Session(arena.endpoint("s1"), TRANSFER, arena.patience, receive_buffer=4096)
            sessions.append(one)
            one.send(*payloads)
    return fetch_beside(arena, sessions)


@askers.inputs("eight connections that ask for a large file and do not read", honest_get, deliver_readers)
def _(random):
    return [[chunks(BIG_ROOT, 1 << 24, 0, 1)] for _ in range(8)]


@askers.inputs("idle connections in all slots and the queue", honest_get, deliver_readers)
def _(random):
    return [[] for _ in range(random.randrange(8, 90))]


@askers.inputs("connections that ask for one thing and stay", honest_get, deliver_readers)
def _(random):
    return [[chunks_held(root(random))] for _ in range(random.randrange(8, 90))]


@askers.inputs("connections that ask a thousand things and do not read", honest_get, deliver_readers)
def _(random):
    return [[chunk_list(BIG_ROOT)] * 1000 for _ in range(random.randrange(1, 6))]


@askers.inputs("connections that begin a request and do not end it", honest_get, deliver_readers)
def _(random):
    return [[] for _ in range(random.randrange(1, 9))]
