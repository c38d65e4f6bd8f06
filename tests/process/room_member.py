"""A member of the network that speaks about rooms only: over the wire, without a peer's memory or views.

  with RoomMember(network, address, "s1") as one:
      one.want(fleece=0)                   # the rooms that it is in, beside the lobby
      one.say("fleece", "hello")           # the counter of its id; one.answers[counter] once it is answered
      one.shown["fleece"]                  # [(number, author, text)] that it was told, or has asked for

It has one id for each message, so that what it says again at another home is the same. It links to nobody.
"""
import os
import threading

from espalier_process import wait_until
from intruder import REGISTRY, Session, field, message

ADMITTED, HEARTBEAT, ROOM, ROOM_LIST, ROOM_WHO = 1, 5, 40, 41, 42
WANTED, SAY, ASK = 1, 2, 3
SAID, MESSAGES, STATE, MOVED = 1, 2, 3, 4


def fields(data):
    """[(number, value)] of a message, in their order. A nested message is bytes."""
    def take():
        nonlocal data
        value = shift = 0
        while True:
            byte, data = data[0], data[1:]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
    found = []
    while data:
        key = take()
        value = take()
        if key & 7 == 2:
            value, data = data[:value], data[value:]
        found.append((key >> 3, value))
    return found


def last(data):
    return dict(fields(data))


class RoomMember:
    def __init__(self, network, address, name, speaker=None):
        self.network, self.name = network, name
        self.key, self.speaker = os.urandom(16), speaker or os.urandom(16)
        self.order = self.network_id = None
        self.port = 7
        self.revision, self.rooms, self.counter, self.questions = 0, {}, 0, 0
        self.texts = {}    # counter: (room, text)
        self.answers = {}  # counter: {"number", "stored", "code", "wait", "why"}
        self.shown, self.places, self.states, self.moved = {}, {}, {}, []
        self.lists, self.closed = {}, False
        self.lock = threading.Lock()
        self.session = None
        self.connect(address)

    # --- its session
    def connect(self, address):
        """Joins there, and tells its rooms; as who it was if it was in the network before."""
        self.session = session = Session(address, REGISTRY, self.network.patience)
        session.send(field(1, message(self.name.encode(), self.key, b"P2P", b"127.0.0.1", self.port, self.network_id,
                                      self.order)))
        while True:
            reply = last(session.receive())
            assert 8 not in reply, f"{self.name} was not admitted: {reply}"
            if ADMITTED in reply:
                break
        admitted = last(reply[ADMITTED])
        assert admitted.get(40) == 1, f"a metaserver that knows no rooms: {admitted}"
        self.network_id, self.order = admitted[1], last(admitted[2])[2]
        self.closed = False
        self.stop = threading.Event()
        for run in (self.read, self.beat):
            threading.Thread(target=run, args=(session,), daemon=True).start()
        self.tell_rooms()

    def read(self, session):
        try:
            while True:
                self.take(last(session.receive()))
        except (OSError, ValueError):
            self.closed = True
            self.stop.set()

    def beat(self, session):
        stop = self.stop
        while not stop.wait(1):
            try:
                session.send(field(HEARTBEAT, b""))
            except OSError:
                return

    def end(self):
        self.stop.set()
        self.session.socket.close()

    def move(self, address):
        """Its home is lost: to another one, with everything that was not answered."""
        self.end()
        wait_until(lambda: self.closed, self.network.patience, "the session to be over")
        self.connect(address)
        with self.lock:
            open_ones = [counter for counter in self.texts if counter not in self.answers]
        for counter in open_ones:
            self.send_say(counter)
        for room in ("lobby", *self.rooms):
            self.ask(room)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    # --- what it tells
    def request(self, kind, payload):
        self.session.send(field(ROOM, field(kind, payload)))

    def tell_rooms(self):
        self.revision += 1
        wanted = b"".join(field(2, message(name.encode(), opens_at))
                          for name, opens_at in sorted(self.rooms.items()))
        self.request(WANTED, field(1, self.revision) + wanted)

    def want(self, **rooms):
        """{name: opens at}"""
        self.rooms = rooms
        self.tell_rooms()
        return self

    def say(self, room, text):
        self.counter += 1
        with self.lock:
            self.texts[self.counter] = (room, text)
        self.send_say(self.counter)
        return self.counter

    def send_say(self, counter):
        room, text = self.texts[counter]
        self.request(SAY, message(room.encode(), message(self.speaker, counter), text.encode()))

    def said(self, room, text):
        """Its answer."""
        counter = self.say(room, text)
        wait_until(lambda: counter in self.answers, self.network.patience, f"an answer to {text!r}")
        return self.answers[counter]

    def ask(self, room, place=None):
        """For all that the room keeps, as one that comes in newly; or for what is behind that place."""
        self.questions += 1
        if place:
            self.request(ASK, message(room.encode(), self.questions, 1, place))
        else:
            self.request(ASK, message(room.encode(), self.questions, 3, None, 1000))

    def history(self, room):
        """[(number, author, text)] that its home has."""
        with self.lock:
            self.shown.pop(room, None)
        self.ask(room)
        while True:
            number = self.questions
            wait_until(lambda: number in self.lists, self.network.patience, f"the history of {room}")  # noqa: B023
            answer = fields(self.lists[number])
            entries = [last(value) for kind, value in answer if kind == 5]
            if not dict(answer).get(8) or not entries:  # nothing more
                return self.told(room)
            self.ask(room, message(entries[-1][2], entries[-1][3]))

    def told(self, room):
        with self.lock:
            return sorted(self.shown.get(room, {}).values())

    def list(self, kind, *request):
        self.questions += 1
        number = self.questions
        self.session.send(field(kind, message(*request, number)))
        wait_until(lambda: number in self.lists, self.network.patience, "a list")
        return self.lists[number]

    def room_list(self):
        """{name: (members, opens at, is open, last)}"""
        rows = [last(value) for number, value in fields(self.list(ROOM_LIST, None)) if number == 2]
        return {row[1].decode(): (row.get(2, 0), row.get(3, 0), row.get(4, 0) == 1, row.get(5, 0)) for row in rows}

    def who(self, room=None):
        """{id: home} of the first page."""
        rows = [last(value) for number, value in
                fields(self.list(ROOM_WHO, room and room.encode(), None)) if number == 3]
        return {row[1].decode(): row.get(2, b"").decode() for row in rows}

    # --- what it hears
    def take(self, reply):
        for kind in (ROOM_LIST, ROOM_WHO):
            if kind in reply:
                self.lists[last(reply[kind])[1]] = reply[kind]
        if ROOM not in reply:
            return
        (kind, value), = fields(reply[ROOM])
        heard = last(value)
        with self.lock:
            if kind == SAID:
                counter = last(heard[2])[2]
                self.answers[counter] = {"number": heard.get(3, 0), "stored": heard.get(6, 0),
                                         "code": heard.get(7, 0), "wait": heard.get(8, 0),
                                         "why": heard.get(9, b"").decode()}
            elif kind == MESSAGES:
                shown = self.shown.setdefault(heard[1].decode(), {})
                for number, entry in fields(value):
                    if number != 5:
                        continue
                    entry = last(entry)
                    if entry[7] == 1:
                        shown[entry[3]] = (entry[3], entry[6].decode(), entry[10].decode())
            elif kind == STATE:
                self.states[heard[1].decode()] = (heard.get(2, 0), heard.get(3, 0), heard.get(4, 0) == 1,
                                                  heard.get(5, b"").decode())
            elif kind == MOVED:
                self.moved.append((heard[1].decode(), heard[2].decode(), heard.get(3, 0) == 1))
        if kind == MESSAGES and heard.get(2, 0):
            self.lists[heard[2]] = value
