#!/usr/bin/env python3
"""Garbage, floods and intruders at the ports of real programs, which go on serving all others."""
import contextlib
import os
import random
import socket
import sys
import time

from espalier_process import case, main, text_of, wait_until


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=10)


def garbage(address, seed):
    """Opens a hundred connections and sends garbage of several kinds."""
    generator = random.Random(seed)
    kinds = [
        lambda: generator.randbytes(generator.randrange(1, 4096)),
        lambda: b"\xff\xff\xff\xff" + generator.randbytes(64),           # a frame of 4 GiB
        lambda: b"\x00\x01\x00\x01" + bytes(64),                         # one byte more than allowed
        lambda: b"\x00\x00\x00\x00" * 1000,                              # empty frames
        lambda: b"\x00\x00\x10\x00" + generator.randbytes(4096),         # a frame of noise
        lambda: b"\x00\x00\x00\x20",                                     # the header of a frame that never comes
        lambda: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        lambda: b"",
    ]
    for number in range(100):
        with contextlib.suppress(OSError), connect(address) as one:
            one.sendall(kinds[number % len(kinds)]())
            if number % 3 == 0:
                one.shutdown(socket.SHUT_WR)
                one.settimeout(0.05)
                one.recv(4096)


@case("garbage at the metaserver's port: peers still join, and none is lost")
def _(network):
    network.start_metaserver()
    network.start_peers(3)
    garbage(network.address, 1)
    network.start_peer("s4")
    network.wait_for_tree(["s1", "s2", "s3", "s4"])
    assert network.metaserver.alive


@case("garbage at a peer's port: it goes on serving, and no link is lost")
def _(network):
    network.start_metaserver()
    network.start_peers(3)
    before = network.topo_path.read_bytes()
    garbage(network.endpoint("s1"), 2)
    assert network.peers["s1"].alive
    network.wait_indexed("s1")
    code, out, log = network.command("s3", "get f3.txt")
    assert code == 0, (code, out, log)
    assert network.topo_path.read_bytes() == before


@case("three hundred silent connections do not keep peers out")
def _(network):
    network.start_metaserver()
    network.start_peers(2)
    with contextlib.ExitStack() as stack:
        for address in (network.address, network.endpoint("s1")):
            for _ in range(150):
                stack.enter_context(connect(address))
        network.start_peer("s3")
        network.wait_for_tree(["s1", "s2", "s3"])


@case("silent connections are closed after some time")
def _(network):
    network.start_metaserver()
    network.start_peers(1)
    for address in (network.address, network.endpoint("s1")):
        with connect(address) as one:
            one.settimeout(network.patience)
            while one.recv(4096):
                pass


@case("a wrong join word is refused: exit code 77, and topo.txt does not change")
def _(network):
    network.start_metaserver("--join-word", "quince")
    network.start_peer("s1", "--join-word", "quince")
    network.wait_for_tree(["s1"])
    network.fill_share("s2")
    code, out, log = network.run(*network.peer_command("s2", "--headless", "--join-word", "P2P"))
    assert code == 77 and "refused" in log, (code, out, log)
    assert list(network.topo()) == ["s1"]


@case("an id that is in the network is refused to another peer: exit code 77")
def _(network):
    network.start_metaserver()
    network.start_peers(2)
    network.fill_share("other", {})
    code, out, log = network.run(network.program("peer"), "--metaserver", network.address, "--id", "s1",
                                 "--share", "./other", "--headless")
    assert code == 77 and "s1" in log, (code, out, log)
    assert network.peers["s1"].alive
    network.wait_for_tree(["s1", "s2"])


@case("a second peer on the same share does not disturb the first")
def _(network):
    network.start_metaserver()
    network.start_peers(2)
    code, out, log = network.run(*network.peer_command("s1", "--headless"))
    assert code != 0, (out, log)
    assert network.peers["s1"].alive
    network.wait_for_tree(["s1", "s2"])


def snapshot(folder):
    """The content and times of the metaserver's files, which a second one could change."""
    paths = [folder / "topo.txt", folder / "NumberOfServers.txt", *sorted((folder / ".metaserver").rglob("*"))]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in paths if not path.is_socket()}


def quiet_snapshot(network):
    """The same, once nothing has changed for half a second."""
    state = {"snapshot": snapshot(network.folder), "since": time.monotonic()}
    def quiet():
        now = snapshot(network.folder)
        if now != state["snapshot"]:
            state.update(snapshot=now, since=time.monotonic())
        return time.monotonic() - state["since"] > 0.5
    wait_until(quiet, network.patience, "the metaserver's files to rest")
    return state["snapshot"]


@case("a second metaserver on the port exits with 69 and touches no file")
def _(network):
    network.start_metaserver()
    network.start_peers(3)
    before = quiet_snapshot(network)
    code, out, log = network.run(network.program("metaserver"), "--listen", network.address)
    assert code == 69 and network.address in log, (code, out, log)
    assert snapshot(network.folder) == before
    network.start_peer("s4")
    network.wait_for_tree(["s1", "s2", "s3", "s4"])


@case("an option of the environment wins over the file, a flag over both")
def _(network):
    network.start_metaserver("--join-word", "flag")
    network.fill_share("s1")
    (network.folder / "peer.conf").write_text("join-word = file\n")
    network.env["ESPALIER_JOIN_WORD"] = "environment"
    code, _, log = network.run(*network.peer_command("s1", "--config", "peer.conf", "--headless"))
    assert code == 77 and "environment" in log, (code, log)
    network.start_peer("s1", "--config", "peer.conf", "--join-word", "flag")
    network.wait_for_tree(["s1"])


@case("a topo.txt that cannot be written is logged once and does not stop the service")
def _(network):
    (network.folder / "gone").mkdir()
    network.start_metaserver("--topo", "gone/topo.txt")
    network.start_peer("s1")
    wait_until(lambda: "s1" in text_of(network.folder / "gone/topo.txt"), network.patience, "s1 in topo.txt")
    (network.folder / "gone/topo.txt").unlink()
    (network.folder / "gone").rmdir()
    for name in ("s2", "s3"):
        network.start_peer(name)
    wait_until(lambda: len(network.json("s1", "topo")[1][0].get("peers", [])) == 3, network.patience,
               "three peers in the network")
    def told():
        return [line for line in network.metaserver.log.splitlines() if "gone/topo.txt" in line and "ready" not in line]
    wait_until(told, network.patience, lambda: f"the metaserver to tell of it: {network.metaserver.log}")
    assert len(told()) == 1, told()
    (network.folder / "gone").mkdir()
    network.start_peer("s4")
    wait_until(lambda: "s4" in text_of(network.folder / "gone/topo.txt"), network.patience, "topo.txt again")


@case("the control socket is for its owner only")
def _(network):
    network.start_metaserver()
    network.start_peers(1)
    sockets = [path for path in (network.folder / "s1/.espalier").rglob("*") if path.is_socket()]
    assert sockets, "no control socket in s1/.espalier"
    for path in sockets:
        assert os.stat(path).st_mode & 0o077 == 0, oct(os.stat(path).st_mode)


if __name__ == "__main__":
    sys.exit(main())
