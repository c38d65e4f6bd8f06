#!/usr/bin/env python3
"""Peers that know several metaservers: the first is dead, the home is killed, another network, false addresses."""
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time

from espalier_process import case, main, noise, parse_topo, wait_until
from intruder import REGISTRY, HostileServer, field, frame, hello, message, parse, receive_from

MIB = 1 << 20


def two_addresses(network):
    """Ports at which no other test listens; the peers know both."""
    one, other = (f"127.0.0.1:{network.first_port + i}" for i in (14, 15))
    return one, other, f"{one},{other}"


def start_at(network, address, known):
    network.restart_metaserver(address)
    network.address = known  # what peers are given


def status(network, name):
    code, told = network.json(name, "status")
    assert code == 0, told
    return told[0]


def wait_for_home(network, name, address):
    wait_until(lambda: (status(network, name)["metaserver"], status(network, name)["metaserverReachable"])
               == (address, True), network.patience, lambda: f"{name} at {address}: {status(network, name)}")


def finds_all(network, asker, count):
    code, told = network.json(asker, "find '*'")
    assert code == 0 and told[0]["searched"] == told[0]["peers"] == count, (code, told)


@case("of two metaservers the first is dead at the start: peers join at the second, headless, with -e and at a prompt")
def _(network):
    dead, alive, known = two_addresses(network)
    start_at(network, alive, known)
    network.start_peers(2)
    wait_for_home(network, "s1", alive)
    log = network.peers["s1"].log
    assert f"cannot connect to {dead}: Connection refused: the next metaserver is tried" in log, log
    assert "no metaserver" not in log, log
    code, told = network.json_alone("s3", "-e", "topo")
    assert code == 0 and [peer["id"] for peer in told[0]["peers"]] == ["s1", "s2", "s3"], told
    code, out, log = network.command("s2", "status")
    assert code == 0 and f"2 peers, metaserver {alive}\n" in out, (out, log)
    network.fill_share("s4", {})
    terminal = network.terminal(*network.peer_command("s4"))
    terminal.prompt("s4>")
    terminal.type("stop")
    assert terminal.end() == 0


@case("no metaserver answers: exit code 69, and a sentence that names both")
def _(network):
    dead, other, known = two_addresses(network)
    network.address = known
    code, out, log = network.run(*network.peer_command("s1", "-e", "topo"))
    assert code == 69 and f"no metaserver at {dead}, {other}: start" in log, (code, out, log)
    waiting = network.start_peer("s1")
    waiting.expect_log(f"no metaserver at {dead}, {other}")
    start_at(network, other, known)
    wait_for_home(network, "s1", other)


@case("HOST-PORT names the metaserver, and a wrong one exits with 64")
def _(network):
    network.start_metaserver()
    network.fill_share("s1", {})
    host, port = network.address.rsplit(":", 1)
    network.spawn("s1", network.program("peer"), f"{host}-{port}", "--id", "s1", "--headless")
    network.wait_for_tree(["s1"])
    for wrong in (["127.0.0.1-x"], ["--metaserver", f"{network.address},"], ["--metaserver", "127.0.0.1"]):
        code, out, log = network.run(network.program("peer"), *wrong, "--id", "s2")
        assert code == 64, (wrong, code, out, log)


@case("the metaserver is killed and starts at the other address: peers come back as they were, a transfer goes on")
def _(network):
    first, second, known = two_addresses(network)
    start_at(network, first, known)
    network.start_peer("s1", "--upload-rate", "1M", files={"film.bin": noise(12 * MIB, 1)})
    wait_until(lambda: "s1" in network.topo(), network.patience, "s1 in topo.txt")
    for name in ("s2", "s3"):
        network.start_peer(name, files={f"{name}.txt": name.encode()})
        wait_until(lambda name=name: name in network.topo(), network.patience, f"{name} in topo.txt")
    names = ["s1", "s2", "s3"]
    before = network.wait_for_tree(names)
    for name in names:
        network.wait_indexed(name)
    endpoints = {name: status(network, name)["endpoint"] for name in names}
    get = subprocess.Popen([network.program("peer"), "--share", "./s3", "--json", "-e", "get film.bin"],
                           cwd=network.folder, env=network.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    def done():
        return max((each["done"] for each in status(network, "s3")["transfers"] if each["incoming"]), default=0)
    wait_until(lambda: done() > MIB, network.patience, "the transfer to run")
    begun = done()

    network.metaserver.kill()
    for name in names:
        network.peers[name].expect_log("metaserver out of reach")
    topo = parse_topo(network.topo_path.read_text(encoding="utf-8"))
    start_at(network, second, known)
    for name in names:
        wait_for_home(network, name, second)
        network.peers[name].expect_log(f"the metaserver is {second} now")
    wait_until(lambda: done() > begun, network.patience, "more of the transfer")
    assert get.poll() is None
    assert network.wait_for_tree(names) == before == topo, (before, network.topo())
    assert {name: status(network, name)["endpoint"] for name in names} == endpoints
    assert network.links_by_peers(names).keys() == before.keys()
    for name in names:
        log = network.peers[name].log
        assert "is gone" not in log and "newcomer" not in log, log
    finds_all(network, "s2", 3)
    code, out, log = network.command("s1", "limit upload none")
    assert code == 0, (code, out, log)
    out, _ = get.communicate(timeout=network.patience)
    assert get.returncode == 0 and json.loads(out.splitlines()[-1])["files"][0]["size"] == 12 * MIB, out
    assert (network.folder / "s3/film.bin").read_bytes() == noise(12 * MIB, 1)

    # And back again. A newcomer comes behind them.
    network.metaserver.kill()
    start_at(network, first, known)
    for name in names:
        wait_for_home(network, name, first)
    network.start_peer("s4", files={})
    links = network.wait_for_tree([*names, "s4"])
    assert list(links) == [*names, "s4"], links
    finds_all(network, "s4", 4)


@case("a metaserver of another network is left again; links and searches go on, and the own one is found again")
def _(network):
    own, foreign, known = two_addresses(network)
    other = network.spawn("other", network.program("metaserver"), "--listen", foreign, "--state", "./other-state",
                          "--topo", "other.txt", "--count-file", "other-count.txt",
                          "--first-port", str(network.first_port + 8))
    other.expect_log("metaserver ready")
    network.address = foreign
    network.start_peer("o1", files={})
    def topo_of_other():
        path = network.folder / "other.txt"
        return parse_topo(path.read_text(encoding="utf-8")) if path.exists() else {}
    wait_until(lambda: "o1" in topo_of_other(), network.patience, "o1 in its network")
    start_at(network, own, known)
    network.start_peers(3)
    names = ["s1", "s2", "s3"]
    links = network.links_by_peers(names)
    network.metaserver.kill()
    for name in names:
        network.peers[name].expect_log(f"the metaserver at {foreign} has another network: this peer stays in its own")
        told = status(network, name)
        assert told["metaserver"] == own and not told["metaserverReachable"], told
    finds_all(network, "s3", 3)
    assert network.links_by_peers(names) == links
    wait_until(lambda: list(topo_of_other()) == ["o1"], network.patience, "the other network to be alone again")
    start_at(network, own, known)
    for name in names:
        wait_for_home(network, name, own)
        assert network.peers[name].log.count("has another network") == 1, network.peers[name].log
    assert set(network.wait_for_tree(names)) == set(names)
    assert list(topo_of_other()) == ["o1"]


class FalseMetaserver(HostileServer):
    """Admits whoever comes, tells it the addresses of `victims` as the other metaservers, and closes."""

    victims = []

    def converse(self, one):
        one.settimeout(10)
        receive_from(one)
        one.sendall(frame(field(1, field(1, 1))))
        join = parse(receive_from(one))
        while 1 not in join:
            join = parse(receive_from(one))
        told = parse(join[1])
        port = told.get(5) or self.port_for_peer
        own = message(told[1], 7, b"127.0.0.1", port)
        others = b"".join(field(8, message(b"127.0.0.1", each)) for each in self.victims)
        one.sendall(frame(field(1, message(b"a lying network.", own, 4, 2000, 1, field(1, 2)) + others)))
        time.sleep(0.2)  # so that the peer listens and is in the network


class Victim(HostileServer):
    """A service of another kind: keeps what it is sent, and closes without an answer."""

    def __init__(self):
        self.heard = []
        super().__init__()

    def converse(self, one):
        one.settimeout(10)
        self.heard.append(one.recv(4096))


@case("a metaserver that tells false addresses and closes each session makes a peer knock a few times, with a Hello")
def _(network):
    with contextlib.ExitStack() as stack:
        liar = stack.enter_context(FalseMetaserver())
        victims = [stack.enter_context(Victim()) for _ in range(5)]
        liar.victims, liar.port_for_peer = [each.port for each in victims], network.first_port
        network.address = liar.address
        peer = network.start_peer("s1", files={})
        begun = time.monotonic()
        wait_until(lambda: liar.connections >= 3, network.patience, lambda: f"{liar.connections} sessions")
        dials = [each.connections for each in victims]
        assert all(dials), dials
        # After the first round a dial each 2.6 s on average; some come sooner by chance.
        assert sum(dials) + liar.connections <= 3 * (len(dials) + 1) + time.monotonic() - begun, (dials, begun)
        for each in victims:
            assert all(len(heard) <= 16 for heard in each.heard), each.heard
        assert peer.alive and network.json("s1", "status")[0] == 0
        assert peer.end() == 0


# --- being handed on

def welcome(network_id):
    return frame(field(1, field(1, 1) + field(3, network_id)))


def redirect(port, network_id):
    return frame(field(10, message(message(b"127.0.0.1", port), network_id)))


def network_at(address):
    """The id of the network, as the metaserver there tells it."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as one:
        one.sendall(frame(hello(REGISTRY)))
        return parse(parse(receive_from(one))[1])[3]


class Entry(HostileServer):
    """Sends whoever wants to join to `to`, a port."""

    to, network_id = 0, b"example network."

    def __init__(self):
        self.heard = []
        super().__init__()

    def converse(self, one):
        one.settimeout(10)
        receive_from(one)
        one.sendall(welcome(self.network_id))
        while 1 not in parse(receive_from(one)):  # a Join
            pass
        one.sendall(redirect(self.to, self.network_id))
        self.heard.append(one.recv(4096))


class Door(HostileServer):
    """Passes all frames on to the metaserver behind it and back. What `send_all` is given goes to all peers."""

    def __init__(self, behind):
        self.behind, self.lock, self.peers = behind, threading.Lock(), []
        super().__init__()

    def converse(self, one):
        host, port = self.behind.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=10) as other:
            other.settimeout(None)
            with self.lock:
                self.peers.append(one)
            thread = threading.Thread(target=self.pass_on, args=(other, one), daemon=True)
            thread.start()
            with contextlib.suppress(OSError):
                self.pass_on(one, other)
            thread.join(10)

    def pass_on(self, one, other):
        with contextlib.suppress(OSError):
            while head := one.recv(4, socket.MSG_WAITALL):
                body = one.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
                with self.lock:
                    other.sendall(head + body)
            with self.lock:
                if one in self.peers:
                    self.peers.remove(one)
            other.shutdown(socket.SHUT_RDWR)

    def send_all(self, frames):
        with self.lock:
            for one in self.peers:
                with contextlib.suppress(OSError):
                    one.sendall(frames)


@case("an entry hands newcomers on: they join at the other metaserver, with -e, too, and come back by the entry")
def _(network):
    real, other, _ = two_addresses(network)
    start_at(network, real, real)
    with Entry() as entry:
        entry.to, entry.network_id = int(real.rsplit(":", 1)[1]), network_at(real)
        network.address = entry.address
        network.start_peers(3)
        for name in ("s1", "s2", "s3"):
            wait_for_home(network, name, real)
            log = network.peers[name].log
            assert "out of reach" not in log and "sent this peer" not in log, log
        finds_all(network, "s3", 3)
        code, told = network.json_alone("s4", "-e", "topo")
        assert code == 0 and [peer["id"] for peer in told[0]["peers"]] == ["s1", "s2", "s3", "s4"], told
        assert entry.connections == 4, entry.connections
        wait_until(lambda: entry.heard == [b""] * 4, network.patience, lambda: f"{entry.heard}")

        # The home dies. The entry, which the user gave, knows where the next one is.
        network.metaserver.kill()
        network.restart_metaserver(other)
        entry.to, entry.network_id = int(other.rsplit(":", 1)[1]), network_at(other)
        for name in ("s1", "s2", "s3"):
            wait_for_home(network, name, other)
            assert "newcomer" not in network.peers[name].log, network.peers[name].log


@case("an entry that hands on to another network, or to nobody: a Hello and nothing else, ever more rarely; told, 69")
def _(network):
    with Entry() as entry, Entry() as foreign, Victim() as victim:
        foreign.network_id = b"another network."
        entry.to = foreign.port
        network.address = entry.address
        code, out, log = network.run(*network.peer_command("s1", "-e", "topo"))
        assert code == 69 and "it is no metaserver of the same network" in log, (code, out, log)
        assert (entry.connections, foreign.connections) == (1, 1) and not foreign.heard, foreign.heard

        entry.to = victim.port
        peer = network.start_peer("s1")
        peer.expect_log(f"a metaserver sent this peer to {victim.address}, which has not admitted it")
        begun = time.monotonic()
        wait_until(lambda: entry.connections >= 5, network.patience, lambda: f"{entry.connections} attempts")
        # After 1, 2, 4 … seconds.
        most = 2 + int(time.monotonic() - begun + 2).bit_length()
        assert 1 <= victim.connections <= most, (victim.connections, most)
        assert all(len(heard) <= 16 for heard in victim.heard), victim.heard
        assert "it follows again in" in peer.log, peer.log
        assert peer.end() == 0


@case("two metaservers that hand a newcomer to each other: three in a row are followed, then it is told")
def _(network):
    with Entry() as one, Entry() as other:
        one.to, other.to = other.port, one.port
        network.address = one.address
        code, out, log = network.run(*network.peer_command("s1", "-e", "topo"))
        assert code == 69 and "it was sent on too often in a row" in log, (code, out, log)
        assert (one.connections, other.connections) == (2, 2), (one.connections, other.connections)


@case("members are moved to another metaserver: one line each, no link moves, a transfer goes on, searches find all")
def _(network):
    real, _, _ = two_addresses(network)
    start_at(network, real, real)
    with Door(real) as door:
        network.address = door.address
        network.start_peer("s1", "--upload-rate", "1M", files={"film.bin": noise(12 * MIB, 1)})
        wait_until(lambda: "s1" in network.topo(), network.patience, "s1 in topo.txt")
        for name in ("s2", "s3"):
            network.start_peer(name, files={f"{name}.txt": name.encode()})
            wait_until(lambda name=name: name in network.topo(), network.patience, f"{name} in topo.txt")
        names = ["s1", "s2", "s3"]
        before, links = network.wait_for_tree(names), network.links_by_peers(names)
        for name in names:
            network.wait_indexed(name)
            assert status(network, name)["metaserver"] == door.address
        get = subprocess.Popen([network.program("peer"), "--share", "./s3", "--json", "-e", "get film.bin"],
                               cwd=network.folder, env=network.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        wait_until(lambda: any(each["incoming"] and each["done"] > MIB for each in status(network, "s3")["transfers"]),
                   network.patience, "the transfer to run")
        logs = {name: network.peers[name].log for name in names}

        door.send_all(redirect(int(real.rsplit(":", 1)[1]), network_at(real)))
        for name in names:
            wait_for_home(network, name, real)
        wait_until(lambda: not door.peers, network.patience, lambda: f"{len(door.peers)} connections at the old door")
        for name in names:
            told = network.peers[name].log[len(logs[name]):].splitlines()
            assert len(told) == 1 and f"the metaserver is {real} now" in told[0], told
        assert network.wait_for_tree(names) == before and network.links_by_peers(names) == links
        assert get.poll() is None
        finds_all(network, "s2", 3)
        code, out, log = network.command("s1", "limit upload none")
        assert code == 0, (code, out, log)
        get.communicate(timeout=network.patience)
        assert get.returncode == 0 and (network.folder / "s3/film.bin").read_bytes() == noise(12 * MIB, 1)
        network.start_peer("s4", files={})
        assert list(network.wait_for_tree([*names, "s4"])) == [*names, "s4"]


@case("a metaserver that sends a member to others without end makes it dial few of them, and it stays where it is")
def _(network):
    real, _, _ = two_addresses(network)
    start_at(network, real, real)
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(Door(real))
        victims = [stack.enter_context(Victim()) for _ in range(5)]
        network.address = door.address
        network.start_peers(2)
        names = ["s1", "s2"]
        before = network.wait_for_tree(names)
        identity = network_at(real)
        begun = time.monotonic()
        for _ in range(200):
            door.send_all(b"".join(redirect(each.port, identity) for each in victims) * 4)
            finds_all(network, "s2", 2)
            if sum(each.connections for each in victims) >= 4:
                break
        took = time.monotonic() - begun
        dials = sum(each.connections for each in victims)
        assert 2 <= dials <= 2 * (2 + int(took).bit_length()), (dials, took)
        for each in victims:
            assert all(len(heard) <= 16 for heard in each.heard), each.heard
        for name in names:
            told = status(network, name)
            assert (told["metaserver"], told["metaserverReachable"]) == (door.address, True), told
            assert len(network.peers[name].log.splitlines()) < 80, network.peers[name].log
        assert network.wait_for_tree(names) == before


if __name__ == "__main__":
    sys.exit(main())
