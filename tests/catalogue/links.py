"""Links: attaches of strangers, and frames of a member that is linked below an honest peer."""
import contextlib
import os

from catalogue import Must, Place
from member import Member, Trap, honest_links, linked_member, wait_for_links
from session import Session, seen
from wire import (EDGES, HELD, LINK, LINK_FAREWELL, QUIT, REGISTRY, accepted, attach, bad_host, bad_id, contact,
                  field, heartbeat, join, label, lineage, lineage_changed, message, noise, number, overlong, parse,
                  peer_exchange, query, raised, referred, refused)

ACCEPTED, REFERRED, HELD_REPLY, REFUSED = 2, 3, 4, 5
DIALS = 20  # to one address that strangers name, for an input


def network_id(arena):
    """The network's id, as each member learns it."""
    def ask():
        with Session(arena.network.address, REGISTRY, arena.patience) as one:
            one.send(join(b"asks-%s" % os.urandom(4).hex().encode(), os.urandom(16)), QUIT)
            return parse(parse(one.receive())[1])[1]
    return arena.keep("network", ask)


def trap(arena):
    return arena.keep("trap", Trap)


def deliver_attach(arena, given):
    """`given(network, trap's port)` -> (name of the honest peer, payloads). Returns the first reply to a stranger."""
    hole = trap(arena)
    dials = hole.connections
    links = honest_links(arena)
    name, payloads = given(network_id(arena), hole.port)
    with Session(arena.endpoint(name), LINK, arena.patience) as one:
        result = seen(replies=[], closed=True)
        with contextlib.suppress(ConnectionError):
            one.send(*payloads)
            result.replies, result.closed = one.receive_all(lambda reply: True)
    result.lost_links = links - wait_for_links(arena)
    result.dials = hole.connections - dials
    return result


def deliver_frames(arena, given):
    """Sends `given(member, trap's port)` as a linked member, and waits until they are read or the link has ended."""
    hole = trap(arena)
    dials, links = hole.connections, honest_links(arena)
    one = linked_member(arena)
    with contextlib.suppress(OSError):
        for payload in given(one, hole.port):
            one.send(payload)
    result = seen(ended=not one.synchronize())
    result.lost_links = links - honest_links(arena)
    result.dials = hole.connections - dials
    return result


def deliver_and_search(arena, given):
    result = deliver_frames(arena, given)
    result.peers = arena.ask("s1", "find honest-s1.txt")[1][0]["peers"]
    return result


def example(*replies, closed=True, lost_links=(), dials=0, ended=True, peers=4):
    return seen(replies=list(replies), closed=closed, lost_links=set(lost_links), dials=dials, ended=ended, peers=peers)


def calm(result):
    return not result.lost_links and result.dials <= DIALS


LOST = example(lost_links=[("s2", "s1")])
DIALLED = example(dials=DIALS + 1)
not_accepted = Must("it is not accepted, no honest link ends, and nobody is dialled for it",
                    lambda given, result: calm(result) and not any(ACCEPTED in one for one in result.replies),
                    ((None, LOST), (None, DIALLED), (None, example({ACCEPTED: b""}))))
link_ends = Must("its link ends, and no other", lambda given, result: calm(result) and result.ended,
                 ((None, LOST), (None, DIALLED), (None, example(ended=False))))
others_stay = Must("no honest link ends, and no address is dialled again and again", lambda given, result: calm(result),
                   ((None, LOST), (None, DIALLED)))
not_counted = Must("searches do not expect the peers that it claims",
                   lambda given, result: calm(result) and result.peers <= 8,
                   ((None, LOST), (None, example(peers=1 << 20))))

links = Place("links", lambda arena: arena.start_network(3), deliver_frames)


def any_peer(random):
    return random.choice(["s1", "s2", "s3"])


def stranger(random, port, **more):
    return contact(b"x%d" % random.getrandbits(40), random.randrange(100, 1 << 20), port=port, **more)


# --- attaches of strangers
@links.inputs("an attach of another network", not_accepted, deliver_attach)
def _(random):
    other, at = random.randbytes(random.choice([16, 16, 16, 0, 15, 17])), any_peer(random)
    return lambda network, port: (at, [attach(other, stranger(random, port))])


@links.inputs("an attach of nobody's id", not_accepted, deliver_attach)
def _(random):
    at, bad = any_peer(random), bad_id(random)
    return lambda network, port: (at, [attach(network, contact(bad, port=port))])


@links.inputs("an attach whose host cannot be parsed", not_accepted, deliver_attach)
def _(random):
    at, bad = any_peer(random), bad_host(random)
    return lambda network, port: (at, [attach(network, stranger(random, port, host=bad))])


@links.inputs("an attach with an order or a port that cannot be", not_accepted, deliver_attach)
def _(random):
    at = any_peer(random)
    order, port = random.choice([(0, 9), (7, 0), (7, 65536), (7, (1 << 31) + 9), (1 << 63, 9),
                                 ((1 << 64) - 1, 9)])
    return lambda network, _: (at, [attach(network, contact(order=order, port=port))])


@links.inputs("an attach with a number of peers below that cannot be", not_accepted, deliver_attach)
def _(random):
    at, below = any_peer(random), random.choice([0, *[one for one in EDGES if one > 1 << 20]])
    return lambda network, port: (at, [attach(network, stranger(random, port), below=below)])


@links.inputs("an attach with a label that cannot be", not_accepted, deliver_attach)
def _(random):
    at = any_peer(random)
    floor = random.choice([label(1 << 62, 1), label((1 << 64) - 1, 0), label(1, (1 << 20) + 1),
                           label(1 << 63, 1 << 31)])
    return lambda network, port: (at, [attach(network, stranger(random, port), floor)])


@links.inputs("an attach with a label far ahead of the root's", not_accepted, deliver_attach)
def _(random):
    at, floor = any_peer(random), label(random.randrange(1 << 33, 1 << 62), random.randrange(1 << 20))
    return lambda network, port: (at, [attach(network, stranger(random, port), floor)])


@links.inputs("an attach with a secret of another length", not_accepted, deliver_attach)
def _(random):
    at, secret = any_peer(random), random.randbytes(random.choice([1, 15, 17, 64, 4096]))
    return lambda network, port: (at, [attach(network, stranger(random, port), secret=secret)])


@links.inputs("an attach as a child that is linked", not_accepted, deliver_attach)
def _(random):
    name, secret = random.choice([b"s2", b"s3"]), random.choice([None, random.randbytes(16)])
    order = int(name[1:])
    return lambda network, port: ("s1", [attach(network, contact(name, order, port=port), secret=secret)])


@links.inputs("an attach at a child as its parent", not_accepted, deliver_attach)
def _(random):
    at, floor = random.choice(["s2", "s3"]), random.choice([None, label(random.randrange(1, 100), 0)])
    return lambda network, port: (at, [attach(network, contact(b"s1", 1, port=port), floor, random.randrange(1, 9))])


@links.inputs("an attach at a peer as itself", not_accepted, deliver_attach)
def _(random):
    at = any_peer(random)
    return lambda network, port: (at, [attach(network, contact(at.encode(), int(at[1:]), port=port))])


@links.inputs("other frames before an attach", not_accepted, deliver_attach)
def _(random):
    at = any_peer(random)
    kinds = [lambda port: heartbeat(label(5, 0), 3), lambda port: HELD, lambda port: refused(1),
             lambda port: referred(contact(port=port)), lambda port: accepted(contact(port=port), label(1 << 40, 0)),
             lambda port: lineage_changed(lineage(contact(port=port))), lambda port: LINK_FAREWELL,
             lambda port: raised(label(9, 0), contact(port=port), b"s2"),
             lambda port: peer_exchange(contact(port=port)),
             lambda port: query(random.randbytes(16), 1, b"f"), lambda port: b"", lambda port: field(99, b"x"),
             lambda port: field(12, noise(random))]
    chosen = [random.choice(kinds) for _ in range(random.randrange(1, 4))]
    return lambda network, port: (at, [kind(port) for kind in chosen])


@links.inputs("an attach that is no message", not_accepted, deliver_attach)
def _(random):
    at, bad = any_peer(random), random.choice([field(1, overlong(random)), field(1, noise(random)), field(1, b""),
                                               overlong(random), field(1, field(2, overlong(random)))])
    return lambda network, port: (at, [bad])


def deliver_many_attaches(arena, given):
    """Strangers attach everywhere and stay; then a newcomer follows the metaserver's referral and those of peers."""
    network, hole = network_id(arena), trap(arena)
    links = honest_links(arena)
    with contextlib.ExitStack() as stack:
        for name, make in given:
            one = stack.enter_context(Session(arena.endpoint(name), LINK, arena.patience))
            with contextlib.suppress(ConnectionError):
                one.send(make(network, hole.port))
                one.receive()
        newcomer = Member(arena, f"m{os.urandom(5).hex()}")
        newcomer.close()
    return example(lost_links=links - wait_for_links(arena), ended=newcomer.order == 0)


@links.inputs("strangers that take the slots of all peers", Must(
    "a newcomer gets a slot, and no honest link ends",
    lambda given, result: not result.lost_links and not result.ended, ((None, LOST), (None, example()))),
    deliver_many_attaches)
def _(random):
    made = []
    for at in ["s1", "s2", "s3"] * random.randrange(2, 12):
        name, order = b"x%d" % random.getrandbits(40), random.randrange(100, 1 << 20)
        made.append((at, lambda network, port, name=name, order=order: attach(
            network, contact(name, order, port=port))))
    return made


# --- frames of a linked member
@links.inputs("a heartbeat with a label that cannot be", link_ends)
def _(random):
    bad = random.choice([label(1 << 62, 1), label((1 << 64) - 1, 0), label(1, (1 << 20) + 1), None, overlong(random)])
    return lambda one, port: [heartbeat(bad, 1)]


@links.inputs("a heartbeat of members that cannot be", link_ends)
def _(random):
    members = random.choice([0, *[one for one in EDGES if one > 1 << 20]])
    return lambda one, port: [heartbeat(label(1, 1), members)]


@links.inputs("a heartbeat of many members below", not_counted, deliver_and_search)
def _(random):
    members = random.randrange(1000, (1 << 20) + 1)
    return lambda one, port: [heartbeat(label(random.randrange(1 << 62), 1), members)]


@links.inputs("heartbeats without a pause", others_stay)
def _(random):
    count = random.randrange(100, 3000)
    return lambda one, port: [heartbeat(label(random.randrange(1 << 62), random.randrange(1 << 20)),
                                        random.randrange(1, 99))
                              for _ in range(count)]


@links.inputs("a lineage from below", others_stay)
def _(random):
    return lambda one, port: [lineage_changed(lineage(contact(port=port), [contact(b"a%d" % at, at + 1, port=port)
                                                                          for at in range(random.randrange(1, 15))]))]


@links.inputs("a lineage of too many, or of nobody", link_ends)
def _(random):
    bad = random.choice([lineage(contact(), [contact(b"a%d" % at, at + 1) for at in range(random.randrange(17, 200))]),
                         lineage(contact(bad_id(random))), lineage(None),
                         lineage(contact(), [contact(host=bad_host(random))])])
    return lambda one, port: [lineage_changed(bad)]


@links.inputs("raises for a seeker that is not there", others_stay)
def _(random):
    count = random.randrange(10, 250)
    return lambda one, port: [raised(label(random.randrange(1, 1 << 30), 1), stranger(random, port), b"s2")
                              for _ in range(count)]


@links.inputs("raises for one seeker that joined long ago", others_stay)
def _(random):
    return lambda one, port: [raised(label(1 << random.randrange(1, 33), 0),
                                     contact(b"old", random.randrange(1, 4), port=port),
                                     one.name)] * random.randrange(10, 250)


@links.inputs("a raise that cannot be", link_ends)
def _(random):
    bad = random.choice([raised(label(1 << 62, 0), contact(), b"s2"), raised(label(1, 1 << 21), contact(), b"s2"),
                         raised(label(1, 1), contact(bad_id(random)), b"s2"),
                         raised(label(1, 1), contact(), bad_id(random)),
                         raised(label(1, 1), None, b"s2")])
    return lambda one, port: [bad]


@links.inputs("contacts of one address", others_stay)
def _(random):
    count = random.randrange(1, 40)
    return lambda one, port: [peer_exchange(*[stranger(random, port) for _ in range(16)]) for _ in range(count)]


@links.inputs("contacts of nobody, or too many", link_ends)
def _(random):
    bad = random.choice([peer_exchange(contact(bad_id(random))), peer_exchange(contact(host=bad_host(random))),
                         peer_exchange(*[contact(b"a%d" % at) for at in range(random.randrange(17, 500))]),
                         peer_exchange(contact(order=0)), peer_exchange(contact(port=0))])
    return lambda one, port: [bad]


@links.inputs("answers to an attach that nobody sent", others_stay)
def _(random):
    kinds = [lambda one, port: HELD, lambda one, port: refused(random.randrange(1, 6)),
             lambda one, port: referred(*[stranger(random, port) for _ in range(random.randrange(1, 65))]),
             lambda one, port: accepted(contact(one.name, one.order, port=port), label(1 << 40, 0), 9,
                                        lineage(contact(one.name, one.order, port=port)))]
    chosen = [random.choice(kinds) for _ in range(random.randrange(1, 9))]
    return lambda one, port: [kind(one, port) for kind in chosen]


@links.inputs("an attach on a link that stands", others_stay)
def _(random):
    return lambda one, port: [attach(one.network_id, random.choice([one.contact, stranger(random, port),
                                                                   contact(b"s1", 1, port=port)]))]


@links.inputs("a refusal or a referral that cannot be", link_ends)
def _(random):
    bad = random.choice([refused(0), refused(random.randrange(6, 1 << 31)), referred(contact(bad_id(random))),
                         referred(*[contact(b"a%d" % at) for at in range(random.randrange(65, 900))])])
    return lambda one, port: [bad]


@links.inputs("frames of a kind that nobody knows", link_ends)
def _(random):
    bad = random.choice([b"", field(random.randrange(13, 1 << 20), noise(random)), field(13, number(random))])
    return lambda one, port: [bad]


@links.inputs("frames that are no message", link_ends)
def _(random):
    bad = random.choice([overlong(random), field(random.randrange(1, 13), b"\x0a\x7f"), b"\x0a\xff\xff\xff\xff\x0f"])
    return lambda one, port: [bad]


@links.inputs("fields that nobody knows in a heartbeat", others_stay)
def _(random):
    more = b"".join(field(random.randrange(20, 1 << 20), random.choice([noise(random), number(random)]))
                    for _ in range(30))
    return lambda one, port: [field(6, message(label(1, 1), 1) + more)]


def deliver_flapping(arena, given):
    """A member attaches and leaves again and again, in the way that each of `given` says."""
    links = honest_links(arena)
    for how in given:
        one = Member(arena, f"m{os.urandom(5).hex()}")
        with contextlib.suppress(OSError):
            one.send(how)
        one.close()
    return example(lost_links=links - wait_for_links(arena))


@links.inputs("members that come and go", others_stay, deliver_flapping)
def _(random):
    return [random.choice([LINK_FAREWELL, heartbeat(label(1, 1), 9), b"", field(99, b"")])
            for _ in range(random.randrange(1, 6))]


def deliver_second_link(arena, given):
    """A linked member attaches at all honest peers, too."""
    links = honest_links(arena)
    one = linked_member(arena)
    replies = []
    with contextlib.ExitStack() as stack:
        for name in arena.honest:
            other = stack.enter_context(Session(arena.endpoint(name), LINK, arena.patience))
            with contextlib.suppress(ConnectionError):
                other.send(attach(one.network_id, one.contact, *given))
                replies.append(parse(other.receive()))
    return example(*replies, lost_links=links - wait_for_links(arena))


@links.inputs("a member that attaches at every peer", others_stay, deliver_second_link)
def _(random):
    return (random.choice([None, label(random.randrange(1, 1 << 40), 3)]), random.randrange(1, 100),
            random.choice([None, random.randbytes(16)]))


def deliver_deaf(arena, given):
    """Members that ask and never read the answers: the link ends, or takes no more."""
    links = honest_links(arena)
    one = Member(arena, f"m{os.urandom(5).hex()}")
    with Session(arena.endpoint("s1"), LINK, arena.patience, receive_buffer=4096) as deaf:
        with contextlib.suppress(OSError):
            deaf.send(attach(one.network_id, contact(b"x" + os.urandom(4).hex().encode(), 1 << 20)))
            deaf.socket.settimeout(0.5)
            for payload in given:
                deaf.send(payload)
    one.close()
    return example(lost_links=links - wait_for_links(arena))


@links.inputs("a link that asks and does not read", others_stay, deliver_deaf)
def _(random):
    return [query(random.randbytes(16), 1, b"honest", 3000, hops=0) for _ in range(random.randrange(100, 3000))]
