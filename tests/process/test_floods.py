#!/usr/bin/env python3
"""A member that floods, forges, repeats and garbles: no other peer is lost, memory is bounded, and the log says so."""
import contextlib
import os
import random
import socket
import sys
import threading

from espalier_process import case, main, wait_until
from intruder import (BEAT, GLOB, LINK, REGISTRY, SUBSTRING, TRANSFER, Intruder, Session, answer, field, new_id,
                      query)

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


if __name__ == "__main__":
    sys.exit(main())
