#!/usr/bin/env python3
"""Scripts, services and shells: output that is slow, full or closed, peers that die or stop during a command, ignored
signals, files that are replaced, paths of every kind."""
import contextlib
import fcntl
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import time

from espalier_process import case, main, noise, text_of, wait_until

FILES = 1500  # a list of them is more than a pipe holds: 64 KiB


def one(network, files=None):
    network.start_metaserver()
    network.start_peer("s1", files={"f1.txt": b"one\n"} if files is None else files)
    network.wait_for_tree(["s1"])
    network.wait_indexed("s1")


def many(network):
    one(network, {f"a file with a name of some length {number}.txt": b"" for number in range(FILES)})


def start(network, *command, **streams):
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen(command, cwd=network.folder, env=network.env, **streams)


def ended(network, process):
    """(exit code, standard output, standard error) of a program without further input."""
    out, log = process.communicate(timeout=network.patience)
    return process.returncode, (out or b"").decode(), (log or b"").decode()


def ways(network):
    """Each command that prints much: in a running peer, in a peer of its own, and in a script without a terminal."""
    network.fill_share("s9", {})
    (network.folder / "typed").write_text("list s1\n")
    peer = network.program("peer")
    return {"through the socket": [peer, "--share", "./s1", "-e", "list"],
            "JSON through the socket": [peer, "--share", "./s1", "--json", "-e", "list"],
            "alone": network.peer_command("s9", "-e", "list s1"),
            "JSON alone": network.peer_command("s9", "--json", "-e", "list s1"),
            "a script": network.peer_command("s9"),
            "a JSON script": network.peer_command("s9", "--json")}


def started(network, name, command, **streams):
    if "script" not in name:
        return start(network, *command, **streams)
    with open(network.folder / "typed", "rb") as typed:
        return start(network, *command, stdin=typed, **streams)


@case("a slow reader gets everything, also through a non-blocking pipe")
def _(network):
    many(network)
    for name, command in ways(network).items():
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETFL, fcntl.fcntl(writing, fcntl.F_GETFL) | os.O_NONBLOCK)
        process = started(network, name, command, stdout=writing)
        os.close(writing)
        wait_until(lambda: pipe_is_full(reading), network.patience, f"the pipe to be full: {name}")
        with open(reading, "rb") as pipe:
            out = pipe.read().decode()
        code, _, log = ended(network, process)
        assert code == 0, (name, code, log)
        if "JSON" in name:
            told = [json.loads(line) for line in out.splitlines()]
            assert len(told) == 1 and len(told[0]["files"]) == FILES, (name, out[-200:], log)
        else:
            assert sum(".txt" in line for line in out.splitlines()) == FILES, (name, out[-200:], log)
        network.wait_for_tree(["s1"])


def pipe_is_full(reading):
    size = bytearray(4)
    fcntl.ioctl(reading, 0x541B, size)  # FIONREAD
    # It has 16 pages. A piece of output, 16 KiB and a part of a line, takes five of them.
    return int.from_bytes(size, sys.byteorder) > 40_000


@case("a failed write is exit code 74 and a sentence: a full disk, a pipe without a reader, a closed output")
def _(network):
    many(network)
    commands = ways(network)
    meta = network.program("metaserver")
    commands.update({
        "help": [network.program("peer"), "--help"], "version": [network.program("peer"), "--version"],
        "metaserver help": [meta, "--help"], "metaserver version": [meta, "--version"],
        "metaserver topo": [meta, "-e", "topo"], "metaserver dot": [meta, "-e", "topo --dot"],
        "metaserver JSON": [meta, "--json", "-e", "status"],
        "a failure": [network.program("peer"), "--share", "./s1", "--json", "-e", "get nosuch"],
        "a mistake": [network.program("peer"), "--json", "--nonsense"],
        "a metaserver's mistake": [meta, "--json", "--nonsense"]})
    for name, command in commands.items():
        with open("/dev/full", "wb") as full:
            code, _, log = ended(network, started(network, name, command, stdout=full))
        assert code == 74 and "cannot write to standard output: No space left on device" in log, (name, code, log)
        reading, writing = os.pipe()
        os.close(reading)
        code, _, log = ended(network, started(network, name, command, stdout=writing))
        os.close(writing)
        assert code == 74 and "Broken pipe" in log, (name, code, log)
        closed = ["bash", "-c", 'exec "$@" >&-', "bash", *command]
        code, _, log = ended(network, started(network, name, closed, stdout=None))
        assert code == 74 and "Bad file descriptor" in log, (name, code, log)
    assert network.peers["s1"].alive and network.metaserver.alive


@case("a file at its size limit is an error, not a signal")
def _(network):
    many(network)
    limited = ["bash", "-c", 'ulimit -f 8; exec "$@" > out', "bash"]
    code, _, log = network.run(*limited, network.program("peer"), "--share", "./s1", "-e", "list")
    assert code == 74 and "File too large" in log, (code, log)


@case("a log that cannot be written does not end a service, and status reports it")
def _(network):
    with open("/dev/full", "wb") as full:
        network.start_metaserver()
        network.fill_share("s1", {})
        process = start(network, *network.peer_command("s1", "--headless"), stderr=full)
    network.wait_for_tree(["s1"])
    def lost():
        code, told = network.json("s1", "status")
        return code == 0 and told[0].get("logLost")
    told = wait_until(lost, network.patience, "status to tell that the log is lost")
    assert told["lines"] >= 1 and told["why"] == "No space left on device", told
    code, out, _ = network.command("s1", "status")
    assert "could not be written: No space left on device" in out, out
    process.terminate()
    assert ended(network, process)[0] == 0


@case("every command of a metaserver has a JSON object, errors too, and nothing else is on standard output")
def _(network):
    one(network)
    meta = network.program("metaserver")
    code, told = network.json_of(meta, "--json", "-e", "status", "-e", "topo", "-e", "nonsense", "-e", "whatif kill s1")
    assert code == 64 and [each["command"] for each in told] == ["status", "topo", "nonsense", "whatif"], told
    assert told[0]["peers"] == 1 and told[2]["error"]["code"] == 64, told
    assert network.metaserver.end() == 0
    code, told = network.json_of(meta, "--json", "-e", "  status")
    assert code == 69 and told == [{"command": "status", "error": told[0]["error"]}], told
    code, told = network.json_of(meta, "--nonsense", "--json")
    assert code == 64 and told[0]["command"] == "metaserver" and told[0]["error"]["code"] == 64, told


def waiting_get(network):
    """A get in s2, which waits for more peers than there will be."""
    one(network)
    network.start_peer("s2", "5", files={})
    network.wait_for_tree(["s1", "s2"])
    process = start(network, network.program("peer"), "--share", "./s2", "--json", "-e", "get f1.txt", "-e", "topo")
    line = process.stderr.readline()
    assert b"waiting for 3 more" in line, line
    return process


@case("a peer killed under a command: one whole object that names the command")
def _(network):
    process = waiting_get(network)
    network.peers["s2"].kill()
    code, out, log = ended(network, process)
    told = [json.loads(line) for line in out.splitlines()]
    assert code == 74 and len(told) == 1 and told[0]["command"] == "get", (code, out, log)
    assert told[0]["error"] == {"code": 74, "message": "the peer ended while the command ran"}, told


@case("a peer that is stopped: exit code 75 and a sentence for any number of clients; a long command is no stop")
def _(network):
    process = waiting_get(network)
    begun = time.monotonic()
    network.peers["s1"].send(signal.SIGSTOP)
    asking = [start(network, network.program("peer"), "--share", "./s1", *more, "-e", "status")
              for more in [["--json"]] + 20 * [[]]]  # more than the socket's queue holds
    for each in asking:
        code, out, log = ended(network, each)
        assert code == 75 and "does not answer: it may be stopped" in out + log, (code, out, log)
        if each is asking[0]:
            assert json.loads(out)["command"] == "status" and not log, (out, log)
    assert time.monotonic() - begun < network.patience
    network.peers["s1"].send(signal.SIGCONT)
    wait_until(lambda: network.json("s1", "status")[0] == 0, network.patience, "s1 to answer again")
    # Longer than the limit for a stopped program.
    wait_until(lambda: time.monotonic() - begun > 12 or process.poll() is not None, network.patience, "12 s")
    assert process.poll() is None, ended(network, process)
    process.send_signal(signal.SIGINT)
    code, out, _ = ended(network, process)
    assert code == 130 and json.loads(out)["error"]["code"] == 130, (code, out)


@case("a metaserver that is stopped: exit code 75")
def _(network):
    network.start_metaserver()
    network.metaserver.send(signal.SIGSTOP)
    code, told = network.json_of(network.program("metaserver"), "--json", "-e", "status")
    assert code == 75 and told[0]["command"] == "status" and "metaserver" in told[0]["error"]["message"], told


def script(network, text, *options):
    (network.folder / "script").write_text(text)
    network.fill_share("s9", {})
    with open(network.folder / "script", "rb") as lines:
        return network.run(*network.peer_command("s9", *options), stdin=lines)


@case("commands from standard input are a script: all of them run, and the first failure's code is the exit code")
def _(network):
    one(network)
    for text, wanted in (("nonsense\ntopo\n", 64), ("get nosuch\nnonsense\n", 1), ("topo", 0), ("", 0),
                         ("get 'open\n", 64), ("get nosuch &\n", 1), ("get f1.txt &\n", 0), ("stop\nnonsense\n", 0),
                         ("nonsense\nstop\n", 64)):
        code, out, log = script(network, text)
        assert code == wanted, (text, code, out, log)
        assert ("s1:" in out) == ("topo" in text), (text, out, log)
        code, out, log = script(network, text, "--json")
        for line in out.splitlines():
            json.loads(line)
        assert code == wanted, (text, code, out, log)
    assert (network.folder / "s9/f1.txt").read_bytes() == b"one\n"


@case("a script's notices are on standard error, and Ctrl-C ends it with 130")
def _(network):
    one(network)
    network.fill_share("s9", {})
    for options in ([], ["--json"]):
        process = start(network, *network.peer_command("s9", "5", *options), stdin=subprocess.PIPE)
        process.stdin.write(b"get f1.txt\npeers\n")
        process.stdin.flush()
        wait_until(lambda process=process: b"waiting for 3 more" in process.stderr.readline(), network.patience,
                   "a notice")
        process.send_signal(signal.SIGINT)
        code, out, _ = ended(network, process)
        assert code == 130 and "waiting" not in out and "parent" not in out, (code, out)
        if options:
            assert json.loads(out)["error"]["code"] == 130, out
        reading = start(network, *network.peer_command("s9", *options), stdin=subprocess.PIPE)
        network.wait_for_tree(["s1", "s9"])
        reading.stdin.write(b"topo\n")
        reading.stdin.flush()
        assert b"s1" in reading.stdout.readline()
        reading.send_signal(signal.SIGINT)
        assert reading.wait(network.patience) == 130  # its input is still open
        ended(network, reading)


@case("signals that are ignored at the start stay ignored: nohup, and a shell's background jobs")
def _(network):
    one(network)
    network.fill_share("s2", {})
    ignored = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
    meta = [network.program("metaserver"), "--listen", "127.0.0.1:0", "--state", "./other", "--topo", "./other.txt",
            "--count-file", "/dev/null"]
    nohup = ["bash", "-c", 'trap "" HUP INT QUIT; exec "$@"', "bash"]
    for name, command in (("peer", network.peer_command("s2", "--headless")), ("metaserver", meta)):
        process = start(network, *nohup, *command)
        line = b""
        while not any(word in line for word in (b"s2 joined", b"metaserver ready")):
            line = process.stderr.readline()
            assert line, name
        for number in ignored:
            process.send_signal(number)
        # A signal that is not ignored would have ended it before this answer.
        told = [network.program(name), *(["--share", "./s2"] if name == "peer" else ["--state", "./other"])]
        code, out, log = network.run(*told, "-e", "status")
        assert code == 0, (name, code, out, log)
        assert process.poll() is None, name
        process.send_signal(signal.SIGTERM)
        assert ended(network, process)[0] == 0, name
    deaf = start(network, "bash", "-c", 'trap "" TERM; exec "$@"', "bash", *network.peer_command("s2", "--headless"))
    network.wait_for_tree(["s1", "s2"])
    deaf.send_signal(signal.SIGTERM)
    assert network.command("s2", "status")[0] == 0 and deaf.poll() is None
    deaf.send_signal(signal.SIGINT)
    assert ended(network, deaf)[0] == 0


@case("a device is written into, a link is followed, a folder is refused before anything starts")
def _(network):
    device = network.folder / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        device = pathlib.Path("/dev/null")
    (network.folder / "real").mkdir()
    for link in ("link.txt", "again.txt"):
        (network.folder / link).symlink_to("real/topo.txt" if link == "link.txt" else "link.txt")
    network.start_metaserver("--topo", "./again.txt", "--count-file", str(device))
    network.start_peer("s1", files={})
    wait_until(lambda: text_of(network.folder / "real/topo.txt") == "s1:\n", network.patience, "the file behind links")
    assert (network.folder / "again.txt").is_symlink() and (network.folder / "link.txt").is_symlink()
    assert stat.S_ISCHR(device.stat().st_mode) and network.metaserver.end() == 0
    assert network.peers["s1"].alive
    for option in ("--topo", "--count-file"):
        code, _, log = network.run(network.program("metaserver"), "--listen", "127.0.0.1:0", "--state", "./none",
                                   option, "./real")
        assert code == 78 and f"{option}: cannot write ./real: it is a folder" in log, (code, log)
        assert not (network.folder / "none").exists()
    os.mkfifo(network.folder / "pipe")
    network.metaserver_options = ["--state", "./fresh", "--topo", "./pipe", "--count-file", "/dev/stdout"]
    network.restart_metaserver("127.0.0.1:0")
    assert network.metaserver.end() == 0 and "nobody reads from the pipe ./pipe" in network.metaserver.log


@case("a get replaces only files: a device, a link and a pipe are left alone, also with --force")
def _(network):
    one(network)
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])
    share = network.folder / "s2"
    (network.folder / "kept.txt").write_text("kept")
    kinds = {"a symbolic link": lambda path: path.symlink_to("../kept.txt"), "a named pipe": os.mkfifo,
             "a folder": os.mkdir}
    with contextlib.suppress(PermissionError):
        os.mknod(share / "try", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.unlink(share / "try")
        kinds["a device"] = lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    for kind, make in kinds.items():
        make(share / "f1.txt")
        before = (share / "f1.txt").lstat()
        for command in ("get f1.txt", "get f1.txt --force"):
            code, told = network.json("s2", command)
            assert code == 1 and f"f1.txt is {kind}" in told[0]["error"]["message"], (kind, command, told)
        after = (share / "f1.txt").lstat()
        assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode), kind
        if kind == "a folder":
            os.rmdir(share / "f1.txt")
        else:
            os.unlink(share / "f1.txt")
    code, told = network.json("s2", "get f1.txt -o /dev/null", "get f1.txt --force -o /dev/null")
    said = "/dev/null is a device" if os.access("/dev", os.W_OK) else "cannot save in /dev"
    assert code != 0 and all(said in each["error"]["message"] for each in told), told
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert (network.folder / "kept.txt").read_text() == "kept"


@case("~/ is the home folder in options, environment, file and commands; ~user is an error")
def _(network):
    home = network.folder / "home"
    home.mkdir()
    network.env["HOME"] = str(home)
    network.start_metaserver("--topo=~/topo.txt", "--count-file", "~/count.txt")
    (network.folder / "peer.conf").write_text("share = ~/x  # its own\n")
    peer = network.program("peer")
    network.spawn("s1", peer, "--metaserver", network.address, "--id", "s1", "--config=./peer.conf", "--headless")
    wait_until(lambda: text_of(home / "topo.txt") == "s1:\n", network.patience, "topo.txt at home")
    assert (home / "x/.espalier").is_dir() and not (network.folder / "~").exists()
    (home / "more").mkdir()
    (home / "more/f2.txt").write_bytes(b"two\n")
    code, out, log = network.run(peer, "--share=~/x", "-e", "share ~/more", "-e", "get more/f2.txt -o ~/got/f2.txt")
    assert code != 64 and not (network.folder / "~").exists(), (code, out, log)
    listed = network.run(peer, "--share", "~/x", "--json", "-e", "list")[1]
    assert "f2.txt" in listed, listed
    code, out, log = network.run(peer, "--share", "~/x", "-e", "share ~nobody")
    assert code == 64 and "~nobody: only ~/ stands for a home folder" in log, (code, out, log)
    code, _, log = network.run(peer, "--id", "s2", "--share=~nobody/x", "-e", "topo")
    assert code == 64 and "--share: ~nobody/x: only ~/" in log, (code, log)
    del network.env["HOME"]
    code, _, log = network.run(peer, "--id", "s2", "--share=~/x", "-e", "topo")
    assert code == 64 and "HOME is not set" in log, (code, log)
    code, _, log = network.run(peer, "--share", str(home / "x"), "-e", "share ~/more")
    assert code == 64 and "HOME is not set" in log, (code, log)
    network.env["ESPALIER_DOWNLOADS"] = "~bob"
    code, _, log = network.run(peer, "--id", "s2", "-e", "topo")
    assert code == 78 and "ESPALIER_DOWNLOADS: ~bob" in log, (code, log)


@case("paths that are not UTF-8, and a removed folder, through a running peer")
def _(network):
    one(network)
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])
    where = os.fsencode(network.folder) + b"/caf\xe9 \xff"
    os.mkdir(where)
    peer = os.fsencode(network.program("peer"))
    state = os.fsencode(network.folder / "s2")
    code, out, log = network.run(peer, b"--share", state, b"--json", b"-e", b"get f1.txt -o mine.txt", cwd=where)
    assert code == 0 and json.loads(out)["files"][0]["name"] == "f1.txt", (code, out, log)
    with open(where + b"/mine.txt", "rb") as file:
        assert file.read() == b"one\n"
    for command, expected in ((b"get f1.txt -o \xe9.txt", 1), (b"share .", 1), (b"share \xe9.txt", 74),
                              (b"unshare \xe9.txt", 1), (b"push \xe9.txt", 74), (b"push mine.txt", 3),
                              (b"share no\xff", 74)):
        code, out, log = network.run(peer, b"--share", state, b"--json", b"-e", command, cwd=where)
        told = json.loads(out.splitlines()[-1])
        assert told["command"] == command.split()[0].decode(), (command, code, out, log)
        assert code == expected and told["error"]["message"], (command, code, out, log)
    gone = network.folder / "gone"
    gone.mkdir()
    inside = ["bash", "-c", 'rmdir ../gone; exec "$@"', "bash", peer, "--share", network.folder / "s2"]
    code, _, log = network.run(*inside, "-e", "get f1.txt -o here.txt", cwd=gone)
    assert code == 64 and "the folder that this path starts from is gone" in log, (code, log)
    assert not (network.folder / "here.txt").exists()


@case("a file that a slow source sends for long is not cut off, and its events are whole")
def _(network):
    one(network, {"large.bin": noise(3 << 20)})
    network.fill_share("s9", {})
    process = start(network, *network.peer_command("s9", "--json", "--download-rate", "1M", "-e", "get large.bin"))
    code, out, log = ended(network, process)
    told = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and told[-1]["files"][0]["name"] == "large.bin", (code, out, log)
    assert any(each.get("event") == "progress" for each in told), out


if __name__ == "__main__":
    sys.exit(main())
