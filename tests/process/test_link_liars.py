#!/usr/bin/env python3
"""Strangers and members that lie over links, and a metaserver that lies: who is dialled, and who keeps a slot."""
import contextlib
import os
import socket
import sys
import threading
import time

from espalier_process import case, main, wait_until
from intruder import BEAT, LINK, REGISTRY, Intruder, Session, field, message, parse

HOST = b"127.0.0.1"


class Listener:
    """Counts the connections that arrive, and ends each at once."""

    def __enter__(self):
        self.server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port, self.count = self.server.getsockname()[1], 0
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()
        return self

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.server.accept()[0].close()
                self.count += 1

    def __exit__(self, *_):
        self.server.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.server.close()


class Stranger:
    """Attaches to a peer as a child, known to no metaserver. `slot`: whether it was accepted."""

    def __init__(self, network, endpoint, network_id, name, order, floor=None):
        self.link = Session(endpoint, LINK, network.patience)
        contact = message(name, order, HOST, 9)
        self.link.send(field(1, message(network_id, contact, floor, 1)))
        self.slot = 2 in parse(self.link.receive())
        self.ending = threading.Event()
        self.gone = not self.slot
        self.threads = [threading.Thread(target=one) for one in (self.read, self.beat)]
        for thread in self.threads:
            thread.start()

    def read(self):
        with contextlib.suppress(OSError):
            while True:
                self.link.receive()
        self.gone = True

    def beat(self):
        while not self.ending.wait(1):
            with contextlib.suppress(OSError):
                self.link.send(BEAT)

    def close(self):
        self.ending.set()
        with contextlib.suppress(OSError):
            self.link.socket.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.link.socket.close()


def network_id_of(network):
    """As a guest learns it, which leaves again."""
    guest = Session(network.address, REGISTRY, network.patience)
    guest.send(field(1, message(b"guest", os.urandom(16), b"P2P", HOST, 9)))
    admitted = parse(guest.receive())
    guest.send(field(8, b""))
    guest.socket.close()
    return parse(admitted[1])[1]


@case("strangers that take all slots of a peer give them up to members")
def _(network):
    network.start_metaserver("--max-links", "6")
    network.start_peer("s1")
    network.wait_for_tree(["s1"])
    identity, endpoint = network_id_of(network), network.endpoint("s1")
    wait_until(lambda: network.topo() and "guest" not in network.topo(), network.patience, "the guest has left")
    with contextlib.ExitStack() as stack:
        strangers = [Stranger(network, endpoint, identity, b"x%d" % number, 1000 + number) for number in range(6)]
        for one in strangers:
            stack.callback(one.close)
        assert all(one.slot for one in strangers), [one.slot for one in strangers]
        network.peers["s1"].expect_log("is no member of the network: its link is given up when")
        names = ["s1", *(f"s{number}" for number in range(2, 6))]
        for name in names[1:]:
            network.start_peer(name)
        network.wait_for_tree(names)
        wait_until(lambda: sum(one.gone for one in strangers) >= 4, network.patience, "four strangers gone")


@case("a stranger under the id of a member gives its slot up to members")
def _(network):
    network.start_metaserver("--max-links", "3")
    network.start_peers(3)
    identity = network_id_of(network)
    # s2 is a child of s1. Both slots of s3 are taken under the ids of others.
    with contextlib.ExitStack() as stack:
        strangers = [Stranger(network, network.endpoint("s3"), identity, name, order)
                     for name, order in ((b"s2", 2), (b"guest", 4))]
        for one in strangers:
            stack.callback(one.close)
        assert all(one.slot for one in strangers)
        network.peers["s3"].expect_log("s2 has not reported its link to the metaserver")
        names = [f"s{number}" for number in range(1, 9)]
        for name in names[3:]:
            network.start_peer(name)
        network.wait_for_tree(names)
        wait_until(lambda: all(one.gone for one in strangers), network.patience, "both strangers gone")


@case("wishes in the name of an older root make a root dial rarely")
def _(network):
    network.start_metaserver("--max-links", "4")
    network.start_peers(3)
    assert network.command("s1", "stop")[0] == 0
    network.wait_for_tree(["s2", "s3"])
    with Listener() as lure, Intruder(network, "mallory") as mallory:
        for step in range(2000):
            floor = message(100_000 + step, 1)
            seeker = message(b"s0", 1, HOST, lure.port)
            mallory.send(field(8, message(floor, seeker, b"mallory")))
            time.sleep(0.001)
        time.sleep(1)
        assert lure.count <= 10, f"{lure.count} dials"
        code, told, log = network.command("s3", "peers")
        assert code == 0 and network.peers["s2"].alive, (told, log)


@case("a member that attaches and leaves all the time disturbs nobody")
def _(network):
    network.start_metaserver("--max-links", "4")
    for name in ("s1", "s2", "s3"):
        network.start_peer(name, files={f"{name}.txt": b"x"})
    network.wait_for_tree(["s1", "s2", "s3"])
    for name in ("s1", "s2", "s3"):
        network.wait_indexed(name)
    identity, endpoint = network_id_of(network), network.endpoint("s1")
    accepted = 0
    for _ in range(300):
        link = Session(endpoint, LINK, network.patience)
        link.send(field(1, message(identity, message(b"flap", 1000, HOST, 9), None, 1)))
        accepted += 2 in parse(link.receive())
        link.socket.close()
    assert accepted < 200, accepted
    code, found = network.json("s3", "find s2.txt")
    assert code == 0 and found[0]["searched"] == found[0]["peers"], (code, found)
    network.wait_for_tree(["s1", "s2", "s3"])


@case("a metaserver that refers a peer anywhere makes it dial at a bounded rate")
def _(network):
    server = socket.create_server(("127.0.0.1", 0))
    ending = threading.Event()

    def serve():
        with contextlib.suppress(OSError, IndexError, KeyError):
            connection, _ = server.accept()
            session = Session.__new__(Session)
            session.socket = connection
            session.receive()
            session.send(field(1, message(1)))  # Welcome
            join = parse(parse(session.receive())[1])
            own = message(join[1], 7, HOST, port)
            to_itself = message(3, own)
            session.send(field(1, message(b"n" * 16, own, 2, 600_000, 2, to_itself)))
            while not ending.wait(0.001):
                session.send(field(2, to_itself))
                session.send(field(2, message(3, message(b"lure", 1, HOST, lure.port))))
                session.send(field(4, b""))  # the join word is refused
                session.send(field(1, message(b"m" * 16, own, 2, 100, 2, to_itself)))

    with Listener() as lure:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        network.address = "127.0.0.1:%d" % server.getsockname()[1]
        thread = threading.Thread(target=serve)
        thread.start()
        peer = network.start_peer("s1")
        begun = time.monotonic()
        wait_until(lambda: lure.count > 0, network.patience, "the first dial")
        time.sleep(3)
        seconds = time.monotonic() - begun
        assert peer.alive, peer.log[-2000:]
        assert lure.count <= 60 + 10 * seconds, (lure.count, seconds)
        assert len(peer.log.splitlines()) < 100, peer.log[-2000:]
        ending.set()
        thread.join()
        server.close()


if __name__ == "__main__":
    main()
