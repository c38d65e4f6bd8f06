"""Pushes: offers, ledgers and push connections of a member that lies. s2 accepts all pushes, s1 and s3 those of s9."""
import contextlib
import os
import time

import arena as arenas
from catalogue import Must, Place
from member import Trap, linked_member
from session import Session, seen
from wire import PUSH, bad_host, bad_id, contact, field, message, noise, overlong, parse

OFFERED, ACCEPTED, LOST, FAILED, DECLINED, VERIFIED = range(6)
PUSH_FRAME = 12
DIALS = 40


def push_file(name=b"bogus.txt", size=9, root=b"r" * 32):
    return field(6, message(name, size, root))


def offer(identity, sender, via, *more, late=None, end=None):
    return field(PUSH_FRAME, field(1, message(identity, sender, via, late, end) + b"".join(more)))


def entry(version, state, peer, via=b"s1", late=None, reason=None):
    return field(3, message(version, state, peer, via, late, reason))


def ledger(identity, *entries, end=0):
    return field(PUSH_FRAME, field(2, message(identity, end) + b"".join(entries)))


def start(arena):
    arena.network.start_metaserver("--max-links", "8")
    for name, accepted in (("s1", "s9"), ("s2", "all"), ("s3", "none")):
        arena.network.start_peer(name, "--accept-push", accepted, files={
            f"honest-{name}.txt": arena.honest_data(name), **({"pushed.txt": b"pushed\n"} if name == "s1" else {})})
        arena.network.peers[name].expect_log("joined on")
    arena.network.wait_for_tree(["s1", "s2", "s3"])
    for name in ("s1", "s2", "s3"):
        arena.network.wait_indexed(name)
    arena.honest = ["s1", "s2", "s3"]


def pushes_of(arena, name):
    return arena.ask(name, "push")[1][0]["pushes"]


def honest_push(arena):
    """An open push of s1: (id, [contacts of s1, s2, s3]). s2 has it verified, s3 has declined it."""
    def make():
        one = linked_member(arena)
        at = len(one.frames)
        console = arena.keep("pushing", lambda: arenas.Console(arena.network.folder / "s1/.espalier", arena.patience))
        console.begin("push s1/pushed.txt", arena.network.folder)  # open as long as the member says nothing
        offers = lambda: [fields for fields in map(parse, one.frames[at:]) if PUSH_FRAME in fields]
        with one.heard:
            assert one.heard.wait_for(offers, arena.patience), "no offer"
            identity = parse(parse(offers()[0][PUSH_FRAME])[1])[1]
        arenas.espalier_process.wait_until(lambda: told_right(arena, identity), arena.patience, "an honest push")
        arena.before_files.update(arena.shared_files())  # s2 has it from now on
        contacts = {name: contact(name.encode(), number, port=int(arena.endpoint(name).rsplit(":", 1)[1]))
                    for number, name in enumerate(("s1", "s2", "s3"), 1)}
        return identity, contacts
    return arena.keep("push", make)


def state_of(arena, name, identity):
    """{peer: state} of that push's ledger at peer `name`."""
    for push in pushes_of(arena, name):
        if push["push"] == identity.hex():
            return {each["peer"]: each["state"] for each in push["ledger"]}
    return None


def ledgers_of(arena, identity):
    return [state_of(arena, name, identity) for name in ("s1", "s2")]


def told_right(arena, identity):
    return all(one is not None and {name: one.get(name) for name in RIGHT} == RIGHT
               for one in ledgers_of(arena, identity))


def deliver(arena, given):
    """Sends `given(member, honest push, trap's port)`; seen is the honest push's ledger at s1, and new files."""
    hole = arena.keep("trap", Trap)
    identity, contacts = honest_push(arena)
    one = linked_member(arena)
    with contextlib.suppress(OSError):
        for payload in given(one, (identity, contacts), hole.port):
            one.send(payload)
    result = seen(ended=not one.synchronize())
    deadline = time.monotonic() + min(arena.patience, 10)
    while not told_right(arena, identity) and time.monotonic() < deadline:
        time.sleep(0.05)  # a peer corrects what others say of it
    result.ledgers = ledgers_of(arena, identity)
    result.told = [push for name in ("s1", "s2", "s3") for push in pushes_of(arena, name)]
    result.files = arena.new_files()
    result.dials, hole.connections = hole.connections, 0
    return result


RIGHT = {"s2": "verified", "s3": "declined"}


def example(ended=False, ledgers=(RIGHT, RIGHT), files=(), dials=0, told=()):
    return seen(ended=ended, ledgers=list(ledgers), files=list(files), dials=dials, told=list(told))


def is_true(result):
    """What the ledgers of s1 and s2 say of s2 and s3 is so, no file came, and nobody was dialled again and again."""
    return not result.files and result.dials <= DIALS and all(
        one is not None and {name: one.get(name) for name in RIGHT} == RIGHT for one in result.ledgers)


FALSE = ((None, example(ledgers=[RIGHT, {"s2": "verified", "s3": "verified"}])), (None, example(ledgers=[None, RIGHT])),
         (None, example(files=["s2/bogus.txt"])), (None, example(dials=DIALS + 1)))
stays_true = Must("the ledger of an honest push stays true, and nothing is saved", lambda given,
                  result: is_true(result), FALSE)
link_ends = Must("its link ends, and the ledger of an honest push stays true",
                 lambda given, result: result.ended and is_true(result), (*FALSE, (None, example())))

pushes = Place("pushes", start, deliver)


def identity(random):
    return random.randbytes(16)


def own(one, port):
    return contact(one.name, one.order, port=port)


# --- offers
@pushes.inputs("offers of what the sender does not have", stays_true)
def _(random):
    files = [push_file(b"bogus%d.txt" % number, random.randrange(1, 1 << 20), random.randbytes(32))
             for number in range(random.randrange(1, 20))]
    return lambda one, push, port: [offer(identity(random), own(one, port), one.name, *files)]


@pushes.inputs("offers in the name of an honest peer", stays_true)
def _(random):
    name = random.choice([b"s1", b"s2", b"s3"])
    return lambda one, push, port: [offer(identity(random), contact(name, int(name[1:]), port=port), name,
                                          push_file(root=random.randbytes(32)))]


@pushes.inputs("many offers at once", stays_true)
def _(random):
    count = random.randrange(17, 60)
    return lambda one, push, port: [offer(identity(random), contact(b"g%d" % number, 99 + number, port=port), one.name,
                                          push_file(root=random.randbytes(32), size=1 << random.randrange(1, 44)))
                                    for number in range(count)]


@pushes.inputs("large offers at once", stays_true)
def _(random):
    files = [push_file(b"n%04d" % number + b"y" * 60, 1, random.randbytes(32)) for number in range(550)]
    count = random.randrange(5, 40)
    return lambda one, push, port: [offer(identity(random), own(one, port), one.name, *files) for _ in range(count)]


@pushes.inputs("an offer with names that lead elsewhere", stays_true)
def _(random):
    names = [b"../bogus.txt", b"/bogus.txt", b".espalier/index", b"a/../../bogus.txt", b".ssh/authorized_keys",
             b"a\x00b",
             b"x" * 300, b"a/" * 70 + b"b", b"\x1b[2J", b".", b"..", b"honest-s2.txt/x", b".profile"]
    return lambda one, push, port: [offer(identity(random), own(one, port), one.name, push_file(
        random.choice(names), 9, random.randbytes(32)))]


@pushes.inputs("an offer of files that cannot exist", stays_true, fresh=True)
def _(random):
    bad = random.choice([push_file(size=0), push_file(root=bytes(32)), push_file(size=(1 << 44))])
    return lambda one, push, port: [offer(identity(random), own(one, port), one.name, bad)]


@pushes.inputs("an offer that breaks a limit", link_ends)
def _(random):
    bad = random.choice([(push_file(size=(1 << 44) + 1),), (push_file(root=b"r" * 31),), (), (push_file(name=b""),),
                         tuple(push_file(b"%d" % number) for number in range(1600)) + (field(5, 7),),
                         (push_file(), *[field(7, b"x%d" % number) for number in range(random.randrange(257, 900))]),
                         (push_file(), field(7, bad_id(random) or b" "))])
    return lambda one, push, port: [offer(identity(random), own(one, port), one.name, *bad)]


@pushes.inputs("an offer of nobody, or with an id of another length", link_ends)
def _(random):
    bad, host, length = bad_id(random) or b" ", bad_host(random), random.choice([0, 1, 15, 17, 64])
    choice = random.randrange(4)
    return lambda one, push, port: [[
        offer(identity(random), contact(bad), one.name, push_file()),
        offer(identity(random), contact(host=host), one.name, push_file()),
        offer(random.randbytes(length), own(one, port), one.name, push_file()),
        offer(identity(random), own(one, port), bad, push_file())][choice]]


@pushes.inputs("the offer of an honest push with another content", stays_true)
def _(random):
    return lambda one, push, port: [offer(push[0], random.choice([own(one, port), push[1]["s1"]]), one.name,
                                          push_file(b"pushed.txt", 99, random.randbytes(32)))]


@pushes.inputs("an offer again and again, each time ended or late in another way", stays_true)
def _(random):
    same = identity(random)
    times = random.randrange(2, 40)
    return lambda one, push, port: [offer(same, own(one, port), one.name, push_file(), late=random.randrange(2),
                                          end=random.randrange(3)) for _ in range(times)]


# --- ledgers
@pushes.inputs("entries of an honest peer with any state", stays_true)
def _(random):
    name, state = random.choice(["s2", "s3"]), random.randrange(6)
    version = random.choice([0, 1, 2, 3, 500, 1023, 1024])
    return lambda one, push, port: [ledger(push[0], entry(version, state, push[1][name]))]


@pushes.inputs("versions of an honest peer that grow in steps", stays_true)
def _(random):
    name, step = random.choice(["s2", "s3"]), random.choice([1, 7, 512, 1024])
    state = random.choice([VERIFIED, FAILED, LOST])
    return lambda one, push, port: [ledger(push[0], *[entry(min(step * number, 1 << 20), state, push[1][name])
                                                      for number in range(1, 1000)])]


@pushes.inputs("entries for an honest peer at another address", stays_true)
def _(random):
    name, state = random.choice([b"s1", b"s2", b"s3"]), random.randrange(6)
    return lambda one, push, port: [ledger(push[0], entry(random.randrange(9), state,
                                                          contact(name, int(name[1:]), port=port)))]


@pushes.inputs("entries of peers that are not there", stays_true)
def _(random):
    first, count = random.randrange(1000, 1 << 40), random.randrange(1, 900)
    return lambda one, push, port: [ledger(push[0], *[entry(0, random.choice([OFFERED, ACCEPTED, VERIFIED]), contact(
        b"f%d" % (first + number), first + number, port=port), one.name) for number in range(count)])]


@pushes.inputs("a ledger that is full of peers that are not there", Must(
    "an honest newcomer still gets the push", lambda given, result: is_true(result) and result.newcomer,
    (*FALSE, (None, seen(newcomer=False, **vars(example()))))), lambda arena, given: deliver_stuffed(arena, given),
               fresh=True)
def _(random):
    first = random.randrange(100_000, 1 << 40)
    return [[(first + at + number, random.choice([ACCEPTED, VERIFIED])) for number in range(800)]
            for at in range(0, 16_800, 800)]


def deliver_stuffed(arena, given):
    """Fills the ledger; then a peer joins that accepts pushes, and its file counts."""
    result = deliver(arena, lambda one, push, port: [ledger(push[0], *[
        entry(0, state, contact(b"f%d" % number, number, port=port), one.name) for number, state in part])
                                                     for part in given])
    name = f"n{given[0][0][0]}"
    newcomer = arena.network.start_peer(name, "--accept-push", "all", files={})
    path = arena.network.folder / name / "pushed.txt"
    deadline = time.monotonic() + arena.patience
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)  # between two looks
    result.newcomer = path.exists()
    newcomer.end()
    del arena.network.peers[name]
    arena.before_files.update(arena.shared_files())
    return result


@pushes.inputs("an honest push that others call ended", stays_true)
def _(random):
    end, state = random.choice([1, 2]), random.choice([None, OFFERED])
    return lambda one, push, port: [ledger(push[0], *([] if state is None else [entry(0, state, own(one, port))]),
                                           end=end)]


@pushes.inputs("a ledger that cannot be", link_ends)
def _(random):
    bad = random.choice([entry(0, random.randrange(6, 1 << 31), contact()),
                         entry(0, 1, contact(bad_id(random))), entry(0, 1, contact(host=bad_host(random))),
                         entry(0, 1, None),
                         entry(0, 1, contact(), bad_id(random) or b" "), entry(0, FAILED, contact(), reason=b"x" * 257),
                         field(3, overlong(random))])
    return lambda one, push, port: [ledger(push[0], bad)]


@pushes.inputs("reasons with what a terminal takes as a command", stays_true)
def _(random):
    reason = random.choice([b"\x1b[2J", b"\x9b2J", b"a\rb", b"\x07" * 200, b"\xff\xfe", b"\xe2\x80\xae" * 9])
    return lambda one, push, port: [ledger(push[0], entry(1, random.choice([FAILED, DECLINED]), own(one, port),
                                                          reason=reason))]


@pushes.inputs("ledgers of pushes that nobody knows", stays_true)
def _(random):
    count = random.randrange(1, 300)
    return lambda one, push, port: [ledger(identity(random), entry(0, VERIFIED, push[1]["s2"])) for _ in range(count)]


@pushes.inputs("pushes with an end that cannot be, or of no kind", link_ends)
def _(random):
    bad = random.choice([lambda push: ledger(push[0], end=random.randrange(3, 1 << 31)),
                         lambda push: field(PUSH_FRAME, b""),
                         lambda push: field(PUSH_FRAME, field(3, noise(random))),
                         lambda push: field(PUSH_FRAME, overlong(random)),
                         lambda push: ledger(push[0][:-1])])
    return lambda one, push, port: [bad(push)]


# --- push connections
def deliver_connections(arena, given):
    """Opens push connections to s1, one for each of `given`; then s1's push goes to a newcomer."""
    honest_push(arena)
    with contextlib.ExitStack() as stack:
        for payloads in given:
            with contextlib.suppress(ConnectionError):
                one = stack.enter_context(Session(arena.endpoint("s1"), PUSH, arena.patience))
                one.send(*payloads)
        name = f"n{os.urandom(5).hex()}"
        newcomer = arena.network.start_peer(name, "--accept-push", "all", files={})
        path = arena.network.folder / name / "pushed.txt"
        try:
            arenas.espalier_process.wait_until(path.exists, arena.patience, "the pushed file at a newcomer")
        finally:
            newcomer.end()
            del arena.network.peers[name]
            for each in (path, path.parent):
                arena.before_files.pop(str(path.relative_to(arena.network.folder)), None)
            path.unlink(missing_ok=True)
    return example()


served = Must("a newcomer still gets an honest push", lambda given, result: is_true(result), FALSE)


@pushes.inputs("push connections that ask for nothing", served, deliver_connections, fresh=True)
def _(random):
    return [[] for _ in range(random.randrange(1, 40))]


@pushes.inputs("push connections that ask for what was not pushed", served, deliver_connections, fresh=True)
def _(random):
    return [[random.choice([field(1, message(random.randbytes(32))),
                            field(2, message(random.randbytes(32), 65536, 0, 9)),
                            field(3, b""), field(4, message(random.randbytes(32))), field(9, b"x"), noise(random)])]
            for _ in range(random.randrange(1, 20))]


