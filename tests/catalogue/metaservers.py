"""A metaserver that lies: each input is one peer that joins it.

Whatever it is told, the peer runs on or ends with a code and a reason, answers at its console, dials nobody again and
again, and ends when it is asked to.
"""
import contextlib
import os
import socket
import threading

import arena as arenas
from catalogue import Must, Place
from intruder import HostileServer, receive_from
from member import Trap
from session import seen
from wire import (BAD_TEXTS, bad_host, bad_id, contact, field, frame, message, noise, overlong, parse)

WELCOME = frame(field(1, field(1, 1)))
NETWORK = b"a lying network."
JOIN, TOPOLOGY_ASKED = 1, 6
DIALS, SESSIONS = 60, 20  # Rate::referrals: 40 at once, then 8 a second
CODES = {0, 1, 69, 74, 75, 76, 77, 78}


class Lie:
    """What a metaserver says. `join` and `later` are functions of (peer's name, its port, a trap's port) that return
    payloads: in answer to a Join, and after the first frame behind it. `topology(after)` answers requests."""

    def __init__(self, join=None, later=None, topology=None, repeat=1, ask=()):
        self.join, self.later, self.topology = join or admits, later, topology or (lambda after: field(7, b""))
        self.repeat, self.ask = repeat, ask  # commands at the peer's console


def admits(name, port, _trap, **other):
    values = dict(network=NETWORK, own=contact(name, 7, port=port), max_links=4, interval=100, members=1,
                  referral=field(1, 2))
    values.update(other)
    return [field(1, message(*values.values()))]


class Metaserver(HostileServer):
    """Listens; `lie` says what it answers. `told` is set once a peer has been told everything, or has left."""

    def __init__(self):
        self.lie, self.trap, self.told = None, None, threading.Event()
        super().__init__()

    def serve(self, one):
        super().serve(one)
        self.told.set()

    def converse(self, one):
        one.settimeout(20)
        lie = self.lie
        receive_from(one)
        one.sendall(WELCOME)
        name, port, frames = b"", 0, 0
        while True:
            request = parse(receive_from(one))
            if JOIN in request:
                name, port, frames = parse(request[JOIN])[1], free_port(), 0
                answer = lie.join(name, port, self.trap.port)
            elif TOPOLOGY_ASKED in request:
                answer = [lie.topology(parse(request[TOPOLOGY_ASKED]).get(1, 0))]
            elif 5 in request:
                answer = [field(5, field(1, 100))]
            else:
                answer = [field(6, message(1, 7))] if 7 in request else []
            frames += 1
            if frames == 2 and lie.later:
                answer += [payload for _ in range(lie.repeat) for payload in lie.later(name, port, self.trap.port)]
            one.sendall(b"".join(frame(each) for each in answer))
            if frames >= 5:
                self.told.set()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def start(arena):
    (arena.network.folder / "hostile").mkdir()


def deliver(arena, given):
    """A peer joins, is told the lie, and is asked to end."""
    liar, hole = arena.keep("metaserver", Metaserver), arena.keep("trap", Trap)
    liar.trap, liar.lie, liar.connections = hole, given, 0
    liar.told.clear()
    dials = hole.connections
    name = f"v{os.urandom(5).hex()}"
    folder = arena.network.folder / "hostile" / name
    folder.mkdir()
    (folder / "own.txt").write_bytes(b"own\n")
    peer = arenas.espalier_process.Process(name, [
        arena.network.program("peer"), "--metaserver", liar.address, "--id", name, "--share", f"./{name}",
                                                  "--headless"],
        arena.network.folder / "hostile", arena.network.env, arena.patience)
    result = seen(console=False, ended=False, code=None, dials=0, grown=0, log="")
    try:
        liar.told.wait(3)
        with contextlib.suppress(OSError):  # a peer that ended has no console
            arenas.espalier_process.wait_until(lambda: (folder / ".espalier/control.sock").exists() or not peer.alive,
                                               arena.patience, "the console")
            console = arenas.Console(folder / ".espalier", arena.patience)
            for line in ("status", *given.ask):
                console.ask(line.replace("SELF", name), folder)
            console.close()
            result.console = True
        if peer.alive:
            result.grown = max(0, peer.peak_memory_bytes() - (32 << 20))  # a peer alone takes less
        if not result.console:  # then it has ended, or ends now
            arenas.espalier_process.wait_until(lambda: not peer.alive, arena.patience, "an answer, or the peer's end")
            result.console = True
        result.dials, result.sessions = hole.connections - dials, liar.connections
        result.code = peer.end()
        result.log = peer.log
        result.ended = True
    finally:
        if peer.alive:
            peer.kill()
    return result


def example(console=True, ended=True, code=0, dials=0, grown=0, log="", sessions=1):
    return seen(console=console, ended=ended, code=code, dials=dials, grown=grown, log=log, sessions=sessions)


def sane(given, result):
    return (result.console and result.ended and result.code in CODES and result.dials <= DIALS
            and result.sessions <= SESSIONS and result.grown <= arenas.GROWTH_BYTES
            and not arenas.CONTROLS.search(result.log.encode()))


stands = Must("the peer answers at its console, ends when it is asked to, and dials nobody again and again", sane,
              ((None, example(console=False)), (None, example(ended=False)), (None, example(code=-11)),
               (None, example(dials=DIALS + 1)), (None, example(grown=1 << 30)), (None, example(log="\x1b[2J")),
               (None, example(sessions=1000))))

metaservers = Place("metaservers", start, deliver)


def attach_to(parent):
    return message(3, parent)


@metaservers.inputs("a slot at oneself", stands)
def _(random):
    order, host = random.choice([7, 1, 9]), random.choice([b"127.0.0.1", b"localhost", b"127.0.0.2"])
    return Lie(lambda name, port, trap: admits(name, port, trap, referral=attach_to(contact(name, order, host, port))))


@metaservers.inputs("a slot under the own id at another address", stands)
def _(random):
    return Lie(lambda name, port, trap: admits(name, port, trap, referral=attach_to(contact(name, 7, port=trap))))


@metaservers.inputs("an interval of heartbeats at its edges", stands)
def _(random):
    interval = random.choice([100, 101, 600_000, 599_999])
    return Lie(lambda name, port, trap: admits(name, port, trap, interval=interval))


@metaservers.inputs("an interval of heartbeats that cannot be", stands)
def _(random):
    interval = random.choice([0, 1, 99, 600_001, (1 << 31) - 1, (1 << 32) - 1])
    return Lie(lambda name, port, trap: admits(name, port, trap, interval=interval))


@metaservers.inputs("numbers of links and members that cannot be", stands)
def _(random):
    links, members = random.choice([(0, 1), (1, 1), (65, 1), ((1 << 32) - 1, 1), (4, 0), (4, (1 << 20) + 1),
                                    (4, 1 << 63)])
    return Lie(lambda name, port, trap: admits(name, port, trap, max_links=links, members=members))


@metaservers.inputs("an admission of another, of nobody, or into no network", stands)
def _(random):
    bad, host = bad_id(random) or b" ", bad_host(random)
    wrong = random.choice([{"own": contact(b"other", 7)}, {"own": contact(bad, 7)}, {"own": contact(b"x", 0)},
                           {"own": contact(host=host)}, {"own": None}, {"network": b"short"}, {"network": None},
                           {"own": contact(order=1 << 63)}, {"referral": None}])
    return Lie(lambda name, port, trap: admits(name, port, trap, **wrong))


@metaservers.inputs("an admission again and again, each time as another", stands)
def _(random):
    networks, orders = [NETWORK, b"another network."], [1, 7, 8, (1 << 63) - 1]
    return Lie(later=lambda name, port, trap: admits(
        name, random.choice([port, trap, free_port()]), trap, network=random.choice(networks),
        own=contact(name, random.choice(orders), port=free_port())), repeat=random.randrange(1, 12))


@metaservers.inputs("addresses of other metaservers that cannot be, or that are somebody else's", stands)
def _(random):
    bad = bad_host(random)
    def others(trap):
        one = random.choice([(b"127.0.0.1", trap), (b"localhost", trap), (bad, 5000), (b"10.0.0.1", 0), (b"x", 65536),
                             (b"0.0.0.0", trap), (b"127.0.0.1", free_port())])
        return b"".join(field(8, message(*one)) for _ in range(random.choice([1, 15, 16, 1000])))
    def joined(name, port, trap):
        return [field(1, parse(admits(name, port, trap)[0])[1] + others(trap))]
    # Behind the second answer its session ends.
    ending = random.choice([[], [b"\xff"]])
    return Lie(joined, lambda name, port, trap: ending)


@metaservers.inputs("referrals that nobody asked for", stands)
def _(random):
    kinds = [lambda trap: message(1), lambda trap: message(2), lambda trap: attach_to(contact(b"p", 3, port=trap)),
             lambda trap: attach_to(contact(b"p%d" % random.randrange(99), random.randrange(1, 99), port=trap))]
    return Lie(later=lambda name, port, trap: [field(2, random.choice(kinds)(trap))], repeat=random.randrange(1, 100))


@metaservers.inputs("referrals that cannot be", stands)
def _(random):
    bad, host = bad_id(random) or b" ", bad_host(random)
    wrong = random.choice([message(0), message(4), message(3), message(3, contact(bad)), message(3, contact(host=host)),
                           message(3, contact(port=0)), message((1 << 32) - 1), b""])
    return Lie(later=lambda name, port, trap: [field(2, wrong)]) if random.random() < 0.5 else Lie(
        lambda name, port, trap: admits(name, port, trap, referral=wrong))


@metaservers.inputs("answers that nobody asked for", stands)
def _(random):
    kinds = [field(6, message(1 << 20, (1 << 63) - 1)), field(7, message(None, 1)), field(7, b""),
             field(8, message(77, b"no")),
             field(3, message(b"wait")), field(4, message(b"word")), field(5, message(100)), field(6, message(0, 0))]
    return Lie(later=lambda name, port, trap: [random.choice(kinds)], repeat=random.randrange(1, 400))


def entry(name, order, parent=None, neighbours=()):
    return field(1, message(contact(name, order), parent) + b"".join(field(3, one) for one in neighbours))


@metaservers.inputs("a topology with cycles, twins and links of one side", stands)
def _(random):
    count = random.randrange(2, 40)
    ids = [b"p%d" % random.randrange(count) for _ in range(count)]
    told = b"".join(entry(one, number + 1, random.choice([None, one, *ids]), [
        random.choice(ids) for _ in range(random.randrange(5))]) for number, one in enumerate(ids))
    return Lie(topology=lambda after: field(7, told), ask=("topo", f"whatif kill {ids[0].decode()}",
                                                           "whatif kill SELF"))


@metaservers.inputs("pages of a topology that do not go on", stands)
def _(random):
    kind = random.randrange(3)
    same = entry(b"p", 5)
    return Lie(topology=lambda after: [field(7, same + field(2, 1)), field(7, field(2, 1)),
                                       field(7, entry(b"p", max(1, after - 1)) + field(2, 1))][kind], ask=("topo",))


@metaservers.inputs("a topology of what cannot be", stands)
def _(random):
    bad, host = bad_id(random) or b" ", bad_host(random)
    told = random.choice([entry(bad, 5), entry(b"p", 0), field(1, message(contact(host=host))), entry(b"p", 5, bad),
                          entry(b"p", 5, None, [b"x%d" % one for one in range(65)]), overlong(random)])
    return Lie(topology=lambda after: field(7, told), ask=("topo",))


@metaservers.inputs("Wait without end", stands)
def _(random):
    reason = random.choice([*BAD_TEXTS, b"x" * 1024])
    return Lie(lambda name, port, trap: [field(3, message(reason))] * random.randrange(1, 500))


@metaservers.inputs("a word or a failure with what a terminal takes as a command", stands)
def _(random):
    told = random.choice([*BAD_TEXTS, b"\x1b[2J" * 200, noise(random)])
    return Lie(lambda name, port, trap: [random.choice([field(4, message(told[:256])), field(8, message(
        random.choice([0, 1, 69, 75, 76, 77, 78, 999]), told[:1024]))])])


@metaservers.inputs("a reason why a peer cannot be reached, again and again", stands)
def _(random):
    told = random.choice([*BAD_TEXTS, b"x" * 1024, b"\x1b]0;x\x07"])
    return Lie(later=lambda name, port, trap: [field(5, message(100, told + b"%d" % random.randrange(99)))],
               repeat=random.randrange(1, 200))


@metaservers.inputs("answers that are no message", stands)
def _(random):
    bad = random.choice([overlong(random), b"", field(99, b"x"), field(1, overlong(random)),
                         field(random.randrange(1, 9), random.randbytes(40))])
    return random.choice([Lie(lambda name, port, trap: [bad]), Lie(later=lambda name, port, trap: [bad])])


@metaservers.inputs("more than anybody asked for", stands)
def _(random):
    large = field(3, message(b"x" * 1000)) if random.random() < 0.5 else field(7, b"".join(
        entry(b"p%d" % number, number + 1) for number in range(1500)))
    return Lie(later=lambda name, port, trap: [large], repeat=random.randrange(50, 300))
