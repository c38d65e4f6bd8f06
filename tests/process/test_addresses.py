#!/usr/bin/env python3
"""Host names and their addresses, addresses that others can't reach, and machines that are out of threads."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

from espalier_process import case, main, wait_until
from intruder import Intruder, hit, holder

NOBODY_ELSE = 54321  # a user without any process on the machine


def with_files(network, **files):
    """Words before a command, with which it sees `hosts` and `resolv_conf` as the machine's files.

    Prints a line and returns None if that is not possible."""
    mounts = ""
    for name, text in files.items():
        path = network.folder / name
        path.write_text(text, encoding="ascii")
        mounts += f"mount --bind '{path}' /etc/{name.replace('_', '.')} && "
    may = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts + 'exec "$@"', "sh"]
    if subprocess.run([*may, "true"], capture_output=True, check=False).returncode != 0:
        print("        left out: files of /etc can't be replaced for a process here")
        return None
    return may


@contextlib.contextmanager
def silent_name_server(network, address):
    """Yields a name server that never answers, and the words before a command that has it ask this one; or Nones."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(network.patience)
        may = None
        try:
            server.bind((address, 53))
            may = with_files(network, hosts=TWOFOLD,
                             resolv_conf=f"nameserver {address}\noptions timeout:30 attempts:5\n")
        except OSError:
            print("        left out: no name server can be played here")
        yield (server, may) if may else (None, None)


def has_v6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


TWOFOLD = "127.0.0.1 localhost\n::1 twofold\n127.0.0.1 twofold\n"


@case("of a name's two addresses the one that answers is used, for links and transfers")
def _(network):
    may = with_files(network, hosts=TWOFOLD)
    if may is None:
        return
    network.start_metaserver()
    port = network.address.rsplit(":", 1)[1]
    network.address = f"twofold:{port}"
    # The names that peers announce are looked up by the peers that dial them.
    for name in ("s1", "s2", "s3"):
        network.start_peer(name, "--advertise", "twofold", "--listen", "127.0.0.1", may=may)
        wait_until(lambda name=name: name in network.topo(), network.patience, f"{name} in topo.txt")
    network.wait_for_tree(["s1", "s2", "s3"])
    network.wait_indexed("s2")
    code, out, log = network.command("s3", "get f3.txt")
    assert code == 0, (code, out, log)
    assert "announces itself" not in network.peers["s2"].log, network.peers["s2"].log


@case("a metaserver that does not answer is named as it was typed, with the addresses tried")
def _(network):
    may = with_files(network, hosts=TWOFOLD)
    if may is None:
        return
    network.address = f"twofold:{network.first_port}"
    code, out, log = network.run(*may, *network.peer_command("s1", "-e", "topo"))
    assert code == 69, (code, out, log)
    assert f"no metaserver at {network.address}" in log and "127.0.0.1: Connection refused" in log, log
    assert not has_v6() or "::1: Connection refused" in log, log


@case("a host that does not exist is named, by a peer and by a metaserver")
def _(network):
    may = with_files(network, hosts=TWOFOLD, resolv_conf="nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    if may is None:
        return
    network.address = "nowhere.invalid:5000"
    code, out, log = network.run(*may, *network.peer_command("s1", "-e", "topo"))
    assert code == 69 and "cannot find the host nowhere.invalid" in log, (code, out, log)
    code, out, log = network.run(*may, network.program("metaserver"), "--listen", "nowhere.invalid:5000")
    assert code == 69 and "cannot find the host nowhere.invalid" in log, (code, out, log)


@case("a slow look-up of a name does not keep a program from ending")
def _(network):
    with silent_name_server(network, "127.0.0.77") as (silent, may):
        if silent is None:
            return
        metaserver = network.program("metaserver")
        for number in (signal.SIGINT, signal.SIGTERM):
            for name in ("once", "headless", "listening"):
                network.address = f"{name}{int(number)}.invalid:5000"  # so that its queries are recognised
                command = {"once": network.peer_command(name, "-e", "topo"),
                           "headless": network.peer_command(name, "--headless"),
                           "listening": [metaserver, "--listen", network.address]}[name]
                process = network.spawn(name, *may, *command)
                while f"{name}{int(number)}".encode() not in silent.recv(512):
                    pass
                began = time.monotonic()
                code = process.end(number)
                ends_well = name == "listening" or (name == "headless" and number == signal.SIGTERM)
                assert code == (0 if ends_well else 130), (name, number, code, process.log)
                assert time.monotonic() - began < 15, f"{name} took {time.monotonic() - began} s to end"
                assert "terminate" not in process.log, process.log
    network.peers.clear()


@case("commands that wait for the look-up of a holder's name can be interrupted, and the peer ends at once")
def _(network):
    with silent_name_server(network, "127.0.0.78") as (silent, may):
        if silent is None:
            return
        network.start_metaserver()
        peer = network.start_peer("s1", may=may)
        network.wait_for_tree(["s1"])
        def hits(_kind, _text):
            named.append(f"holder{len(named)}")  # of each search another, so that its look-up is recognised
            return [[holder("mallory", f"{named[-1]}.invalid:999"), hit("far.txt", 5000, bytes(range(32)))]]
        def looked_up(before):
            while not any(name.encode() in data for data in [silent.recv(512)] for name in named[before:]):
                pass
        named = []
        with Intruder(network, "mallory", hits=hits):
            for number in (signal.SIGINT, signal.SIGTERM):
                before = len(named)
                process = network.spawn("client", *may, *network.peer_command("s1", "-e", "get far.txt"))
                looked_up(before)
                began = time.monotonic()
                code = process.end(number)
                assert code == (130 if number == signal.SIGINT else -number), (number, code, process.log)
                assert time.monotonic() - began < 15, f"it took {time.monotonic() - began} s to end"
            before = len(named)
            network.spawn("client", *may, *network.peer_command("s1", "-e", "get far.txt"))
            looked_up(before)
            began = time.monotonic()
            assert peer.end(signal.SIGTERM) == 0
            assert time.monotonic() - began < 15, f"the peer took {time.monotonic() - began} s to end"
    network.peers.clear()


@case("a metaserver listens on a name, and does not share its port")
def _(network):
    network.restart_metaserver("localhost:0")
    port = network.address.rsplit(":", 1)[1]
    code, out, log = network.run(network.program("metaserver"), "--listen", f"localhost:{port}", "--state", "other")
    assert code == 69 and "in use" in log, (code, out, log)
    network.start_peers(2, "--listen", "localhost")


@case("a peer that announces another host than its source address warns, with both addresses")
def _(network):
    network.start_metaserver()
    network.start_peer("s1", "--advertise", "192.0.2.9").expect_log(
        r"announces itself at 192\.0\.2\.9.* come from 127\.0\.0\.1")
    silent = network.start_peer("s2", "--advertise", "127.0.0.1", "--listen", "127.0.0.1")
    silent.expect_log("s2 joined|no metaserver|joined on")
    assert "announces itself" not in silent.log, silent.log


@case("a peer that cannot be reached at its source address warns")
def _(network):
    network.start_metaserver()
    reached = network.start_peer("s1", "--listen", "127.0.0.1")
    reached.expect_log("joined on")
    # It listens on another address than its connections come from.
    network.start_peer("s2", "--listen", "127.0.0.2", "--advertise", "127.0.0.1").expect_log(
        r"the metaserver cannot connect to this peer \(cannot connect to 127\.0\.0\.1:\d+: Connection refused\)")
    assert network.metaserver.alive and "cannot connect" not in reached.log, reached.log


@case("the metaserver dials back only the source host of a peer")
def _(network):
    network.start_metaserver()
    network.start_peers(1)
    with socket.create_server(("127.0.0.3", 0)) as stranger:
        port = stranger.getsockname()[1]
        network.start_peer("s2", "--listen", f"127.0.0.1:{port}", "--advertise", "127.0.0.3").expect_log(
            "announces itself at 127.0.0.3")
        # Both are children of s1, so no peer dials s2. The metaserver dials s3 back after s2.
        network.wait_for_tree(["s1", "s2"])
        network.start_peer("s3", "--listen", "127.0.0.2", "--advertise", "127.0.0.1").expect_log(
            "the metaserver cannot connect to this peer")
        stranger.setblocking(False)
        try:
            raise AssertionError(f"somebody dialled from {stranger.accept()[1]}")
        except BlockingIOError:
            pass


AS_NOBODY_ELSE = ["setpriv", f"--reuid={NOBODY_ELSE}", f"--regid={NOBODY_ELSE}", "--clear-groups"]


def limited(threads):
    """A prefix of a command: it runs as a user with that limit of processes and threads."""
    return [*AS_NOBODY_ELSE, "prlimit", f"--nproc={threads}:{threads}"]


@case("with few threads allowed both programs work, or end with a sentence and 74")
def _(network):
    if os.geteuid() != 0:
        print("        left out: only root may become another user")
        return
    os.chmod(network.folder, 0o777)
    network.start_metaserver()
    codes = set()
    for threads in range(1, 13):
        (network.folder / "few").mkdir(mode=0o777, exist_ok=True)
        os.chmod(network.folder / "few", 0o777)
        code, out, log = network.run(*limited(threads), network.program("peer"), "--metaserver", network.address,
                                     "--id", f"few{threads}", "--share", f"few/{threads}", "-e", "topo", "-e", "list")
        assert code in (0, 74) and "terminate" not in log, (threads, code, out, log)
        assert code == 0 or re.search("cannot start a thread: ", log), (threads, log)
        codes.add(code)
    assert codes == {0, 74}, codes
    codes.clear()
    for threads in range(1, 9):
        process = network.spawn(f"metaserver{threads}", *limited(threads), network.program("metaserver"), "--listen",
                                "127.0.0.1:0", "--state", f"few/m{threads}", "--topo", f"few/t{threads}",
                                "--count-file", f"few/n{threads}")
        wait_until(lambda process=process: not process.alive or "metaserver ready" in process.log, network.patience,
                   "the metaserver to be ready, or to say why it is not")
        assert "terminate" not in process.log, process.log
        if process.alive:
            assert process.end() == 0, process.log
            codes.add(0)
        else:
            code = process.process.wait()
            assert code == 74 and "cannot start a thread: " in process.log, (threads, code, process.log)
            codes.add(74)
        del network.peers[f"metaserver{threads}"]
    assert codes == {0, 74}, codes


@case("a peer that is out of threads refuses what it cannot serve, and goes on")
def _(network):
    if os.geteuid() != 0:
        print("        left out: only root may become another user")
        return
    os.chmod(network.folder, 0o777)
    network.start_metaserver()
    network.start_peer("s1", files={"a.txt": b"a"})
    network.fill_share("s2", {"b.txt": b"b"})
    subprocess.run(["chown", "-R", f"{NOBODY_ELSE}:{NOBODY_ELSE}", network.folder / "s2"], check=True)
    peer = network.spawn("s2", *AS_NOBODY_ELSE, *network.peer_command("s2", "--headless"))
    network.wait_for_tree(["s1", "s2"])
    found = wait_until(lambda: [hit for hit in network.json("s1", "find b.txt")[1][0].get("hits", [])],
                       network.patience, "s2 to have indexed its file")
    assert found[0]["holders"] == ["s2"], found
    # From now on it can start no thread, neither for an upload nor for a command.
    def allow(threads):
        subprocess.run([*AS_NOBODY_ELSE, "prlimit", "--pid", str(peer.process.pid), f"--nproc={threads}:"], check=True)
    limits = pathlib.Path(f"/proc/{peer.process.pid}/limits").read_text(encoding="ascii")
    before = re.search(r"Max processes\s+(\S+)", limits)[1]
    allow(1)
    code, out, log = network.command("s1", "get b.txt")
    assert code != 0 and "busy" in out + log, (code, out, log)
    code, out, log = network.run(*AS_NOBODY_ELSE, network.program("peer"), "--share", "./s2", "-e", "topo")
    assert code == 75 and "busy" in log, (code, out, log)
    assert peer.alive
    allow(before)
    code, out, log = network.command("s1", "get b.txt")
    assert code == 0, (code, out, log)


if __name__ == "__main__":
    sys.exit(main())
