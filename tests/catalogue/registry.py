"""A session with the metaserver: requests of a stranger, or of a member that lies."""
import socket
import types

from catalogue import Must, Place
from wire import MEMBERS, REGISTRY, bad_host, bad_id, frame, hello, join, parse

ADMITTED, FAILURE = 1, 8


class Session:
    """A connection to the metaserver after Hello and Welcome."""

    def __init__(self, arena, receive_buffer=None):
        host, port = arena.network.address.rsplit(":", 1)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(arena.patience)
        self.socket.connect((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send(hello(REGISTRY))
        assert 1 in parse(self.receive()), "the Hello was not welcome"

    def send(self, *payloads):
        self.socket.sendall(b"".join(frame(one) for one in payloads))

    def take(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("closed")
            data += more
        return data

    def receive(self):
        return self.take(int.from_bytes(self.take(4), "big"))

    def close(self):
        self.socket.close()


def deliver(arena, given):
    """Sends the requests and then asks for the number of members, so that all have been read when that is answered."""
    seen = types.SimpleNamespace(replies=[], closed=False, topo={})
    session = Session(arena)
    try:
        session.send(*given, MEMBERS)
        while not seen.replies or 6 not in seen.replies[-1]:
            seen.replies.append(parse(session.receive()))
    except ConnectionError:
        seen.closed = True
    seen.topo = arena.network.topo()
    session.close()
    return seen


def seen(*replies, closed=False, topo=()):
    return types.SimpleNamespace(replies=list(replies), closed=closed, topo=dict.fromkeys(topo, []))


def is_admitted(result):
    return any(ADMITTED in reply for reply in result.replies)


def only_honest(topo):
    return all(name.startswith("s") and name[1:].isdigit() for name in topo)


not_admitted = Must("nobody is admitted",
                    lambda given, result: not is_admitted(result) and only_honest(result.topo),
                    (([], seen({ADMITTED: b""})), ([], seen({FAILURE: b""}, topo=["s1", "m"]))))
session_ends = Must("the session ends, and nobody is admitted",
                    lambda given, result: result.closed and not is_admitted(result) and only_honest(result.topo),
                    (([], seen({FAILURE: b""})), ([], seen({ADMITTED: b""}, closed=True))))


registry = Place("registry", lambda arena: arena.start_network(3), deliver)


@registry.inputs("a join whose host cannot be parsed", session_ends)
def _(random):
    return [join(host=bad_host(random))]


@registry.inputs("a join under bytes that are no id", session_ends)
def _(random):
    return [join(name=bad_id(random))]


@registry.inputs("a join under the id of a member, with another key", not_admitted)
def _(random):
    return [join(random.choice([b"s1", b"s2", b"s3"]), random.randbytes(16), order=random.choice([None, 1, 2, 3]))]
