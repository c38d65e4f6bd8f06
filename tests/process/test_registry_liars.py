#!/usr/bin/env python3
"""Sessions that flood the metaserver or lie to it: it serves all others, and its tree, files and memory stay theirs."""
import contextlib
import os
import socket
import threading

from espalier_process import case, main, wait_until
from intruder import REGISTRY, Session, field, message, parse

MEMORY_BYTES = 64 << 20
ADMITTED, FAILURE = 1, 8
JOIN, PORT_TAKEN, LINKS, SEEK, HEARTBEAT, TOPOLOGY, MEMBERS, QUIT = range(1, 9)


def join(session, name, host=b"127.0.0.1", port=7, key=None, network_id=None, order=None):
    """The reply to a Join: {kind: message}."""
    session.send(field(JOIN, message(name.encode(), key or os.urandom(16), b"P2P", host, port, network_id, order)))
    return next_reply(session, ADMITTED, FAILURE)


def next_reply(session, *kinds):
    while True:
        reply = parse(session.receive())
        if any(kind in reply for kind in kinds):
            return reply


@contextlib.contextmanager
def member(network, name, **options):
    """A session of a member that listens nowhere and has no link; and its admission."""
    session = Session(network.address, REGISTRY, network.patience)
    try:
        reply = join(session, name, **options)
        assert ADMITTED in reply, f"{name} was not admitted: {reply}"
        yield session, parse(reply[ADMITTED])
    finally:
        session.socket.close()


class Flood:
    """Sends frames on a session as fast as they are taken, and reads the answers if wanted."""

    def __init__(self, session, payloads, times, reads):
        self.session, self.sent, self.answers = session, 0, 0
        data = b"".join(len(payload).to_bytes(4, "big") + payload for payload in payloads)
        session.socket.settimeout(None)
        self.threads = [threading.Thread(target=self.send, args=(data, times))]
        if reads:
            self.threads.append(threading.Thread(target=self.read))
        for thread in self.threads:
            thread.start()

    def send(self, data, times):
        with contextlib.suppress(OSError):
            for _ in range(times):
                self.session.socket.sendall(data)
                self.sent += 1

    def read(self):
        with contextlib.suppress(OSError):
            while True:
                self.session.receive()
                self.answers += 1

    def end(self):
        with contextlib.suppress(OSError):
            self.session.socket.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()


@case("floods of requests, pipelined, read and unread, keep nobody from joining and searching")
def _(network):
    network.start_metaserver("--max-links", "4")
    network.start_peers(3)
    before = network.metaserver.peak_memory_bytes()
    kinds = {
        "seek": field(SEEK, field(2, b"s1")),
        "links": field(LINKS, field(2, b"s1") + field(2, b"s2") + field(3, 1)),
        "no links": field(LINKS, b""),
        "topology": field(TOPOLOGY, b""),
        "members": field(MEMBERS, b""),
        "heartbeat": field(HEARTBEAT, b""),
        "taken": field(PORT_TAKEN, field(1, 7)),
        "again": field(JOIN, message(b"s1", os.urandom(16), b"no")),
    }
    with contextlib.ExitStack() as stack:
        floods = []
        for reads in (True, False):
            for name, payload in kinds.items():
                session, _ = stack.enter_context(member(network, f"{name.replace(' ', '-')}-{int(reads)}"))
                floods.append(Flood(session, [payload] * 100, 1000, reads))
                stack.callback(floods[-1].end)
        wait_until(lambda: sum(flood.sent for flood in floods) >= 1000, network.patience, "the floods to be under way")
        network.start_peer("s4")
        def linked():
            topo = network.topo()
            return all(topo.get(name) for name in ("s1", "s2", "s3", "s4"))
        wait_until(linked, network.patience, lambda: f"s4 in the tree: {network.topo()}")
        network.wait_indexed("s1")
        code, told = network.json("s4", "find f1.txt")
        assert [hit["name"] for hit in told[0]["hits"]] == ["f1.txt"], (code, told)
    assert network.metaserver.alive
    grown = network.metaserver.peak_memory_bytes() - before
    assert grown < network.memory_factor * MEMORY_BYTES, f"it has grown by {grown} bytes"
    network.wait_for_tree(["s1", "s2", "s3", "s4"])


@case("a member that names others its parent and neighbours takes no slot, and is in topo.txt alone")
def _(network):
    network.start_metaserver()
    network.start_peers(3)
    before = network.topo()
    names = [b"s1", b"s2", b"s3", b"mallory", b"nobody"]
    with member(network, "mallory") as (session, _):
        for parent in names:
            lie = field(1, parent) + b"".join(field(2, name) for name in names * 12)
            session.send(field(LINKS, lie + field(3, 9)))
            told = parse(next_reply(session, 9)[9])
            assert told == {1: 9, 2: b"nobody", 3: b"s3"}, told
        network.start_peer("s4")
        wait_until(lambda: network.topo().get("s4"), network.patience, lambda: f"s4 linked: {network.topo()}")
        topo = network.topo()
        assert topo["mallory"] == [], topo
        assert all(set(before[name]) <= set(topo[name]) for name in before), (before, topo)
    network.wait_for_tree(["s1", "s2", "s3", "s4"])


@case("hosts that nobody can dial or parse are refused, and a restart reads what was admitted")
def _(network):
    network.start_metaserver()
    network.start_peers(2)
    for host in [b"[x", b"0.0.0.0", b"255.255.255.255", b"239.1.2.3", b"::", b"ff02::1", b"a b", b"1.2.3", b"x" * 256,
                 b"\xff\xfe", b"fe80::1%lo", b"10.0.0.1:80", b"-a", b"a..b", b"::ffff:0.0.0.0"]:
        session = Session(network.address, REGISTRY, network.patience)
        assert FAILURE in join(session, "mallory", host=host), host
        session.socket.close()
    with member(network, "mallory", host=b"host.example"):
        wait_until(lambda: "mallory" in network.topo(), network.patience, "mallory in topo.txt")
        wait_until(lambda: b"mallory" in (network.folder / ".metaserver" / "network").read_bytes(), network.patience,
                   "mallory in the state file")
        network.metaserver.kill()
        network.restart_metaserver()
    assert "damaged" not in network.metaserver.log, network.metaserver.log
    network.wait_for_tree(["s1", "s2"])


@case("after a restart a foreign key gets no id, no order and no link of a member")
def _(network):
    network.start_metaserver("--max-links", "3")
    before = network.start_peers(3)
    with member(network, "spy") as (_, admitted):
        network_id = admitted[1]
    wait_until(lambda: "spy" not in network.topo(), network.patience, "the spy to be gone")
    network.metaserver.kill()
    network.restart_metaserver()
    for name, order in [("s1", 1), ("s2", 2), ("mallory", 1), ("mallory", 3)]:
        session = Session(network.address, REGISTRY, network.patience)
        reply = join(session, name, network_id=network_id, order=order)
        if ADMITTED in reply:
            contact = parse(parse(reply[ADMITTED])[2])
            assert contact[1] == b"mallory" and contact[2] > 3, contact
        session.socket.close()
    wait_until(lambda: network.topo() == before, network.patience, lambda: f"{before}: {network.topo()}")


@case("a stranger that joins and leaves without end takes no port and no slot from others")
def _(network):
    network.start_metaserver()
    network.start_peers(2)
    for number in range(1500):
        with member(network, f"flap{number}", port=0) as (session, _):
            if number % 2:
                session.send(field(QUIT, b""))
    network.start_peer("s3")
    network.wait_for_tree(["s1", "s2", "s3"])
    assert network.metaserver.alive


@case("a state file that is no file, or too large, stops the metaserver at once with a sentence, and stays")
def _(network):
    network.start_metaserver()
    network.metaserver.end()
    state = network.folder / ".metaserver" / "network"
    def huge():
        with state.open("wb") as file:
            file.truncate(1 << 40)
    kinds = {"a pipe": lambda: os.mkfifo(state), "a folder": state.mkdir, "a link to a device":
             lambda: state.symlink_to("/dev/zero"), "a link to itself": lambda: state.symlink_to("network"),
             "huge": huge}
    state.unlink()
    for kind, make in kinds.items():
        make()
        code, out, log = network.run(network.program("metaserver"), "--listen", network.address)
        assert code in (74, 78) and "network" in log, (kind, code, out, log)
        assert state.is_symlink() or state.exists(), kind
        state.rmdir() if kind == "a folder" else state.unlink()


if __name__ == "__main__":
    main()
