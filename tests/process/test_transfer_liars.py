#!/usr/bin/env python3
"""Transfers with somebody who lies: askers that take nothing or ask for nothing, holders that keep others waiting."""
import hashlib
import os
import socket
import sys
import threading

from espalier_process import case, file_root, main, wait_until
from intruder import (PATH, TRANSFER, HostileServer, Intruder, Session, field, frame, hit, holder, message, parse,
                      receive_from)

LIST_MOST = 64 << 20  # bytes of memory that a list may cost the asker


def root_of(data):
    return bytes.fromhex(file_root(data))


def two_peers(network, files):
    """s1, which shares the files, and s2, which shares one of its own."""
    network.start_metaserver("--max-links", "4")
    network.start_peer("s1", files=files)
    network.start_peer("s2", files={"own.txt": b"of s2\n"})
    network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s1")
    return network.endpoint("s1")


def current_memory(process):
    with open(f"/proc/{process.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Server(HostileServer):
    """Accepts transfers; `answer(request, connection)` answers each request."""

    def __init__(self, answer, listener=None):
        self.answer = answer
        super().__init__(listener)

    def converse(self, one):
        receive_from(one)
        one.sendall(frame(field(1, message(1))))
        while True:
            self.answer(parse(receive_from(one)), one)


@case("a small get is served beside readers that take nothing, and connections that ask for nothing")
def _(network):
    big = os.urandom(1 << 20) * 16
    endpoint = two_peers(network, {"big.bin": big, "f1.txt": b"1\n"})
    before = current_memory(network.peers["s1"])
    others = []
    for number in range(260):
        one = Session(endpoint, TRANSFER, network.patience)
        others.append(one)
        if number < 80:  # reads nothing of what it asked for
            for _ in range(4):
                one.send(field(2, message(root_of(big), 1 << 20, 0, 16)))
        elif number < 160:  # many small answers, read by nobody
            one.socket.sendall(frame(field(2, message(root_of(big), 16384, 0, 1024))) * 20)
        elif number < 200:  # half a request
            one.socket.sendall(b"\0\0\1")
    for _ in range(5):
        code, out, log = network.command("s2", "get f1.txt")
        assert code == 0, (code, out, log)
        (network.folder / "s2/f1.txt").unlink()
        network.wait_indexed("s2")
    grown = current_memory(network.peers["s1"]) - before
    assert grown < network.memory_factor * (64 << 20), f"{grown >> 20} MiB"
    for one in others:
        one.socket.close()


@case("connections beyond the bound that ask for nothing give way to those that ask")
def _(network):
    endpoint = two_peers(network, {"f1.txt": b"1\n"})
    others = [Session(endpoint, TRANSFER, network.patience) for _ in range(512)]
    for one in others[:256]:  # they have asked once
        one.send(field(1, message(bytes(32))))
        one.receive()
    for _ in range(3):
        code, out, log = network.command("s2", "get f1.txt")
        assert code == 0, (code, out, log)
        (network.folder / "s2/f1.txt").unlink()
        network.wait_indexed("s2")
    for one in others:
        one.socket.close()


@case("a get dials an endpoint that others name once at a time, and no address that is nobody's")
def _(network):
    data = os.urandom(3 << 20)
    two_peers(network, {"f1.bin": data})
    with Server(lambda request, one: None) as chosen:  # answers no request
        def hits(kind, text):
            if kind != PATH:
                return []
            liars = [holder(f"x{number}", chosen.address) for number in range(100)]
            liars += [holder("s1", "0.0.0.0:9"), holder("s1", "224.0.0.1:9"), holder("s1", "255.255.255.255:9")]
            # Other sizes make the asker ask each holder for the size first.
            return [[*liars, *(hit("f1.bin", len(data) + number % 2, root_of(data), number)
                               for number in range(len(liars)))]]
        with Intruder(network, "mallory", hits=hits):
            code, told = network.json("s2", "get f1.bin")
            assert code == 0, told
            assert told[-1]["files"][0]["sources"] == ["s1"], told
        assert chosen.connections <= 4, chosen.connections
    assert (network.folder / "s2/f1.bin").read_bytes() == data


@case("a holder that sends a byte now and then does not hold a get that another one can serve")
def _(network):
    data = os.urandom(4 << 20)
    two_peers(network, {"f1.bin": data})
    ending = threading.Event()

    def trickle(request, one):
        if 2 in request:  # chunks: the header of the first, then next to nothing
            one.sendall(frame(field(2, message(parse(request[2]).get(3, 0), 1 << 20))))
            while not ending.wait(0.3):
                one.sendall(b"x")
    with Server(trickle) as slow:
        def hits(kind, text):
            return [[holder("mallory", slow.address), hit("f1.bin", len(data), root_of(data))]] if kind == PATH else []
        with Intruder(network, "mallory", hits=hits):
            code, told = network.json("s2", "get f1.bin")
            assert code == 0, told
            assert slow.connections > 0
        ending.set()
    assert (network.folder / "s2/f1.bin").read_bytes() == data


@case("a list without end, one that repeats names, and one of empty pages end with a clear error")
def _(network):
    two_peers(network, {"f1.txt": b"1\n"})
    mode, count = ["endless"], [0]

    def name(number):
        # Long and valid: 4 parts, 900 bytes.
        return "/".join(["%012d" % number, *["d" * 220] * 4]).encode()

    def page(request, one):
        if 3 not in request:
            return
        entries = []
        for number in range(60) if mode[0] != "empty" else []:
            at = count[0] + number if mode[0] != "repeats" else number
            entries.append(field(1, message(hashlib.sha256(b"%d" % at).digest(), 1, name(at))))
        count[0] += 60
        one.sendall(frame(field(3, b"".join(entries) + field(2, 1))))
    with Intruder(network, "mallory") as mallory, Server(page, mallory.listener):
        before = current_memory(network.peers["s2"])
        code, out, log = network.command("s2", "list mallory")
        assert code == 3, (code, out[-300:], log)
        assert "more files" in log, log
        code, told = network.json("s2", "list mallory")
        assert code == 3 and told[0]["more"] > 0, (code, told[0].get("error"))
        assert count[0] < 60_000, count
        peak = network.peers["s2"].peak_memory_bytes() - before
        assert peak < network.memory_factor * 2 * LIST_MOST, f"{peak >> 20} MiB"
        for mode[0], said in (("repeats", "order of its names"), ("empty", "empty page")):
            code, out, log = network.command("s2", "list mallory")
            assert code == 76 and said in log, (mode, code, log)
    wait_until(lambda: network.json("s2", "list s1")[0] == 0, network.patience, "a list of s1")


if __name__ == "__main__":
    sys.exit(main())
