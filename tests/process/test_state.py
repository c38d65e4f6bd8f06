"""State folders: of older and newer versions, of other users, removed while in use, damaged.

  python3 tests/process/test_state.py BUILD_FOLDER [PART OF A SENTENCE]
"""
import contextlib
import os
import shutil
import signal
import subprocess
import textwrap

from espalier_process import ROOT, case, file_root, main, noise, text_of, wait_until

FIXTURES = ROOT / "tests/fixtures/state_1"
STRANGER = 12345  # a user id that does not exist
LARGE = 3 * 2 ** 20 + 5


def restore_fixture(name, folder):
    """Copies the fixture's folder, with the modes that the programs give its files."""
    shutil.copytree(FIXTURES / name, folder)
    folder.chmod(0o700)
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder


def state_of(network, name="s2"):
    """Prepares the fixture's peer. Its share has the files of the fixture's index."""
    share = network.fill_share(name, {"small.txt": b"small\n", "hidden.txt": b"hidden\n"})
    return restore_fixture("peer", share / ".espalier")


def listed(network, name):
    code, told = network.json(name, "list")
    return [file["name"] for file in told[0]["files"]] if code == 0 else []


def refused(network, *command):
    """Runs a program that must not start: exit code 78. Returns its sentence."""
    code, out, log = network.run(*command)
    assert code == 78, (code, out, log)
    assert log.strip(), "no word of why"
    return log


def metaserver_refused(network, *options):
    return refused(network, network.program("metaserver"), "--listen", "127.0.0.1:0", *options)


def peer_refused(network, name="s2"):
    return refused(network, *network.peer_command(name, "--headless"))


# --- versions

@case("a peer goes on with a folder of the version before markers: key, list, half a download")
def _(network):
    data = noise(LARGE, "large")
    network.start_metaserver()
    network.start_peer("s1", files={"large.bin": data})
    network.wait_for_tree(["s1"])
    state = state_of(network)
    key = text_of(state / "instance.key")
    part = bytearray(LARGE)
    part[:2 ** 20] = data[:2 ** 20]  # the chunk that the journal lists
    (state / "incoming" / f"{file_root(data)}.part").write_bytes(part)
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])

    assert text_of(state / "espalier-state") == "espalier-state 1\n"
    assert text_of(state / "instance.key") == key
    wait_until(lambda: f"{key.strip()} s2" in text_of(network.folder / ".metaserver/network"), network.patience,
               "the key of before at the metaserver")
    wait_until(lambda: listed(network, "s2") == ["small.txt"], network.patience, "what is shared, without what was not")
    code, told = network.json("s2", "get large.bin")
    assert code == 0, told
    assert (network.folder / "s2/large.bin").read_bytes() == data
    code, told = network.json("s2", "status")
    assert LARGE - 2 ** 20 <= told[0]["received"] < LARGE - 2 ** 20 + 300_000, told


@case("a metaserver goes on with a folder of the version before markers: the same network and order")
def _(network):
    state = restore_fixture("metaserver", network.folder / ".metaserver")
    header = text_of(state / "network").split()
    network.start_metaserver()
    network.metaserver.expect_log("waiting for 3 peers of before")
    assert text_of(state / "espalier-state") == "espalier-state 1\n"
    network.start_peer("s4")
    network.wait_for_tree(["s4"])
    wait_until(lambda: " s4\n" in text_of(state / "network"), network.patience, "s4 in the state file")
    after = text_of(state / "network").split()
    assert after[2] == header[2], "another network"
    assert after[4] == header[3], "s4 has the order after those of before"


@case("a state file of a newer version is refused with a sentence, and stays as it is")
def _(network):
    network.start_metaserver()
    for name, newer in [("espalier-state", b"espalier-state 2\n"), ("instance.key", b"espalier-key 2 abc\n"),
                        ("index", b"ESPINDX9" + bytes(80)), ("share.json", b'{"version": 9, "all": []}\n')]:
        state = state_of(network)
        (state / name).write_bytes(newer)
        told = peer_refused(network)
        assert "newer version" in told and name in told, told
        assert (state / name).read_bytes() == newer
        shutil.rmtree(network.folder / "s2")
    assert network.metaserver.end() == 0
    state = network.folder / ".metaserver"
    for name, newer in [("network", b"espalier-network 2 x\n"), ("espalier-state", b"espalier-state 3 and more\n")]:
        (state / name).write_bytes(newer)
        told = metaserver_refused(network)
        assert "newer version" in told and name in told, told
        assert (state / name).read_bytes() == newer


@case("a download of a newer version is left alone")
def _(network):
    data = noise(LARGE, "large")
    network.start_metaserver()
    network.start_peer("s1", files={"large.bin": data})
    state = state_of(network)
    journal = state / "incoming" / f"{file_root(data)}.journal"
    newer = b"ESPJRNL2" + journal.read_bytes()[8:]
    journal.write_bytes(newer)
    part = state / "incoming" / f"{file_root(data)}.part"
    part.write_bytes(b"whatever it holds")
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])
    code, _, log = network.command("s2", "get large.bin")
    assert code == 78 and "newer version" in log, (code, log)
    assert journal.read_bytes() == newer and part.read_bytes() == b"whatever it holds"


# --- damage

@case("a damaged state file is reported at the start and kept, and nothing is shared by mistake")
def _(network):
    network.start_metaserver()
    for name, damage in [("share.json", b'{"hidden": ["hidden.txt"'), ("share.json", b'{"hidden": [7]}'),
                         ("instance.key", b"no key\n"), ("instance.key", b""), ("espalier-state", b"hello\n")]:
        state = state_of(network)
        (state / name).write_bytes(damage)
        told = peer_refused(network)
        assert "damaged" in told and name in told, told
        assert (state / name).read_bytes() == damage
        shutil.rmtree(network.folder / "s2")


@case("a download with a damaged journal continues with the chunks in its part")
def _(network):
    data = noise(48 * 2 ** 20, "larger")  # it would all be requested at once
    network.start_metaserver()
    network.start_peer("s1", files={"large.bin": data})
    state = state_of(network)
    incoming = state / "incoming"
    (incoming / f"{file_root(data)}.journal").write_bytes(b"ESPJRNL1 damaged")
    (incoming / f"{file_root(data)}.part").write_bytes(data[:40 * 2 ** 20])
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])
    assert network.json("s2", "get large.bin")[0] == 0
    assert (network.folder / "s2/large.bin").read_bytes() == data
    network.peers["s2"].expect_log("journal is damaged")
    code, told = network.json("s2", "status")
    assert code == 0 and told[0]["received"] < 8 * 2 ** 20 + 300_000, told


@case("damaged lines of a metaserver's state are reported and kept, and the other peers are awaited")
def _(network):
    state = restore_fixture("metaserver", network.folder / ".metaserver")
    text = text_of(state / "network").replace("127.0.0.1:28102", "[x:28102") + "\x1b[31m\n"
    (state / "network").write_text(text, encoding="utf-8")
    network.start_metaserver()
    network.metaserver.expect_log("waiting for 2 peers of before")
    log = network.metaserver.log
    assert "line 3: this is no peer" in log and "line 5: this is no peer" in log, log
    assert "\x1b" not in log and text.split()[10] not in log, "it shows a key"
    assert text_of(state / "network.damaged") == text
    network.start_peer("s1")
    network.wait_for_tree(["s1"])


# --- other users

@contextlib.contextmanager
def as_stranger(network, program, *arguments):
    """Starts a Python program as another user, and waits for its first line. It may read the test's folder."""
    network.folder.chmod(0o755)
    command = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", "/usr/bin/python3", "-c",
               textwrap.dedent(program), *arguments]
    with subprocess.Popen(command, cwd=network.folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


FAKE_SERVER = """
    import json, os, socket, sys
    server = socket.socket(socket.AF_UNIX)
    server.bind(sys.argv[1])
    server.listen()
    print("ready", flush=True)
    while True:
        client = server.accept()[0]
        heard = client.recv(65536)
        print("heard", heard, flush=True)
        try:
            client.sendall(json.dumps({"out": "forged"}).encode() + b"\\n" + json.dumps({"exit": 0}).encode() + b"\\n")
        except OSError:
            pass  # the client has closed the connection
"""


@case("a state folder of another user is refused by programs and clients, also behind a link")
def _(network):
    if os.geteuid() != 0:
        print("        left out: only root can give a folder away")
        return
    network.start_metaserver()
    theirs = network.folder / "theirs"
    theirs.mkdir()
    os.chown(theirs, STRANGER, STRANGER)
    (network.folder / "link").symlink_to(theirs)
    for path in ["./theirs", "./link"]:
        for told in [metaserver_refused(network, "--state", path),
                     refused(network, network.program("metaserver"), "--state", path, "-e", "status"),
                     refused(network, *network.peer_command("s1", "--state", path, "--headless")),
                     refused(network, network.program("peer"), "--state", path, "-e", "status")]:
            assert f"belongs to another user (uid {STRANGER}" in told, told
    assert not list(theirs.iterdir())
    # A user without root's rights, who may not even open the folder.
    network.folder.chmod(0o755)
    theirs.chmod(0o700)
    other = ["setpriv", f"--reuid={STRANGER + 1}", f"--regid={STRANGER + 1}", "--clear-groups"]
    told = refused(network, *other, network.program("metaserver"), "--state", "./theirs", "-e", "status")
    assert f"belongs to another user (uid {STRANGER}" in told, told
    theirs.chmod(0o777)
    os.chown(theirs, 0, 0)
    assert "can be written by others" in metaserver_refused(network, "--state", "./theirs")


@case("another user's control server gets no command, its answers are ignored, and its socket is replaced")
def _(network):
    if os.geteuid() != 0:
        print("        left out: only root can become another user")
        return
    network.start_metaserver()
    open_folder = network.folder / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    share = network.fill_share("s1", {"a.txt": b"a\n"})
    state = share / ".espalier"
    state.mkdir(mode=0o700)
    with as_stranger(network, FAKE_SERVER, str(open_folder / "control.sock")) as stranger:
        for where in [state, network.folder / "mine"]:
            where.mkdir(mode=0o700, exist_ok=True)
            (where / "control.sock").symlink_to(open_folder / "control.sock")
        for program in ["peer", "metaserver"]:
            code, out, log = network.run(network.program(program), "--state", "./mine", "-e", "status")
            assert code == 78 and "another user" in log and "forged" not in out + log, (code, out, log)
        network.start_peer("s1", files={})
        network.wait_for_tree(["s1"])
        code, out, log = network.command("s1", "status")
        assert code == 0 and "forged" not in out, (code, out, log)
        stranger.kill()
        assert "heard b'{" not in stranger.stdout.read()


@case("a client of another user gets no answer")
def _(network):
    if os.geteuid() != 0:
        print("        left out: only root can become another user")
        return
    network.start_metaserver()
    state = network.folder / ".metaserver"
    state.chmod(0o755)
    (state / "control.sock").chmod(0o777)
    client = """
        import socket, sys
        server = socket.socket(socket.AF_UNIX)
        server.connect(sys.argv[1])
        print("ready", flush=True)
        try:
            server.sendall(b'{"run":"stop"}\\n')
            print(server.recv(1000), flush=True)
        except OSError as error:
            print(b"", flush=True)
    """
    with as_stranger(network, client, str(state / "control.sock")) as stranger:
        assert stranger.stdout.readline() == "b''\n"
    assert network.metaserver.alive
    assert network.run(network.program("metaserver"), "-e", "status")[0] == 0


# --- removed while in use

def is_whole(state, *files):
    return all((state / name).exists() for name in ["espalier-state", "control.lock", "control.sock", *files])


@case("a peer whose state folder was removed makes it again, and stays the only one on its share")
def _(network):
    network.start_metaserver()
    network.start_peer("s1")
    network.wait_for_tree(["s1"])
    network.wait_indexed("s1")
    assert network.command("s1", "unshare s1/f1.txt")[0] == 0
    state = network.folder / "s1/.espalier"
    key, shared = text_of(state / "instance.key"), text_of(state / "share.json")
    for remove in [lambda: shutil.rmtree(state), lambda: state.rename(network.folder / "moved"),
                   lambda: (state / "espalier-state").unlink(), lambda: (state / "control.lock").unlink(),
                   lambda: (state / "control.sock").unlink(),
                   lambda: [path.unlink() for path in state.iterdir() if not path.is_dir()]]:
        remove()
        # At once, before the peer notices.
        code, _, log = network.run(*network.peer_command("s1", "--headless"))
        assert code == 77 and "already runs" in log, (code, log)
        code, out, log = network.run(*network.peer_command("s1", "-e", "status"))
        assert code == 0 and "s1" in out, (code, out, log)
        wait_until(lambda: is_whole(state, "instance.key", "share.json", "index"), network.patience,
                   lambda: f"the whole state folder: {sorted(state.iterdir())}")
        assert text_of(state / "instance.key") == key
        assert text_of(state / "share.json") == shared
    network.peers["s1"].expect_log("it has been made again")
    assert network.topo() == {"s1": []}


@case("a stopped peer's state folder is removed, and no second one starts on its share")
def _(network):
    network.start_metaserver()
    network.start_peer("s1")
    network.wait_for_tree(["s1"])
    network.peers["s1"].send(signal.SIGSTOP)
    shutil.rmtree(network.folder / "s1/.espalier")
    code, _, log = network.run(*network.peer_command("s1", "--headless"))
    assert code == 77 and "already runs" in log, (code, log)
    assert not (network.folder / "s1/.espalier").exists(), "it was touched"
    network.peers["s1"].send(signal.SIGCONT)
    wait_until(lambda: is_whole(network.folder / "s1/.espalier"), network.patience, "the state folder")
    network.wait_for_tree(["s1"])
    network.peers["s1"].kill()  # with its locks
    network.start_peer("s1", files={})
    network.wait_for_tree(["s1"])


@case("a removed share is not made again by its peer, and works when it is back")
def _(network):
    network.start_metaserver()
    network.start_peer("s1")
    network.wait_for_tree(["s1"])
    network.wait_indexed("s1")
    (network.folder / "s1").rename(network.folder / "away")
    network.peers["s1"].expect_log("state folder ./s1/.espalier is gone")
    assert not (network.folder / "s1").exists()
    (network.folder / "away").rename(network.folder / "s1")
    wait_until(lambda: network.command("s1", "status")[0] == 0, network.patience, "an answer")
    network.wait_indexed("s1")


@case("a metaserver whose state folder was removed makes it again, with network and members")
def _(network):
    network.start_metaserver()
    network.start_peers(2)
    state = network.folder / ".metaserver"
    wait_until(lambda: text_of(state / "network").count("\n") == 3, network.patience, "both peers in the state")
    before = text_of(state / "network")
    shutil.rmtree(state)
    code, out, log = network.run(network.program("metaserver"), "-e", "status")
    assert code == 0, (code, out, log)
    wait_until(lambda: text_of(state / "network") == before, network.patience, lambda: text_of(state / "network"))
    state.rename(network.folder / "moved")
    wait_until(lambda: text_of(state / "network") == before, network.patience, lambda: text_of(state / "network"))
    assert is_whole(state)
    network.metaserver.kill()
    network.restart_metaserver()
    network.wait_for_tree(["s1", "s2"])


# --- names

@case("ids that look like others, or begin with a dot, are refused with a sentence")
def _(network):
    network.start_metaserver()
    for bad in ["s1\u200b", "s\u00ad1", "\u3164", "s1\ufe0f", "s1\U000e0041", ".s1", "s1\u2066"]:
        code, out, log = network.run(network.program("peer"), "--metaserver", network.address, "--id", bad,
                                     "-e", "status")
        assert code == 64 and "is no peer id" in log, (code, out, log)
        assert bad == ".s1" or bad not in log, f"{log!r} shows it as it is"


if __name__ == "__main__":
    main()
