"""Sessions with the metaserver: requests of a stranger, and of a member that lies."""
import contextlib
import socket

import session
from catalogue import Must, Place
from wire import (BAD_TEXTS, EDGES, HEARTBEAT, INVISIBLE, MEMBERS, QUIT, REGISTRY, bad_host, bad_id, field, frame, join,
                  links,
                  message, nested, noise, number, overlong, parse, parse_all, port_taken, seek, topology)

ADMITTED, REFERRAL, WORD_REFUSED, MEMBERS_REPLY, TOPOLOGY, FAILURE = 1, 2, 4, 6, 7, 8
HONEST = [b"s1", b"s2", b"s3"]
NO_PORTS = [one for one in EDGES if one & 0xFFFFFFFF > 65535]  # a field of 32 bits takes the lower half


def open_session(arena, **options):
    return session.Session(arena.network.address, REGISTRY, arena.patience, **options)


def members_of(replies):
    """{id: [neighbours]} of the topologies among the replies."""
    found = {}
    for reply in replies:
        for entry in parse_all(reply.get(TOPOLOGY, b"")).get(1, []):
            told = parse_all(entry)
            found[parse(told[1][0])[1]] = told.get(3, [])
    return found


def deliver(arena, given):
    """Sends the requests, asks for the topology, and leaves. The number of members is answered last."""
    with open_session(arena) as one:
        result = session.seen(replies=[], closed=True)
        try:
            one.send(*given, topology(), MEMBERS, QUIT)
        except ConnectionError:
            pass
        result.replies, result.closed = one.receive_all(lambda reply: MEMBERS_REPLY in reply)
    result.members = members_of(result.replies)
    return result


def example(*replies, closed=False, members=None):
    return session.seen(replies=list(replies), closed=closed, members=members or {})


def is_admitted(result):
    return any(ADMITTED in reply for reply in result.replies)


def contact_of(result):
    """Field number -> value of the contact under which the sender was admitted."""
    return parse(parse(next(reply[ADMITTED] for reply in result.replies if ADMITTED in reply))[2])


def honest_links_alone(members):
    """Nobody but honest peers is linked with an honest one."""
    return all(other in HONEST for one in HONEST for other in members.get(one, []))


YES = {ADMITTED: message(b"n" * 16, message(b"m", 7, b"127.0.0.1", 9))}
not_admitted = Must("nobody is admitted", lambda given, result: not is_admitted(result), (([], example(YES)),))
session_ends = Must("the session ends, and nobody is admitted",
                    lambda given, result: result.closed and not is_admitted(result),
                    (([], example({FAILURE: b""})), ([], example(YES, closed=True))))
ends_after_join = Must("the session ends", lambda given, result: result.closed, (([], example(YES)),))
refused = Must("each request is refused, and the session goes on",
               lambda given, result: not result.closed and not is_admitted(result)
               and sum(FAILURE in reply for reply in result.replies) >= len(given),
               (([HEARTBEAT], example()), ([QUIT], example({FAILURE: b""}, closed=True)), ([QUIT], example(YES))))
no_link = Must("the topology shows no link that only one end reports",
               lambda given, result: honest_links_alone(result.members) and not any(
                   result.members.get(one) for one in result.members if one not in HONEST),
               (([], example(members={b"s1": [b"m"]})), ([], example(members={b"m": [b"s1"]}))))
answered = Must("the session is answered to its end",
                lambda given, result: not result.closed and MEMBERS_REPLY in result.replies[-1],
                (([], example(closed=True)),))
ends_or_answered = Must("the session is answered to its end or ends; honest members stay",
                        lambda given, result: result.closed or set(HONEST) <= set(result.members),
                        (([], example(members={b"s1": []})),))

registry = Place("registry", lambda arena: arena.start_network(3), deliver)


def new_name(random):
    return b"m%d" % random.getrandbits(40)


def own_join(random, **more):
    """A join that is right but for `more`."""
    return join(new_name(random), random.randbytes(16), **more)


@registry.inputs("a join whose host cannot be parsed", session_ends)
def _(random):
    return [own_join(random, host=bad_host(random))]


@registry.inputs("a join under bytes that are no id", session_ends)
def _(random):
    return [join(name=bad_id(random))]


@registry.inputs("a join under an id that looks like a member's", session_ends)
def _(random):
    name, blank = random.choice(["s1", "s2", "s3"]), random.choice(INVISIBLE)
    at = random.randrange(3)
    return [join(name=(name[:at] + blank + name[at:]).encode())]


@registry.inputs("a join under the id of a member, with another key", not_admitted)
def _(random):
    return [join(random.choice(HONEST), random.randbytes(16), order=random.choice([None, 1, 2, 3]))]


@registry.inputs("a join with a wrong word", not_admitted)
def _(random):
    return [own_join(random, word=random.choice([b"", b"p2p", b"P2P ", b"P2P\x00", noise(random), *BAD_TEXTS]))]


@registry.inputs("many joins with wrong words in one session", not_admitted)
def _(random):
    return [own_join(random, word=b"w%d" % guess) for guess in range(random.randrange(20, 60))]


@registry.inputs("a join with a word that is too long", session_ends)
def _(random):
    return [own_join(random, word=b"P2P" + bytes(random.randrange(254, 60_000)))]


@registry.inputs("a join with a key of another length", session_ends)
def _(random):
    return [join(new_name(random), random.randbytes(random.choice([0, 1, 15, 17, 32, 4096])))]


@registry.inputs("a join with a network of another length", session_ends)
def _(random):
    return [own_join(random, network=random.randbytes(random.choice([1, 15, 17, 32, 4096])), order=1)]


@registry.inputs("a join with an order that cannot be", session_ends)
def _(random):
    too_much = [one for one in EDGES if one >= 1 << 63]
    return [own_join(random, network=random.randbytes(16), order=random.choice(too_much))]


@registry.inputs("a join with a port that cannot be", session_ends)
def _(random):
    return [own_join(random, port=random.choice(NO_PORTS))]


@registry.inputs("a join with too many neighbours", session_ends)
def _(random):
    return [own_join(random, neighbours=[b"x%d" % one for one in range(random.randrange(65, 3000))])]


@registry.inputs("a join with a neighbour or parent that is no id", session_ends)
def _(random):
    bad = bad_id(random) or b" "
    return [own_join(random, order=4, neighbours=[b"s1", bad]) if random.random() < 0.5
            else own_join(random, order=4, parent=bad, neighbours=[b"s1"])]


@registry.inputs("a newcomer that claims an order of joining", Must(
    "it gets an order of its own",
    lambda given, result: not is_admitted(result) or contact_of(result)[2] > 3,
    (([], example({ADMITTED: message(b"n" * 16, message(b"m", 2, b"127.0.0.1", 9))})),)))
def _(random):
    return [own_join(random, network=random.randbytes(16), order=random.randrange(1, 4))]


@registry.inputs("a newcomer that claims links in its join", no_link)
def _(random):
    return [own_join(random, network=random.randbytes(16), order=random.randrange(1, 100), parent=random.choice(HONEST),
                     neighbours=random.sample(HONEST, random.randrange(1, 4)))]


@registry.inputs("a member that reports links with others", no_link)
def _(random):
    claimed = random.sample(HONEST, random.randrange(1, 4))
    return [own_join(random), links(random.choice(claimed), claimed)]


@registry.inputs("a member that reports links with itself, twice, or with nobody's ids", no_link)
def _(random):
    name = new_name(random)
    claimed = [random.choice([name, b"s1", b"s1", b"nobody", new_name(random)]) for _ in range(random.randrange(1, 9))]
    return [join(name, random.randbytes(16)), links(random.choice([None, name, b"nobody", b"s1"]), claimed)]


@registry.inputs("a member whose reports change all the time", no_link)
def _(random):
    reports = [links(random.choice([None, *HONEST]), random.sample(HONEST, random.randrange(4))) for _ in range(100)]
    return [own_join(random), *reports]


@registry.inputs("a member that reports more than 64 links", ends_after_join)
def _(random):
    return [own_join(random), links(b"s1", [b"x%d" % one for one in range(random.randrange(65, 2000))])]


@registry.inputs("a member that reports links with what is no id", ends_after_join)
def _(random):
    return [own_join(random), links(None, [b"s1", bad_id(random)])]


@registry.inputs("requests for members only, of a stranger", refused)
def _(random):
    kinds = [lambda: links(b"s1", HONEST), lambda: seek(random.choice(HONEST), random.choice(HONEST)),
             lambda: port_taken(random.randrange(1, 65536))]
    return [random.choice(kinds)() for _ in range(random.randrange(1, 30))]


@registry.inputs("requests after a goodbye", Must(
    "they are refused", lambda given, result: result.closed or not any(REFERRAL in one for one in result.replies),
    (([], example({REFERRAL: b""})),)))
def _(random):
    return [own_join(random), QUIT, seek(b"s1"), links(b"s1", [b"s1"])]


@registry.inputs("joins under several ids in one session", Must(
    "it is a member at most once", lambda given, result: len(set(result.members) - set(HONEST)) <= 1,
    (([], example(members={b"m": [], b"n": []})),)))
def _(random):
    return [own_join(random) for _ in range(random.randrange(2, 12))]


def deliver_then_join(arena, given):
    """Delivers while the session stays open; then a newcomer joins, and its referral counts."""
    with open_session(arena) as one:
        try:
            one.send(*given, MEMBERS)
        except ConnectionError:
            pass
        one.receive_all(lambda reply: MEMBERS_REPLY in reply)
        with open_session(arena) as newcomer:
            newcomer.send(join(b"newcomer", port=0), MEMBERS, QUIT)
            replies, closed = newcomer.receive_all(lambda reply: MEMBERS_REPLY in reply)
        try:
            one.send(QUIT)
        except ConnectionError:
            pass
    return session.seen(replies=replies, closed=closed, members={})


def parent_of(result):
    """The id of the parent in the referral of an admission."""
    for reply in result.replies:
        if ADMITTED in reply:
            return parse(parse(parse(reply[ADMITTED]).get(6, b"")).get(2, b"")).get(1)
    return None


newcomer_admitted = Must("a newcomer is admitted and gets a port", lambda given, result: is_admitted(result),
                         (([], example({FAILURE: b""})),))
newcomer_below_honest = Must("a newcomer is referred to an honest peer",
                             lambda given, result: parent_of(result) in HONEST,
                             (([], example(YES)), ([], example({FAILURE: b""}))))


@registry.inputs("a member that seeks without end", newcomer_below_honest, deliver_then_join)
def _(random):
    return [own_join(random), *[seek(random.choice([None, *HONEST]), random.choice([None, *HONEST]))
                                for _ in range(random.randrange(100, 1000))]]


@registry.inputs("a member that could attach to nobody", newcomer_below_honest, deliver_then_join)
def _(random):
    return [own_join(random), *[seek(None, one) for one in HONEST * random.randrange(1, 20)]]


@registry.inputs("a member for which each port is taken", newcomer_admitted, deliver_then_join)
def _(random):
    first = random.randrange(1024, 60000)
    return [own_join(random, port=0), *[port_taken(first + one) for one in range(random.randrange(10, 500))]]


@registry.inputs("a member that reports a port that cannot be", ends_after_join)
def _(random):
    return [own_join(random), port_taken(random.choice([0, *NO_PORTS]))]


@registry.inputs("a member that seeks with what is no id", ends_after_join)
def _(random):
    bad = bad_id(random) or b" "
    return [own_join(random), random.choice([seek(bad), seek(None, bad), seek(bad, bad)])]


@registry.inputs("a host under which nobody can be found", Must(
    "an honest referral is still given", newcomer_below_honest.check, newcomer_below_honest.planted), deliver_then_join)
def _(random):
    return [own_join(random, host=random.choice([b"x.invalid", b"a" * 63 + b".test", b"8.8.8.8", b"0.0.0.0", b"::",
                                                 b"255.255.255.255", b"224.0.0.1", b"fe80::1"]))]


@registry.inputs("topology from any order on", answered)
def _(random):
    return [topology(number(random) % (1 << 63)) for _ in range(random.randrange(1, 60))]


@registry.inputs("topology after an order that cannot be", ends_or_answered)
def _(random):
    return [topology(random.choice([one for one in EDGES if one >= 1 << 63]))]


@registry.inputs("heartbeats and questions without a pause", ends_or_answered)
def _(random):
    return random.choices([HEARTBEAT, MEMBERS[:0] + HEARTBEAT, topology()], k=random.randrange(100, 2000))


@registry.inputs("empty requests, and kinds that nobody knows", session_ends)
def _(random):
    return [random.choice([b"", field(random.randrange(9, 500), noise(random)), field(9, number(random))])]


@registry.inputs("requests with fields that nobody knows", answered)
def _(random):
    more = b"".join(field(random.randrange(20, 10_000), random.choice([noise(random), number(random)]))
                    for _ in range(random.randrange(1, 50)))
    return [own_join(random)[:0] + field(5, more), field(7, more)]


@registry.inputs("a join nested in itself, or with numbers that are too long", session_ends)
def _(random):
    return [random.choice([nested(1, random.randrange(100, 5000)), field(1, overlong(random)), overlong(random)])]


@registry.inputs("joins of one member again and again", ends_or_answered)
def _(random):
    same = own_join(random)
    return [same] * random.randrange(2, 40)


# --- many sessions
def deliver_sessions(arena, given):
    """Opens a connection for each of `given`, greets or not, sends bytes, and reads nothing; then others join."""
    host, port = arena.network.address.rsplit(":", 1)
    held = []
    for greets, data in given:
        with contextlib.suppress(OSError):
            if greets:
                one = open_session(arena, receive_buffer=4096).socket
            else:
                one = socket.create_connection((host, int(port)))
            held.append(one)
            one.settimeout(0.2)
            one.sendall(data)
    result = deliver_then_join(arena, [])
    for one in held:
        one.close()
    return result


@registry.inputs("sessions that ask and do not read", newcomer_admitted, deliver_sessions)
def _(random):
    return [(True, frame(topology()) * random.randrange(1000, 3000)) for _ in range(random.randrange(5, 20))]


@registry.inputs("sessions that begin a frame and do not end it", newcomer_admitted, deliver_sessions)
def _(random):
    size = random.randrange(1, 65536)
    return [(random.random() < 0.5, size.to_bytes(4, "big") + bytes(size - 1))
            for _ in range(random.randrange(20, 150))]


@registry.inputs("connections that say nothing", newcomer_admitted, deliver_sessions)
def _(random):
    return [(random.random() < 0.3, b"") for _ in range(random.randrange(50, 250))]
