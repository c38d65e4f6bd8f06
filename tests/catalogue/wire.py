"""Messages with fields of any value, and generators of values that are not valid or just so.

A message is the payload of a frame, as bytes. None leaves a field out.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "process"))
from intruder import field, frame, hello, message, parse, query, varint  # noqa: F401

REGISTRY, LINK, TRANSFER, PUSH = 1, 2, 3, 4


def parse_all(data):
    """{number: [values]} of a message."""
    found, at = {}, 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 0x80:
                return value
    while at < len(data):
        key = take()
        value = take()
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        found.setdefault(key >> 3, []).append(value)
    return found


UNKNOWN_KEY = b"no key of anyone"

# --- registry
def join(name=b"mallory", key=UNKNOWN_KEY, word=b"P2P", host=b"127.0.0.1", port=9, network=None, order=None,
         parent=None, neighbours=()):
    return field(1, message(name, key, word, host, port, network, order, parent)
                 + b"".join(field(9, one) for one in neighbours))


def port_taken(port):
    return field(2, message(port))


def links(parent, neighbours=()):
    return field(3, message(parent) + b"".join(field(2, one) for one in neighbours))


def seek(lost=None, failed=None):
    return field(4, message(lost, failed))


HEARTBEAT, MEMBERS, QUIT = field(5, b""), field(7, b""), field(8, b"")


def topology(after=0):
    return field(6, message(after))


# --- link
SUBSTRING, GLOB, WORDS, ROOT, PATH = 1, 2, 3, 4, 5
LINK_FAREWELL, HELD = field(9, b""), field(4, b"")


def contact(name=b"mallory", order=1000, host=b"127.0.0.1", port=9):
    return message(name, order, host, port)


def label(sequence, depth):
    return message(sequence, depth)


def attach(network, myself, floor=None, below=1, secret=None):
    return field(1, message(network, myself, floor, below, secret))


def lineage(root, ancestors=(), root_children=()):
    return (b"" if root is None else field(1, root)) + b"".join(field(2, one) for one in ancestors) + b"".join(
        field(3, one) for one in root_children)


def accepted(myself, own_label, members=2, own_lineage=None):
    return field(2, message(myself, own_label, members, own_lineage))


def referred(*candidates):
    return field(3, b"".join(field(1, one) for one in candidates))


def refused(reason):
    return field(5, message(reason))


def heartbeat(own_label, members=1):
    return field(6, message(own_label, members))


def lineage_changed(told):
    return field(7, field(1, told))


def raised(floor, seeker, acceptor):
    return field(8, message(floor, seeker, acceptor))


def peer_exchange(*contacts):
    return field(11, b"".join(field(1, one) for one in contacts))


# --- values
EDGES = [0, 1, 2, 127, 128, 255, 256, 65535, 65536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (1 << 31) - 1, 1 << 31,
         (1 << 32) - 1, 1 << 32, 1 << 44, (1 << 44) + 1, 1 << 48, (1 << 48) + 1, 1 << 62, (1 << 63) - 1, 1 << 63,
         (1 << 64) - 1]
BAD_TEXTS = [b"", b"\x00", b"a\x00b", b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
             b"\x1b[2J\x1b]0;x\x07", b"a\r\nb", b"\x9b31m", b"\xc2\x9b31m", b"%s%n%x", b"../..", b"-rf",
             b"\xe2\x80\xae", b"a b", b"a:b", b"a/b", b".hidden", b"\x7f", b"a\tb", b"{}", b"$(id)", b"`id`", b"'; --",
             b"\xf0\x9f\x98\x80" * 40]
# Code points that show nothing or a blank: an id with one looks like another id.
INVISIBLE = ["\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180e", "\u200b", "\u200c", "\u200d",
             "\u200e", "\u202a", "\u2060", "\u2064", "\u206f", "\u3164", "\ufe00", "\ufe0f", "\ufeff", "\uffa0",
             "\U000e0001", "\U000e0100", "\u2800"]


def number(random):
    """Any number of 64 bits, often at an edge."""
    return random.choice(EDGES) if random.random() < 0.7 else random.getrandbits(random.randrange(1, 65))


def noise(random, most=64):
    return random.randbytes(random.randrange(0, most + 1))


def bad_id(random):
    """Bytes that are no peer id."""
    return random.choice([
        random.choice([one for one in BAD_TEXTS if one not in (b"%s%n%x", b"-rf", b"{}", b"$(id)", b"`id`")]),
        b"x" * random.choice([65, 100, 255, 256, 4096]),
        b"a" + random.choice(INVISIBLE).encode() + b"b",
        b"." + random.choice([b"", b".", b"s1"]),
        b"s1" + random.choice([b" ", b"\n", b"\x00", b":", b"/", b"\xff"]),
    ])


def bad_host(random):
    """Text that is no host of the protocol."""
    return random.choice([b"[x", b"]", b"::g", b"fe80::1%eth0", b"[::1]", b"1.2.3", b"256.1.1.1", b"1.2.3.4.5", b"a b",
                          b"-a", b"a-.b", b"a..b", b"x" * 64, b"a." * 127 + b"aa", b"127.0.0.1:5000", b"h\x00st",
                          b"h\nst", b"\xff\xfe", b"0x7f.1", b"127.0.0.1 9", b"a_b", b"%00", b"2130706433", b"\x1b[2J",
                          b"user@host", b"http://a", b"a/b", b"x" * 256, b"*", b"1:2:3:4:5:6:7:8:9"])


def nested(number_of_field, depth):
    """A message in a field of a message …, at most 60,000 bytes."""
    inner = b""
    while depth and len(inner) < 60_000:
        inner, depth = field(number_of_field, inner), depth - 1
    return inner


def overlong(random):
    """Bytes that are no protobuf message: varints and lengths without an end, wire types that do not exist."""
    return random.choice([
        b"\xff" * random.randrange(11, 40),                          # a varint of more than ten bytes
        b"\x0a" + b"\xff" * 9 + b"\x01",                             # a length of 2^64
        b"\x0a" + varint(random.randrange(100, 1 << 32)) + b"abc",   # a length beyond the end
        bytes([random.choice([0x0B, 0x0C, 0x0E, 0x0F])]) + b"abc",   # groups without an end, and no wire type
        b"\x00" + noise(random),                                     # the field 0
        b"\x0a",                                                     # no length
    ])
