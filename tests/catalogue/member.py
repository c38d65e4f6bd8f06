"""A member that is linked below an honest peer and sends what it likes; a Trap, whose connections are counted."""
import os
import threading
import time

from arena import espalier_process
from intruder import HostileServer, Intruder, Session, answer
from wire import LINK, LINK_FAREWELL, QUIT, SUBSTRING, attach, field, parse, parse_all, query, seek, varint

ACCEPTED, REFERRED, HELD_REPLY, HEARTBEAT, SEARCH = 2, 3, 4, 6, 10
KEPT_FRAMES = 10_000


class Member(Intruder):
    """Answers searches with nothing, or with `on_query(asked)`: a list of payloads. `frames` has all other frames but
    heartbeats."""

    def __init__(self, arena, name, on_query=None, at=None):
        self.at, self.on_query, self.frames, self.done = at, on_query, [], set()
        self.heard = threading.Condition()
        super().__init__(arena.network, name)

    def attach(self, parent):
        """Tries the parent that the metaserver names (or the peer `at` an endpoint), and whom it is referred to."""
        if self.at:
            parent = {1: parent[1], 3: self.at.rsplit(":", 1)[0].encode(), 4: int(self.at.rsplit(":", 1)[1])}
        deadline, waiting = time.monotonic() + self.patience, [parent]
        while True:
            if not waiting:
                assert time.monotonic() < deadline, f"{self.name} was accepted by nobody"
                time.sleep(0.1)  # between two requests for a referral
                self.registry.send(seek(None, self.parent.encode()))
                reply = parse(self.registry.receive())
                waiting = [parse(parse(reply[2])[2])] if 2 in reply and 2 in parse(reply[2]) else []
                continue
            one = waiting.pop(0)
            self.parent, reply = one[1].decode(), {}
            try:
                self.link = Session(f"{one[3].decode()}:{one[4]}", LINK, self.patience)
                self.link.send(attach(self.network_id, self.contact))
                while not reply or HELD_REPLY in reply:
                    reply = parse_all(self.link.receive())
            except (OSError, AssertionError):
                continue
            if ACCEPTED in reply:
                return
            if REFERRED in reply and len(waiting) < 64:
                waiting += [parse(each) for each in parse_all(reply[REFERRED][0]).get(1, [])]

    def read(self):
        try:
            while True:
                payload = self.link.receive()
                with self.heard:
                    self.take(parse_all(payload), payload)
                    self.heard.notify_all()
        except (OSError, AssertionError) as error:
            with self.heard:
                self.lost = error
                self.heard.notify_all()

    def take(self, kinds, payload):
        search = parse_all(kinds[SEARCH][0]) if SEARCH in kinds else {}
        if 1 in search:
            asked = parse(search[1][0])
            own = [answer(asked[1], field(4, varint(self.order) + varint(0)), field(8, 1))]
            for one in (self.on_query(asked) if self.on_query else own):
                self.send(one)
        elif 2 in search:
            told = parse(search[2][0])
            if told.get(8):
                self.done.add(told[1])
        elif HEARTBEAT not in kinds and len(self.frames) < KEPT_FRAMES:
            self.frames.append(payload)

    def synchronize(self):
        """Waits until the parent has read all that was sent: it answers a search. False: the link ended."""
        identity = os.urandom(16)
        try:
            self.send(query(identity, SUBSTRING, b"nothing has this name", 1000, hops=0))
        except OSError:
            pass
        with self.heard:
            known = self.heard.wait_for(lambda: identity in self.done or self.lost, self.patience)
            assert known, f"{self.parent} answers no search"
            return identity in self.done

    def close(self):
        for one, payload in ((self.link, LINK_FAREWELL), (self.registry, QUIT)):
            try:
                one.send(payload)
            except OSError:
                pass
        super().close()


class Trap(HostileServer):
    """A port whose connections are counted, and closed at once."""


def linked_member(arena, **options):
    """The member of this class, made anew if its link has ended."""
    one = arena.kept.get("member")
    if one is None or one.lost is not None:
        arena.drop("member")
        name = f"m{os.urandom(5).hex()}"
        one = arena.keep("member", lambda: Member(arena, name, **options))
    return one


def honest_links(arena):
    """{(child, parent)} of the honest peers, as they tell it."""
    found = set()
    for name in arena.honest:
        for link in arena.ask(name, "peers")[1][0]["links"]:
            if link["role"] == "parent" and link["id"] in arena.honest:
                found.add((name, link["id"]))
    return found


def wait_for_links(arena):
    """The honest links, once there are as many as in a tree."""
    found = set()

    def whole():
        found.clear()
        found.update(honest_links(arena))
        return len(found) >= len(arena.honest) - 1
    espalier_process.wait_until(whole, arena.patience, lambda: f"the honest tree: {found}")
    return found
