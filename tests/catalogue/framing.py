"""Bytes that are no frames, at every port, before and after the Hello."""
import contextlib
import socket

from catalogue import Must, Place
from session import seen
from wire import EDGES, field, frame, hello, message, noise, overlong, parse

PURPOSES = {1: "registry", 2: "link", 3: "transfer", 4: "push"}
READ_BYTES = 1 << 20


def deliver(arena, given):
    """Sends `given`, pieces of bytes, to a port; seen is what came back until the other side closed or nothing came."""
    port, pieces, ends = given
    address = arena.network.address if port == "metaserver" else arena.endpoint(port)
    host, number = address.rsplit(":", 1)
    data, closed = b"", True
    with socket.create_connection((host, int(number)), timeout=arena.patience) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):  # it may have closed already
            for piece in pieces:
                one.sendall(piece)
            if ends:
                one.shutdown(socket.SHUT_WR)
            while len(data) < READ_BYTES:
                more = one.recv(65536)
                if not more:
                    break
                data += more
            closed = len(data) < READ_BYTES
    return seen(data=data, closed=closed)


def replies(data):
    """The frames of `data`."""
    found, at = [], 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at:at + 4], "big")
        found.append(data[at + 4:at + 4 + size])
        at += 4 + size
    return found


def welcomed(result):
    return bool(replies(result.data)) and 1 in parse(replies(result.data)[0])


def example(data=b"", closed=True):
    return seen(data=data, closed=closed)


WELCOME = frame(field(1, field(1, 1)))
not_welcome = Must("it is not welcome, and the connection ends",
                   lambda given, result: result.closed and not welcomed(result),
                   ((None, example(closed=False)), (None, example(WELCOME))))
ends = Must("the connection ends", lambda given, result: result.closed, ((None, example(closed=False)),))
welcome = Must("it is welcome: the Hello is whole", lambda given, result: welcomed(result), ((None, example()),))

framing = Place("framing", lambda arena: arena.start_network(2), deliver)


def port(random):
    return random.choice(["metaserver", "s1", "s2"])


def served(random):
    """(port, purpose) that belong together."""
    at = port(random)
    return at, 1 if at == "metaserver" else random.choice([2, 3, 4])


@framing.inputs("noise before a Hello", not_welcome)
def _(random):
    return port(random), [random.randbytes(random.randrange(1, 5000))], True


@framing.inputs("a first frame of a length that is too much", not_welcome)
def _(random):
    length = random.choice([65537, 65538, 1 << 17, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
    return port(random), [length.to_bytes(4, "big") + noise(random, 5000)], random.random() < 0.5


@framing.inputs("empty frames", not_welcome)
def _(random):
    return port(random), [bytes(4 * random.randrange(1, 3000))], True


@framing.inputs("a Hello that is cut off", not_welcome)
def _(random):
    at, purpose = served(random)
    whole = frame(hello(purpose))
    return at, [whole[:random.randrange(1, len(whole))]], True


@framing.inputs("a Hello for a purpose that is not served", not_welcome)
def _(random):
    at = port(random)
    wrong = [0, 5, 6, 127, 1 << 20, (1 << 31) - 1, *([2, 3, 4] if at == "metaserver" else [1])]
    return at, [frame(hello(random.choice(wrong)))], False


@framing.inputs("a Hello of versions that are not spoken", not_welcome)
def _(random):
    at, purpose = served(random)
    least, most = random.choice([(0, 0), (2, 9), (9, 2), (2, 1), (1 << 31, (1 << 32) - 1), (5, 5)])
    return at, [frame(message(least, most, purpose))], False


@framing.inputs("a Hello that is no message", not_welcome)
def _(random):
    return port(random), [frame(random.choice([overlong(random), b"\x08", b"\x0d\x01", b"\xff" * 30]))], False


@framing.inputs("a Hello with fields and features that nobody knows", welcome)
def _(random):
    at, purpose = served(random)
    more = b"".join(field(random.randrange(20, 9999), noise(random)) for _ in range(random.randrange(1, 60)))
    return at, [frame(message(1, random.choice([1, 2, 999]), purpose, random.choice(EDGES)) + more)], True


@framing.inputs("a Hello byte by byte", welcome)
def _(random):
    at, purpose = served(random)
    whole = frame(hello(purpose))
    return at, [whole[number:number + 1] for number in range(len(whole))], True


@framing.inputs("another protocol", not_welcome)
def _(random):
    return port(random), [random.choice([
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"POST /v3/kv/put HTTP/1.1\r\n\r\n{}", b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.randbytes(500), b"EHLO x\r\n",
                                         b"\x13BitTorrent protocol",
        b"*1\r\n$4\r\nPING\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00\x00\x00\x54\xffSMB"])], True


@framing.inputs("noise behind a Hello", ends)
def _(random):
    at, purpose = served(random)
    return at, [frame(hello(purpose)), random.randbytes(random.randrange(1, 70_000))], True


@framing.inputs("a frame of noise behind a Hello", ends)
def _(random):
    at, purpose = served(random)
    return at, [frame(hello(purpose)), frame(random.randbytes(random.randrange(1, 65_536)))], True


@framing.inputs("a frame behind a Hello whose length is too much", ends)
def _(random):
    at, purpose = served(random)
    length = random.choice([65537, 1 << 20, 1 << 31, (1 << 32) - 1])
    return at, [frame(hello(purpose)) + length.to_bytes(4, "big") + noise(random, 900)], False


@framing.inputs("a half frame behind a Hello, and then an end", ends)
def _(random):
    at, purpose = served(random)
    whole = frame(random.randbytes(random.randrange(2, 65_000)))
    return at, [frame(hello(purpose)), whole[:random.randrange(1, len(whole))]], True


@framing.inputs("many Hellos in one connection", ends)
def _(random):
    at, purpose = served(random)
    return at, [frame(hello(purpose)) * random.randrange(2, 200)], True


@framing.inputs("valid messages with bits that are turned", ends)
def _(random):
    at, purpose = served(random)
    data = bytearray(b"".join(frame(field(random.randrange(1, 13),
                                          message(random.randbytes(16), b"name", 7, b"127.0.0.1", 9)))
                              for _ in range(9)))
    for _ in range(random.randrange(1, 30)):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return at, [frame(hello(purpose)), bytes(data)], True
