"""A member of the network that misbehaves: it joins and links as a peer does, and then sends any bytes.

  with Intruder(network, "mallory") as one:
      one.send(query(new_id(), GLOB, b"*"))
      one.answers                                  # the number of answers that have arrived
      one.offers                                   # the ids of the pushes that it was offered

Threads read what arrives, answer each search (with no hits, or those of `hits`), and send heartbeats. So no neighbour
takes the intruder for silent, and searches of other peers are complete.
"""
import contextlib
import itertools
import os
import socket
import threading

REGISTRY, LINK, TRANSFER, PUSH = 1, 2, 3, 4
OFFERED, ACCEPTED, LOST, FAILED, DECLINED, VERIFIED = range(6)
SUBSTRING, GLOB, WORDS, ROOT, PATH = 1, 2, 3, 4, 5


# --- protobuf
def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """A field of a message: a number as a varint, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*values):
    """Fields 1, 2, …; None for one that is absent."""
    return b"".join(field(number, value) for number, value in enumerate(values, 1) if value is not None)


def frame(payload):
    return len(payload).to_bytes(4, "big") + payload


def parse(data):
    """{number: last value} of a message. A nested message is bytes."""
    def take():
        nonlocal data
        value = shift = 0
        while True:
            byte, data = data[0], data[1:]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
    found = {}
    while data:
        key = take()
        assert key & 7 in (0, 2), f"wire type {key & 7}"
        value = take()
        if key & 7 == 2:
            value, data = data[:value], data[value:]
        found[key >> 3] = value
    return found


# --- messages
def hello(purpose):
    return message(1, 1, purpose)


def query(identity, kind, text, budget_ms=3000, asker=b"mallory", hops=1000):
    return field(10, field(1, message(identity, kind, text, budget_ms, asker, hops)))


def holder(name, endpoint):
    """Field `holders` of an answer. Hits refer to a holder by its index."""
    host, port = endpoint.rsplit(":", 1)
    return field(2, message(name.encode(), host.encode(), int(port)))


def hit(name, size, root, place=0):
    """Field `hits` of an answer. `root`: 32 bytes."""
    return field(3, message(name.encode(), size, root, place))


def answer(identity, *more):
    return field(10, field(2, field(1, identity) + b"".join(more)))


def contact(name, order, host, port):
    return message(name.encode(), order, host.encode(), port)


def push_file(name, size, root):
    """Field `files` of a PushOffer. `root`: 32 bytes."""
    return field(6, message(name.encode(), size, root))


def push_offer(identity, sender, *files, via=b"mallory", end=0):
    """`sender`: a contact."""
    return field(12, field(1, message(identity, sender, via, None, end) + b"".join(files)))


def push_entry(peer, state, version=1, via=b"s1", reason=None):
    """Field `entries` of a PushLedger. `peer`: a contact."""
    return field(3, message(version, state, peer, via, None, reason))


def push_ledger(identity, *entries, end=0):
    return field(12, field(2, field(1, identity) + field(2, end) + b"".join(entries)))


def chunk_list_request(root, size, chunk_bytes=64 * 1024):
    return field(1, message(root, size, chunk_bytes))


BEAT = field(6, field(1, b"") + field(2, 1))


def take_from(connection, count):
    """The next bytes on a socket."""
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("closed by the other side")
        data += more
    return data


def receive_from(connection):
    """The next payload on a socket."""
    return take_from(connection, int.from_bytes(take_from(connection, 4), "big"))


class Session:
    """A connection after Hello and Welcome."""

    def __init__(self, address, purpose, patience):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send(hello(purpose))
        assert 1 in parse(self.receive()), "the Hello was not welcome"

    def send(self, payload):
        self.socket.sendall(frame(payload))

    def take(self, count):
        return take_from(self.socket, count)

    def receive(self):
        return receive_from(self.socket)


class HostileServer:
    """A port that listens. A subclass's `converse(connection)` runs on a thread of its own for each connection, which
    ends with it. `connections` counts them."""

    def __init__(self, listener=None):
        self.listener = listener or socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.connections, self.open = 0, []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                one, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(one)
            threading.Thread(target=self.serve, args=(one,), daemon=True).start()

    def serve(self, one):
        with contextlib.suppress(OSError, AssertionError):  # it closed, or sent no protobuf
            self.converse(one)
        one.close()

    def converse(self, one):
        pass

    def forget(self):
        """Cuts all connections, and counts from zero."""
        for one in self.open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self.connections, self.open = 0, []

    def close(self):
        self.forget()
        with contextlib.suppress(OSError):  # an intruder that has left has closed it
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(1)  # it ends with its listener, or with this program

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Intruder:
    """Joins under `name`, and attaches to the parent that the metaserver refers it to.

    `hits(kind, text)` returns the answers to a query, each a list of fields.
    """

    def __init__(self, network, name, reads=True, hits=None):
        self.name, self.patience, self.answers, self.lost = name.encode(), network.patience, 0, None
        self.hits = hits
        self.offers = []
        self.ending = threading.Event()
        self.registry = Session(network.address, REGISTRY, self.patience)
        # Its port accepts connections and never answers, so requests to it fail.
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        port = self.listener.getsockname()[1]
        self.registry.send(field(1, message(self.name, os.urandom(16), b"P2P", b"127.0.0.1", port)))
        admitted = parse(self.registry.receive())
        while 3 in admitted:  # Wait
            admitted = parse(self.registry.receive())
        assert 1 in admitted, f"{name} was not admitted: {admitted}"
        admitted = parse(admitted[1])
        self.network_id, self.contact = admitted[1], admitted[2]
        self.order = parse(self.contact)[2]
        parent = parse(parse(admitted[6])[2])
        self.parent = parent[1].decode()
        self.attach(parent)
        self.registry.send(field(3, message(self.parent.encode(), self.parent.encode())))
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=one) for one in ([self.read] if reads else []) + [self.heartbeat]]
        for thread in self.threads:
            thread.start()

    def attach(self, parent):
        self.link = Session(f"{parent[3].decode()}:{parent[4]}", LINK, self.patience)
        self.link.send(field(1, message(self.network_id, self.contact, None, 1)))
        accepted = parse(self.link.receive())
        assert 2 in accepted, f"{self.name} was not accepted by {self.parent}: {accepted}"

    def read(self):
        try:
            while True:
                kinds = parse(self.link.receive())
                search = parse(kinds.get(10, b""))
                if 1 in search:
                    asked = parse(search[1])
                    for fields in self.hits(asked[2], asked[3]) if self.hits else []:
                        self.send(answer(asked[1], *fields))
                    own = field(4, varint(self.order) + varint(0))
                    self.send(answer(asked[1], own, field(8, 1)))
                self.answers += 2 in search
                push = parse(kinds.get(12, b""))
                if 1 in push:
                    self.offers.append(parse(push[1])[1])
        except OSError as error:
            self.lost = error

    def heartbeat(self):
        while not self.ending.wait(1):
            try:
                self.registry.send(field(5, b""))
                self.send(BEAT)
            except OSError:
                return

    def send(self, payload):
        with self.lock:
            self.link.send(payload)

    def send_raw(self, data):
        with self.lock:
            self.link.socket.sendall(data)

    def close(self):
        self.ending.set()
        for one in (self.link, self.registry):
            try:
                one.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join()
        for one in (self.link.socket, self.registry.socket, self.listener):
            one.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


IDS = itertools.count()


def new_id():
    return next(IDS).to_bytes(8, "big") + os.urandom(8)
