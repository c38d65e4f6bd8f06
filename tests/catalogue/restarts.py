"""A metaserver that restarts: strangers are the first to come, before its members are back."""
import contextlib

from arena import espalier_process
from catalogue import Must, Place
from registry import HONEST, members_of, open_session
from session import seen
from wire import MEMBERS, QUIT, join, message, parse, topology


def deliver(arena, given):
    """Kills and restarts the metaserver, sends each of `given` in a session of its own, and waits for the members."""
    network = arena.network
    ports = arena.keep("ports", lambda: {name: arena.endpoint(name) for name in arena.honest})
    network.metaserver.kill()
    network.restart_metaserver()
    with contextlib.ExitStack() as stack:
        sessions = []
        for request in given:
            one = stack.enter_context(open_session(arena))
            with contextlib.suppress(ConnectionError):
                one.send(request)
            sessions.append(one)
        wait_for_honest(arena)
        admitted = []
        for one in sessions:
            with contextlib.suppress(ConnectionError):
                one.send(topology(), MEMBERS, QUIT)
            replies, _ = one.receive_all(lambda reply: 6 in reply)
            admitted += [reply for reply in replies if 1 in reply]
    members = members_now(arena)
    endpoints = {name: arena.ask(name, "status")[1][0]["endpoint"] for name in arena.honest}
    return seen(replies=admitted, members=members, moved=endpoints != ports)


def members_now(arena):
    with open_session(arena) as one:
        one.send(topology(), MEMBERS)
        replies, _ = one.receive_all(lambda reply: 6 in reply)
    return members_of(replies)


def wait_for_honest(arena):
    def back():
        members = members_now(arena)
        return all(members.get(name) for name in HONEST)
    espalier_process.wait_until(back, arena.patience, lambda: f"the honest members: {members_now(arena)}")


def example(*replies, members=(), moved=False):
    return seen(replies=list(replies), members=dict.fromkeys(members), moved=moved)


def admitted_as_honest(result):
    return any(parse(parse(reply[1])[2])[1] in HONEST or parse(parse(reply[1])[2])[2] <= len(HONEST)
               for reply in result.replies)


AS_HONEST = {1: message(b"n" * 16, message(b"s1", 9, b"127.0.0.1", 9))}
OF_HONEST = {1: message(b"n" * 16, message(b"m", 2, b"127.0.0.1", 9))}
members_return = Must("no stranger gets a member's id or order, and all members return as they were",
                      lambda given, result: not admitted_as_honest(result) and not result.moved
                      and set(HONEST) <= set(result.members),
                      ((None, example(AS_HONEST, members=HONEST)), (None, example(OF_HONEST, members=HONEST)),
                       (None, example(members=[b"s1"])), (None, example(members=HONEST, moved=True))))

restarts = Place("restarts", lambda arena: arena.start_network(3), deliver)


@restarts.inputs("foreign keys for the ids of members", members_return)
def _(random):
    return [join(one, random.randbytes(16), port=random.randrange(1, 65536))
            for one in random.sample(HONEST, random.randrange(
        1, 4))]


@restarts.inputs("orders of members, claimed by others", members_return)
def _(random):
    network = random.randbytes(16)
    return [join(b"m%d" % random.getrandbits(40), random.randbytes(16), network=network, order=random.randrange(1, 4))
            for _ in range(random.randrange(1, 6))]


@restarts.inputs("links with members, claimed by others", members_return)
def _(random):
    return [join(b"m%d" % random.getrandbits(40), random.randbytes(16), network=random.randbytes(16),
                 order=random.randrange(
        4, 4000), parent=random.choice(HONEST), neighbours=random.sample(HONEST, 2))
            for _ in range(random.randrange(1, 6))]
