#!/usr/bin/env python3
"""A member that floods, forges, repeats and garbles: no other peer is lost, memory is bounded, and the log says so."""
import contextlib
import os
import pathlib
import random
import resource
import socket
import sys
import threading
import time

from espalier_process import case, main, wait_until
from intruder import (BEAT, GLOB, LINK, REGISTRY, SUBSTRING, TRANSFER, Intruder, Session, answer, field, frame,
                      hello, message, new_id, query)

MEMORY_BYTES = 64 << 20  # the bound for a peer with a few files


def network_of(network, count, *options, files=None):
    """Starts s1 … sN with free slots for an intruder."""
    network.start_metaserver("--max-links", "4", *options)
    names = [f"s{number}" for number in range(1, count + 1)]
    for name in names:
        network.start_peer(name, files=files)
    network.wait_for_tree(names)
    for name in names:
        network.wait_indexed(name)
    return names


def nobody_lost(network, names, before):
    """All peers are alive, linked as before, within the memory bound, and a search reaches all of them."""
    for name in names:
        peer = network.peers[name]
        assert peer.alive, f"{name} ended: {peer.log[-2000:]}"
        grown = peer.peak_memory_bytes() - before[name]
        assert grown < network.memory_factor * MEMORY_BYTES, f"{name} has grown by {grown} bytes"
        assert not [line for line in peer.log.splitlines() if "the link to s" in line], peer.log[-2000:]
    wait_until(lambda: set(names) <= set(network.topo()), network.patience, "everybody in topo.txt")
    told = []
    def complete():
        told[:] = network.json(names[-1], "find f1.txt")
        return told[0] == 0 and told[1][0]["searched"] == told[1][0]["peers"]
    wait_until(complete, network.patience, lambda: f"a complete search: {told}")


def memory_of(network, names):
    return {name: network.peers[name].peak_memory_bytes() for name in names}


@case("a link that floods searches is slowed down and logged; no peer is lost, and others search as before")
def _(network):
    names = network_of(network, 4)
    before = memory_of(network, names)
    with Intruder(network, "mallory") as mallory:
        parent = network.peers[mallory.parent]
        for _ in range(20_000):
            mallory.send(query(new_id(), GLOB, b"nosuch*"))
        parent.expect_log("mallory sends more searches than this peer answers: some are refused")
        nobody_lost(network, names, before)
        # Each was answered, most with a refusal, and the log says when the flood is over.
        wait_until(lambda: mallory.answers >= 20_000, network.patience, lambda: f"20000 answers: {mallory.answers}")
        parent.expect_log(r"mallory sends fewer searches again; \d+ were refused")
        told = [line for line in parent.log.splitlines() if "mallory" in line]
        assert len(told) < 20, told
        assert mallory.lost is None, mallory.lost


@case("searches from behind the relay of floods, and from everywhere else, are complete meanwhile")
def _(network):
    names = network_of(network, 8)
    before = memory_of(network, names)
    ending = threading.Event()
    with contextlib.ExitStack() as stack:
        liars = [stack.enter_context(Intruder(network, f"mallory{number}")) for number in range(3)]

        def flood(liar):
            try:
                while not ending.wait(0.02):
                    for _ in range(10):
                        liar.send(query(new_id(), GLOB, b"nosuch*", budget_ms=60_000))
            except OSError:
                pass
        threads = [threading.Thread(target=flood, args=[liar]) for liar in liars]
        for thread in threads:
            thread.start()
        try:
            for liar in liars:
                network.peers[liar.parent].expect_log(f"{liar.name.decode()} sends more searches than this")
            for name in [liar.parent for liar in liars] * 5 + names:
                code, out = network.json(name, "find nosuch.txt")
                assert (out[0]["searched"], out[0]["peers"]) == (11, 11), (name, code, out)
        finally:
            ending.set()
            for thread in threads:
                thread.join()
        assert not [liar.lost for liar in liars if liar.lost], [liar.lost for liar in liars]
    nobody_lost(network, names, before)


@case("repeated and forged searches, and unrequested answers, are ignored and logged once each")
def _(network):
    names = network_of(network, 4)
    before = memory_of(network, names)
    with Intruder(network, "mallory") as mallory:
        parent = network.peers[mallory.parent]
        same = new_id()
        for _ in range(2000):
            mallory.send(query(same, SUBSTRING, b"f"))
        for number in range(2000):
            mallory.send(answer(new_id(), field(8, 1)))
            mallory.send(answer(same, field(4, bytes([number % 100 + 1, 9])), field(8, number % 2)))
            mallory.send(field(10, field(3, field(1, new_id()))))  # the lost part of a search that does not exist
        parent.expect_log("mallory answered a search that nobody asked: ignored")
        # The rate limit lets so many queries through at once that the search is open when it is repeated.
        parent.expect_log("mallory repeated a search: ignored")
        nobody_lost(network, names, before)
        told = [line for line in parent.log.splitlines() if "mallory" in line]
        assert len(told) < 20, told


@case("patterns and names that are made to be slow: other searches are answered meanwhile")
def _(network):
    names = network_of(network, 4, files={f"{'a' * 180}{number}": b"" for number in range(1000)})
    for name in names:
        (network.folder / name / "f1.txt").write_bytes(b"1\n")
    for name in names:
        network.wait_indexed(name)
    before = memory_of(network, names)
    with Intruder(network, "mallory") as mallory:
        for _ in range(400):
            mallory.send(query(new_id(), GLOB, b"*a" * 100 + b"*" + b"a" * 200 + b"b", budget_ms=60_000))
        nobody_lost(network, names, before)
        assert mallory.lost is None, mallory.lost


def garble(session, generator, prefix=b""):
    """Sends noise after a valid Hello, until the other side closes the connection."""
    try:
        for _ in range(100):
            session.socket.sendall(prefix + generator.randbytes(generator.randrange(1, 4096)))
        session.socket.shutdown(socket.SHUT_WR)
        while session.socket.recv(65536):
            pass
    except OSError:
        pass
    session.socket.close()


@case("noise behind a valid Hello, on every kind of connection: only that connection ends")
def _(network):
    names = network_of(network, 3)
    before = memory_of(network, names)
    generator = random.Random(7)
    at_peer = network.endpoint("s1")
    for turn in range(20):
        prefix = [b"", b"\x00\x00\x01\x00", b"\x00\x00\x00\x02\x0a"][turn % 3]
        for address, purpose in ((network.address, REGISTRY), (at_peer, LINK), (at_peer, TRANSFER)):
            garble(Session(address, purpose, network.patience), generator, prefix)
    with Intruder(network, "mallory") as mallory:  # a member's link, and its registration
        parent = network.peers[mallory.parent]
        mallory.send_raw(b"\xff\xff\xff\xff" + generator.randbytes(4096))
        wait_until(lambda: mallory.lost is not None, network.patience, "the link of noise to end")
        parent.expect_log("the link to mallory is gone")
        mallory.registry.socket.sendall(b"\xff\xff\xff\xff" + generator.randbytes(4096))
        wait_until(lambda: "mallory" not in network.topo(), network.patience, "mallory to be gone")
    nobody_lost(network, names, before)
    assert network.metaserver.alive


@case("noise at the control socket: the next command is carried out")
def _(network):
    network_of(network, 1)
    generator = random.Random(8)
    kinds = [generator.randbytes(4096), b"\n" * 4096, b"{}\n", b'{"commands":7}\n', b"[" * 100_000 + b"\n",
             b'{"run":"' + b"x" * 1_000_000, b"null\n", b'{"line":"topo","line":"stop"}\n', b"\x00\n"]
    for path in (network.folder / "s1/.espalier/control.sock", network.folder / ".metaserver/control.sock"):
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path has 107 bytes at most
        try:
            for turn in range(90):
                with socket.socket(socket.AF_UNIX) as one:
                    one.settimeout(network.patience)
                    one.connect(path.name)
                    try:
                        one.sendall(kinds[turn % len(kinds)])
                        one.shutdown(socket.SHUT_WR)
                        while one.recv(65536):
                            pass
                    except OSError:
                        pass
        finally:
            os.chdir(here)
    assert network.json("s1", "find f1.txt")[0] == 0
    assert network.run(network.program("metaserver"), "-e", "topo")[1] == "s1:\n"


@case("a member that sends only heartbeats, and one that reads nothing, cost no other peer a link")
def _(network):
    names = network_of(network, 3)
    before = memory_of(network, names)
    with Intruder(network, "deaf", reads=False) as deaf:
        # Every request is answered; the intruder reads nothing.
        def full():
            try:
                for _ in range(50):
                    deaf.send(query(new_id(), SUBSTRING, b"f"))
                    deaf.send(BEAT)
            except OSError:
                return True
            return False
        deaf.link.socket.settimeout(1)
        for _ in range(100):
            if full():
                break
        for name in names:
            told = network.json(name, "peers")
            assert told[0] == 0, told
        deaf.close()
        nobody_lost(network, names, before)


def connect(address, receive_buffer=None):
    """A connection that has said nothing."""
    host, port = address.rsplit(":", 1)
    one = socket.socket()
    if receive_buffer:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    one.settimeout(10)
    one.connect((host, int(port)))
    return one


def raise_own_limit():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def ended(one, patience):
    """Whether the other side closes the connection; what it sends before is read."""
    one.settimeout(patience)
    try:
        while one.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def members(network, stack, count):
    """Members that are registered and do nothing else."""
    found = []
    for number in range(count):
        one = Session(network.address, REGISTRY, network.patience)
        stack.callback(one.socket.close)
        one.send(field(1, message(b"%064d" % number, os.urandom(16), b"P2P", b"127.0.0.1", number + 1)))
        one.receive()
        found.append(one)
    return found


def joins(network, name):
    """A peer joins while others flood."""
    peer = network.start_peer(name)
    wait_until(lambda: not peer.alive or name in network.topo(), network.patience, f"{name} in topo.txt")
    assert peer.alive, peer.log[-2000:]


@contextlib.contextmanager
def heartbeats(sockets):
    """Sends heartbeats to the metaserver meanwhile, so that it does not take them for silent."""
    ending = threading.Event()
    def beat():
        while not ending.wait(1):
            for one in sockets:
                with contextlib.suppress(OSError):
                    one.sendall(frame(field(5, b"")))
    thread = threading.Thread(target=beat)
    thread.start()
    yield
    ending.set()
    thread.join()


def is_idle(process):
    """Whether it takes next to no processor time for a while."""
    def ticks():
        fields = pathlib.Path(f"/proc/{process.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    before = ticks()
    time.sleep(0.5)
    return ticks() - before <= 5


TOPOLOGY = frame(field(6, field(1, 0)))  # asks the metaserver for the first page


@case("sessions that ask and never read are not read from: the metaserver's memory is bounded, and peers join")
def _(network):
    raise_own_limit()
    network.start_metaserver()
    with contextlib.ExitStack() as stack:
        stack.enter_context(heartbeats([one.socket for one in members(network, stack, 150)]))
        before = network.metaserver.peak_memory_bytes()
        for _ in range(100):
            one = connect(network.address, receive_buffer=4096)
            stack.callback(one.close)
            with contextlib.suppress(OSError):  # it may be closed already
                one.sendall(frame(hello(REGISTRY)))
                one.settimeout(0.2)
                one.sendall(TOPOLOGY * 500)
        joins(network, "s1")
        wait_until(lambda: is_idle(network.metaserver), network.patience, "the requests to be answered")
        grown = network.metaserver.peak_memory_bytes() - before
        assert grown < network.memory_factor * MEMORY_BYTES, f"it has grown by {grown} bytes"


@case("half frames are bounded in memory, and end after some seconds")
def _(network):
    raise_own_limit()
    network.start_metaserver()
    network.start_peers(2)
    half = frame(bytes(65536))[:65000]
    for address, process in ((network.address, network.metaserver), (network.endpoint("s1"), network.peers["s1"])):
        before = process.peak_memory_bytes()
        with contextlib.ExitStack() as stack:
            purpose = REGISTRY if process is network.metaserver else LINK
            many = []
            for _ in range(1000):
                one = connect(address)
                stack.callback(one.close)
                with contextlib.suppress(OSError):
                    one.sendall(frame(hello(purpose)) + half)
                many.append(one)
            assert all(ended(one, network.patience) for one in many), "a half frame is still there"
        grown = process.peak_memory_bytes() - before
        assert grown < network.memory_factor * MEMORY_BYTES, f"{process.name} has grown by {grown} bytes"
    joins(network, "s3")


@case("silent connections that use up the descriptors make room: peers join, and commands are answered")
def _(network):
    raise_own_limit()
    network.start_metaserver("--max-links", "4")
    network.start_peers(2)
    for process in (network.metaserver, network.peers["s1"]):
        resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE, (400, 400))
    at_peer = network.endpoint("s1")
    with contextlib.ExitStack() as stack:
        for _ in range(600):
            stack.callback(connect(at_peer).close)
        sessions = []
        for _ in range(600):
            one = connect(network.address)
            stack.callback(one.close)
            with contextlib.suppress(OSError):
                one.sendall(frame(hello(REGISTRY)) + frame(field(5, b"")))
            sessions.append(one)
        stack.enter_context(heartbeats(sessions))
        for name in ("s3", "s4", "s5"):
            joins(network, name)
        assert network.run(network.program("metaserver"), "-e", "topo")[0] == 0
        network.wait_for_tree(["s1", "s2", "s3", "s4", "s5"])


@case("a flood of noise and of joins fills no log: fewer than a hundred lines a minute")
def _(network):
    network.start_metaserver()
    network.start_peers(2)
    sizes = {process: len(process.log.splitlines()) for process in (network.metaserver, network.peers["s1"])}
    begun = time.monotonic()
    at_peer = network.endpoint("s1")
    for number in range(1500):
        with contextlib.suppress(OSError), connect(network.address) as one:
            if number % 2 == 0:
                one.sendall(frame(hello(REGISTRY)) + frame(b"\xff\xff"))
            else:
                joining = message(b"f%04d" % number, os.urandom(16), b"P2P", b"127.0.0.1", number + 1)
                one.sendall(frame(hello(REGISTRY)) + frame(field(1, joining)))
            ended(one, 0.02)
        with contextlib.suppress(OSError), connect(at_peer) as one:
            one.sendall(frame(hello(LINK)) + frame(b"\xff\xff"))
            ended(one, 0.02)
    for process, before in sizes.items():
        process.expect_log(r"\d+ lines like these left out, the last about ")
        told = len(process.log.splitlines()) - before
        minutes = 1 + (time.monotonic() - begun) // 60
        assert told < 100 * minutes, f"{process.name}: {told} lines"
        assert len(process.log) < 100_000
    joins(network, "s3")


if __name__ == "__main__":
    sys.exit(main())
