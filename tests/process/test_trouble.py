#!/usr/bin/env python3
"""Ports that are taken, servers of another kind, disks that decay, stopped terminals: exit codes and sentences."""
import contextlib
import os
import re
import socket
import sys
import threading

from espalier_process import case, main, wait_until
from intruder import field, frame, message


@case("a --listen port that is taken, or an address of another machine, exits with 74 and says so")
def _(network):
    network.start_metaserver()
    network.start_peers(2)
    network.fill_share("s3")
    taken = "cannot listen on {}: the port is in use by another process"
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = f"127.0.0.1:{other.getsockname()[1]}"
        for address, sentence in ((busy, taken), (network.endpoint("s1"), taken), (network.address, taken),
                                  ("192.0.2.1:0", "cannot listen on 192.0.2.1:"),
                                  ("192.0.2.1:4711", "this machine has no such address")):
            code, out, log = network.run(*network.peer_command("s3", "--headless", "--listen", address))
            assert code == 74 and sentence.format(address) in log, (address, code, out, log)
    code, told = network.json_alone("s3", "--listen", network.address, "-e", "topo")
    assert code == 74 and told[0]["error"]["code"] == 74, (code, told)
    network.wait_for_tree(["s1", "s2"])


@contextlib.contextmanager
def server(network, *replies):
    """A server that accepts connections one after the other, waits for a frame, and answers with those bytes."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(network.patience)
    def serve():
        with contextlib.suppress(OSError):
            while True:
                with listener.accept()[0] as one:
                    one.settimeout(network.patience)
                    with contextlib.suppress(OSError):
                        for reply in replies:
                            one.recv(4096)
                            one.sendall(reply)
                        while one.recv(4096):
                            pass
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


@case("a server that is not a metaserver, or has another version: exit code 76 and a sentence")
def _(network):
    network.start_metaserver()
    network.start_peers(1)
    network.fill_share("s2")
    welcome = frame(field(1, message(1)))
    def join(address):
        return network.run(network.program("peer"), "--metaserver", address, "--id", "s2", "--headless")
    code, out, log = join(network.endpoint("s1"))
    assert code == 76 and "this is a peer, not a metaserver" in log, (code, out, log)
    for replies in ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], [frame(b"\xff\xff")], [frame(field(1, message(9)))],
                    [frame(field(2, message(76, b"it speaks version 7 only")))], [welcome, frame(b"\x0a\x02\x01")],
                    [welcome, b"\xff\xff\xff\xff noise"]):
        with server(network, *replies) as address:
            code, out, log = join(address)
        assert code == 76, (replies, code, log)
        assert f"the program at {address} is not a metaserver of this version" in log, (replies, log)


@case("a metaserver that accepts and is silent counts as out of reach: exit code 69")
def _(network):
    network.fill_share("s1")
    with server(network) as address:
        code, out, log = network.run(network.program("peer"), "--metaserver", address, "--id", "s1", "-e", "topo")
    assert code == 69 and f"no metaserver at {address}" in log, (code, out, log)


def decay(path):
    """Changes a byte in the middle; puts size and mtime back."""
    status = path.stat()
    with open(path, "r+b") as file:
        file.seek(status.st_size // 2)
        byte = file.read(1)[0]
        file.seek(status.st_size // 2)
        file.write(bytes([byte ^ 0xFF]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@case("a file that changed while its holder was away, size and time restored, is not delivered as the old one")
def _(network):
    network.start_metaserver()
    network.start_peers(3)
    for name in network.peers:
        network.wait_indexed(name)
    root = network.json("s2", "find f3.txt")[1][0]["hits"][0]["root"]
    network.peers["s1"].end()
    decay(network.folder / "s1/f3.txt")  # while the peer is down
    network.restart_peer("s1")
    network.wait_for_tree(["s1", "s2", "s3"])
    network.wait_indexed("s1")
    code, out, log = network.command("s2", f"get {root}")
    assert code == 1 and "not found" in out + log, (code, out, log)
    assert not (network.folder / "s2/f3.txt").exists()
    (network.folder / "s3/f3.txt").write_bytes(b"ripe quince\n")
    wait_until(lambda: network.command("s2", f"get {root}")[0] == 0, network.patience, "f3.txt from s3")
    assert (network.folder / "s2/f3.txt").read_bytes() == b"ripe quince\n"


@case("Ctrl-S at a prompt: the network goes on, notices wait, and Ctrl-Q shows them")
def _(network):
    network.start_metaserver()
    network.fill_share("s1")
    terminal = network.terminal(*network.peer_command("s1"))
    terminal.prompt("s1>")
    terminal.keys("\x13")
    wait_until(lambda: network.json("s1", "status")[0] == 0, network.patience, "s1 to answer")
    network.start_peer("s2")
    network.wait_for_tree(["s1", "s2"])
    for _ in range(3):
        network.peers["s2"].end()
        network.wait_for_tree(["s1"])
        network.restart_peer("s2")
        network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s2")
    code, out, log = network.command("s1", "get big.bin")
    assert code == 0, (code, out, log)
    terminal.pump(0.2)
    before = terminal.text()
    assert "s2" not in before, before
    terminal.keys("\x11")
    for _ in range(3):
        terminal.expect(r"(.* )?the link to s2 is gone")
    terminal.expect(r"(.* )?linked to s2")
    terminal.prompt("s1>")
    terminal.type("stop")
    assert terminal.end() == 0


if __name__ == "__main__":
    sys.exit(main())
