#!/usr/bin/env python3
"""A metaserver that lies and floods in rooms: its peer stays small, answers its user, and says only what is safe."""
import contextlib
import os
import threading
import time

from espalier_process import case, files_below, main, wait_until
from intruder import HostileServer, field, frame, message, parse, receive_from

MEMORY_BYTES = 96 << 20
ROOM = 40
SAID, MESSAGES, STATE, MOVED = 1, 2, 3, 4
LOBBY = b"lobby"


def entry(number, text, author=b"s9", room=LOBBY, kind=1):
    position = message(1, 1, number)
    return message(room, position, number, message(os.urandom(16), number), 1_795_000_000_000, author, kind, None, None,
                   text)


def room_frame(kind, content):
    return frame(field(ROOM, field(kind, content)))


def messages(after, entries, answers=0, room=LOBBY):
    place = message(message(1, 1, after), after) if after else message(b"", None)
    content = field(1, room) + (field(2, answers) if answers else b"") + field(3, place)
    return room_frame(MESSAGES, content + b"".join(field(5, each) for each in entries))


class Liar(HostileServer):
    """Admits one peer as the root; `answer(liar, ask)` answers its questions. `last` is where the lobby is."""

    def __init__(self, answer=None):
        self.answer, self.last, self.peer, self.asked = answer, 0, None, []
        self.lock = threading.Lock()
        super().__init__()

    def send(self, data):
        with self.lock:
            self.peer.sendall(data)

    def converse(self, one):
        receive_from(one)
        network = os.urandom(16)
        one.sendall(frame(field(1, message(1, None, network))))
        while True:
            request = parse(receive_from(one))
            if 1 in request:
                join = parse(request[1])
                port = join.get(5) or 17999
                contact = message(join[1], 1, b"127.0.0.1", port)
                admitted = message(network, contact, 2, 2000, 1, message(2)) + field(ROOM, 1)
                self.peer = one
                self.send(frame(field(1, admitted)))
            elif 5 in request:
                self.send(frame(field(5, field(1, 2000))))
            elif ROOM + 1 in request:  # which rooms there are: none
                self.send(frame(field(ROOM + 1, message(parse(request[ROOM + 1])[2]))))
            elif ROOM in request:
                room = parse(request[ROOM])
                if 3 in room:
                    ask = parse(room[3])
                    self.asked.append(ask)
                    if self.answer:
                        self.answer(self, ask)
                    else:
                        self.send(messages(self.last, [], ask[2], ask[1]))

    def tell(self, *texts, author=b"s9"):
        entries = [entry(self.last + at, text, author) for at, text in enumerate(texts, 1)]
        data = messages(self.last, entries)
        self.last += len(texts)
        self.send(data)


@contextlib.contextmanager
def victim(network, *options, **how):
    """A liar, and a peer that is at it."""
    with Liar(**how) as liar:
        network.address = liar.address
        peer = network.start_peer("s1", *options, files={})
        peer.expect_log("joined on")
        wait_until(lambda: liar.asked, network.patience, "a question for the lobby")
        yield liar, peer


def unread(network):
    code, told = network.json("s1", "rooms")
    return told[0]["rooms"][0]["unread"] if code == 0 else None


@case("a flood of messages costs a bounded disk, memory and log, and the peer answers meanwhile")
def _(network):
    with victim(network) as (liar, peer):
        liar.tell(b"hello")
        wait_until(lambda: unread(network) == 1, network.patience, "the first message")
        told, ends = [], time.monotonic() + 5

        def flood():
            with contextlib.suppress(OSError):
                while time.monotonic() < ends:
                    liar.tell(*[b"x" * 4000] * 12)
                    told.append(12)
        thread = threading.Thread(target=flood)
        thread.start()
        while thread.is_alive():
            began = time.monotonic()
            assert network.json("s1", "ignore --list")[0] == 0
            assert time.monotonic() - began < 5
        thread.join()
        total = 1 + sum(told)
        wait_until(lambda: unread(network) == total, network.patience, lambda: f"{total}, not {unread(network)}")
        folder = network.folder / "s1" / ".espalier"
        size = sum(status.st_size for path, status in files_below(folder).items() if path.name.startswith("rooms.db"))
        assert size < 16 << 20, f"{size} bytes for {total} messages"
        assert peer.peak_memory_bytes() < MEMORY_BYTES * network.memory_factor, peer.peak_memory_bytes()
        assert len(peer.log.splitlines()) < 20, peer.log


@case("states, moves and acknowledgements of what nobody asked for change nothing, at any speed")
def _(network):
    with victim(network) as (liar, peer):
        for number in range(3000):
            liar.send(room_frame(STATE, message(b"other%d" % number, 7, 20)))
            liar.send(room_frame(STATE, message(LOBBY, number % 19 + 1, 20)))
            liar.send(room_frame(MOVED, message(LOBBY, b"s%d" % number, 1)))
            liar.send(room_frame(SAID, message(LOBBY, message(os.urandom(16), 1), 5, 1, 1, 2)))
        liar.tell(b"still there")
        wait_until(lambda: unread(network) == 1, network.patience, "a message")
        code, told = network.json("s1", "rooms")
        assert [each["room"] for each in told[0]["rooms"]] == ["lobby"], told
        assert len(peer.log.splitlines()) < 20, peer.log


@case("answers without end, or of the wrong room, end a question and nothing else")
def _(network):
    def answer(liar, ask):
        if ask.get(3) == 3 or 5 in ask or liar.endless:  # history, in parts of one message for ever
            liar.endless = True
            at = parse(ask[4])[2] if 4 in ask else 0
            data = field(1, ask[1]) + field(2, ask[2]) + field(3, message(message(1, 1, at + 1), at + 1))
            liar.send(room_frame(MESSAGES, data + field(5, entry(at + 2, b"again")) + field(8, 1)))
        else:
            liar.send(messages(0, [], ask[2], b"elsewhere"))
            liar.send(messages(0, [], ask[2], ask[1]))
    Liar.endless = False
    with victim(network, answer=answer) as (liar, peer):
        code, told = network.json("s1", "history lobby 50")
        assert code in (0, 75), told
        assert len(told[0].get("messages", [])) <= 50
        assert peer.alive


if __name__ == "__main__":
    main()
