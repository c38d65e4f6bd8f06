#!/usr/bin/env python3
"""Commands by scripts and by keys: JSON, exit codes, the control socket, Ctrl-C and SIGTERM at every point."""
import filecmp
import json
import os
import re
import signal
import socket
import sys

from espalier_process import case, file_root, files_below, main, noise, wait_until
from terminal import talk


def two(network, *options):
    network.start_metaserver(*options)
    network.start_peers(2)
    for name in network.peers:
        network.wait_indexed(name)


def shape(value):
    """The names and types in a JSON value; those of its first element for an array."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return type(value).__name__


FILE = {"name": "str", "size": "int", "root": "str"}


@case("every command has the JSON of the design")
def _(network):
    two(network)
    (network.folder / "more").mkdir()
    wanted = {
        "topo": {"command": "str", "peers": [{"id": "str", "endpoint": "str", "links": ["str"]}]},
        "find f3.txt": {"command": "str", "hits": [{**FILE, "holders": ["str"]}], "searched": "int", "peers": "int",
                        "missing": []},
        "list s1": {"command": "str", "peer": "str", "files": [FILE]},
        "peers": {"command": "str", "links": [{"id": "str", "role": "str"}]},
        "get f3.txt": {"command": "str", "files": [{**FILE, "path": "str", "sources": ["str"], "seconds": "float"}]},
        "get f9.txt": {"command": "str", "error": {"code": "int", "message": "str"}},
        "nonsense": {"command": "str", "error": {"code": "int", "message": "str"}},
        "get 'open": {"command": "str", "error": {"code": "int", "message": "str"}},
        "2": {"command": "str", "error": {"code": "int", "message": "str"}},
        f"share {network.folder}/more": {"command": "str", "path": "str", "files": "int"},
        f"unshare {network.folder}/more": {"command": "str", "path": "str", "files": "int"},
        "whatif kill s1": {"command": "str", "kill": "str", "attachments": [{"id": "str", "to": "NoneType"}],
                           "peers": [{"id": "str", "endpoint": "str", "links": []}]},
        "topo --dot": {"command": "str", "dot": "str"},
        "help": {"command": "str", "commands": [{"name": "str", "usage": "str", "summary": "str"}]},
    }
    for line, want in wanted.items():
        _, told = network.json("s2", line)
        assert len(told) == 1 and shape(told[0]) == want, (line, told)
        assert told[0]["command"] == line.split()[0], (line, told)
    _, told = network.json("s2", "status")
    assert told[0]["id"] == "s2" and told[0]["peers"] == 2 and told[0]["metaserverReachable"] is True, told
    code, told = network.json("s2", "stop")
    assert (code, told) == (0, [{"command": "stop"}]), (code, told)
    assert network.peers["s2"].process.wait(network.patience) == 0


@case("an error before any command runs is JSON too, wherever --json stands")
def _(network):
    network.start_metaserver()
    network.metaserver.end()
    for options in (["--nonsense", "--json"], ["--json", "--id", "a b"], ["--json", "--share", "./x", "-e", "topo"]):
        code, out, log = network.run(network.program("peer"), *options)
        told = json.loads(out)
        assert code == 64 and told["error"]["code"] == 64, (options, out, log)
    code, out, log = network.run(*network.peer_command("s1", "--json", "-e", "get f3.txt", "-e", "topo"))
    told = [json.loads(line) for line in out.splitlines()]
    message = f'no metaserver at {network.address}: start "metaserver"'
    assert code == 69 and told == [{"command": "get", "error": {"code": 69, "message": message}}], (code, out, log)


@case("a mistake in the file or the environment exits with 78")
def _(network):
    (network.folder / "peer.conf").write_text("id = s1\nmetaserfer = 127.0.0.1:5000\n")
    code, _, log = network.run(network.program("peer"), "--config", "peer.conf", "--headless")
    assert code == 78 and "peer.conf:2: " in log and "did you mean metaserver?" in log, (code, log)
    network.env["ESPALIER_MAX_LINKS"] = "1"
    code, _, log = network.run(network.program("metaserver"), "--listen", "127.0.0.1:0")
    assert code == 78 and "ESPALIER_MAX_LINKS" in log, (code, log)
    assert not (network.folder / "topo.txt").exists() and not (network.folder / ".metaserver").exists()


@case("a TOTAL that is not a number exits with 64")
def _(network):
    for total in ("0", "-1", "five", "5 6"):
        code, _, log = network.run(network.program("peer"), "--id", "s1", *total.split(" "))
        assert code == 64, (total, code, log)


@case("-e reaches a running peer from another folder, whatever the length of its path")
def _(network):
    network.start_metaserver()
    long = network.folder / ("a" * 100) / ("b" * 100)
    long.mkdir(parents=True)
    (long / "near.txt").write_text("near\n")
    network.fill_share("s1", {})
    network.peers["s1"] = network.spawn("s1", network.program("peer"), "--metaserver", network.address, "--id", "s1",
                                        "--share", str(long), "--headless")
    network.start_peer("s2", files={"far.txt": b"far\n"})
    network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s2")
    elsewhere = network.folder / "elsewhere"
    elsewhere.mkdir()
    peer = network.program("peer")
    for where, share in ((elsewhere, str(long)), (long, "."), (long.parent, "./" + "b" * 100)):
        code, out, log = network.run(peer, "--share", share, "-e", "list", cwd=where)
        assert code == 0 and "near.txt" in out, (share, code, out, log)
        code, out, log = network.run(peer, "--id", "s1", "--share", share, "-e", "peers", cwd=where)
        assert code == 0 and "s2" in out, (share, code, out, log)
    # A path is relative to the folder of the client, not of the running peer.
    code, out, log = network.run(peer, "--share", str(long), "-e", "get far.txt -o mine.txt", cwd=elsewhere)
    assert code == 0 and (elsewhere / "mine.txt").read_bytes() == b"far\n", (code, out, log)
    assert not (network.folder / "mine.txt").exists()
    network.wait_for_tree(["s1", "s2"])


@case("-e with a share on which no peer runs, and no id, says what is missing")
def _(network):
    network.start_metaserver()
    network.fill_share("s1")
    code, out, log = network.command("s1", "topo")
    assert code == 64 and "--id" in log, (code, out, log)
    assert network.topo() == {}


@case("commands run in a metaserver, too; without one the exit code is 69")
def _(network):
    two(network)
    code, out, log = network.run(network.program("metaserver"), "-e", "topo", "-e", "whatif kill s1", "-e", "status")
    assert code == 0 and out.startswith("s1:  s2\ns2:  s1\ns2 would become the root\n"), (code, out, log)
    assert network.address in out and "2 peers" in out, out
    assert network.metaserver.end() == 0
    code, out, log = network.run(network.program("metaserver"), "-e", "topo")
    assert code == 69 and ".metaserver" in log, (code, out, log)


@case("stop ends a metaserver from another process, and a peer")
def _(network):
    two(network)
    assert network.command("s2", "stop")[0] == 0
    assert network.peers["s2"].process.wait(network.patience) == 0
    network.wait_for_tree(["s1"])
    assert network.run(network.program("metaserver"), "-e", "stop")[0] == 0
    assert network.metaserver.process.wait(network.patience) == 0


def silent_port():
    """A server whose connections the kernel accepts, and that never answers."""
    one = socket.create_server(("127.0.0.1", 0), backlog=16)
    return one, f"127.0.0.1:{one.getsockname()[1]}"


@case("Ctrl-C while -e runs in another peer cancels there too: exit code 130")
def _(network):
    two(network)
    network.peers["s2"].end()
    network.wait_for_tree(["s1"])
    network.peers["s2"] = network.spawn("s2", *network.peer_command("s2", "5", "--headless"))
    network.wait_for_tree(["s1", "s2"])
    waiting = network.terminal(network.program("peer"), "--share", "./s2", "-e", "get f3.txt", "-e", "topo")
    waiting.expect("waiting for 3 more of 5 peers to join")
    waiting.keys("\x03")
    assert waiting.end() == 130, waiting.text()
    assert "s1:" not in waiting.text(), waiting.text()
    assert network.peers["s2"].alive


@case("Ctrl-C while -e joins or waits in a peer of its own: exit code 130, and no process or socket is left")
def _(network):
    two(network)
    network.fill_share("s3", {})
    own = network.terminal(*network.peer_command("s3", "5", "-e", "get f3.txt", "-e", "topo"))
    own.expect("waiting for 2 more of 5 peers to join")
    own.keys("\x03")
    assert own.end() == 130, own.text()
    network.wait_for_tree(["s1", "s2"])
    listener, address = silent_port()
    with listener:
        joining = network.terminal(network.program("peer"), "--metaserver", address, "--id", "s4", "-e", "topo")
        wait_until(lambda: joining.pump(0.05) or (network.folder / "s4/.espalier").exists(), network.patience, "s4")
        joining.keys("\x03")
        assert joining.end() == 130, joining.text()


@case("Ctrl-C at the questions before joining clears the line, and Ctrl-D ends")
def _(network):
    network.start_metaserver()
    terminal = network.terminal(network.program("peer"))
    for prompt, answer in ((">", "1"), ("peer id>", "s1"), ("topo to see the network, Enter to go on>", ""),
                           ("P2P to join>", None)):
        terminal.prompt(prompt)
        terminal.keys("x")
        terminal.wait(lambda prompt=prompt: terminal.screen.lines[-1] == prompt + " x", "what was typed")
        terminal.keys("\x03")
        terminal.prompt(prompt)
        if answer is not None:
            terminal.type(answer)
    terminal.keys("\x04")
    assert terminal.end() == 0
    assert network.topo() == {}


@case("Ctrl-C while a command of the prompt runs cancels it, and the prompt is back")
def _(network):
    network.start_metaserver()
    network.start_peers(1)
    network.fill_share("s2")
    terminal = network.terminal(*network.peer_command("s2", "5"))
    terminal.prompt("s2>")
    terminal.type("get f3.txt")
    terminal.expect("waiting for 3 more of 5 peers to join")
    terminal.keys("\x03")
    terminal.expect("interrupted")
    terminal.prompt("s2>")
    terminal.type("2")
    terminal.prompt("file to download (Enter for none)>")
    terminal.keys("\x03")
    terminal.prompt("s2>")
    terminal.type("peers")
    terminal.expect(r"s1 +parent")
    terminal.prompt("s2>")
    terminal.type("stop")
    assert terminal.end() == 0


@case("Ctrl-C during a search ends it with the results so far and exit code 130")
def _(network):
    network.start_metaserver()
    network.start_peers(3)
    network.peers["s3"].send(signal.SIGSTOP)  # it will not answer
    def interrupted():
        """False if the search ended before it could be interrupted, as on a very busy machine."""
        search = network.terminal(network.program("peer"), "--share", "./s1", "-e", "find nosuch")
        wait_until(lambda: search.pump(0.05) or search.closed or network.json("s1", "status")[1][0]["openQueries"] > 0,
                   network.patience, "the search to be open")
        if not search.closed:
            search.keys("\x03")
        code = search.end()
        assert code in (130, 75, 1), search.text()
        return code == 130
    wait_until(interrupted, network.patience, "a search to be interrupted")


@case("a search that a peer does not answer names it: not found is exit code 75 then")
def _(network):
    network.start_metaserver()
    network.start_peers(3)
    network.peers["s3"].send(signal.SIGSTOP)
    code, told = network.json("s1", "find nosuch")
    assert code == 75 and told[0]["error"]["code"] == 75, (code, told)
    assert (told[0]["searched"], told[0]["peers"], told[0]["missing"]) == (2, 3, ["s3"]), told


@case("Ctrl-C while a file is fetched keeps the received chunks, and the next get continues")
def _(network):
    network.start_metaserver()
    network.start_peer("s1", files={})
    network.wait_for_tree(["s1"])
    network.fill_share("s2", {})
    terminal = network.terminal(*network.peer_command("s2"))
    terminal.prompt("s2>")
    def held():
        terminal.pump(0.01)
        files = files_below(network.folder / "s2/.espalier")
        return sum(status.st_blocks * 512 for path, status in files.items() if path.suffix == ".part")
    for mebibytes in (192, 768, 3072):  # until one takes long enough to be interrupted
        name, ours = f"large{mebibytes}.bin", network.folder / f"s2/large{mebibytes}.bin"
        with open(network.folder / "s1" / name, "wb") as file:
            file.truncate(mebibytes << 20)
            file.write(noise(1024, mebibytes))
        whole = {"name": name, "size": mebibytes << 20}
        wait_until(lambda: any(whole.items() <= listed.items() for listed in network.json("s1", "list")[1][0]["files"]),
                   network.patience, f"s1 to list {name}")
        terminal.type(f"get {name}")
        wait_until(lambda: held() > 4 << 20 or ours.exists(), network.patience, "some of it to arrive")
        network.peers["s1"].send(signal.SIGSTOP)
        terminal.keys("\x03")
        ended = terminal.expect(r"interrupted|.* saved as .*")
        network.peers["s1"].send(signal.SIGCONT)
        terminal.prompt("s2>")
        if ended[0] == "interrupted" and not ours.exists():
            break
    assert ended[0] == "interrupted" and held() > 4 << 20, terminal.text()
    terminal.type(f"get {name}")
    terminal.expect(rf"{re.escape(name)}: .* MB from s1, verified, saved as \./s2/{re.escape(name)}.*")
    assert filecmp.cmp(network.folder / "s1" / name, ours, shallow=False)
    terminal.prompt("s2>")
    terminal.type("stop")
    assert terminal.end() == 0


@case("Ctrl-C ends a join that takes long, also when the metaserver never answers")
def _(network):
    listener, address = silent_port()
    with listener:
        terminal = network.terminal(network.program("peer"), "--metaserver", address, "--id", "s1")
        wait_until(lambda: terminal.pump(0.05) or (network.folder / "s1/.espalier").exists(), network.patience, "s1")
        terminal.keys("\x03")
        assert terminal.end() == 130, terminal.text()


@case("SIGTERM ends a peer with 0: at its prompt, before it has joined, headless")
def _(network):
    two(network)
    network.fill_share("s3")
    at_prompt = network.terminal(*network.peer_command("s3"))
    at_prompt.prompt("s3>")
    at_prompt.process.send_signal(signal.SIGTERM)
    assert at_prompt.end() == 0, at_prompt.text()
    network.wait_for_tree(["s1", "s2"])
    asked = network.terminal(network.program("peer"))
    asked.prompt(">")
    asked.process.send_signal(signal.SIGTERM)
    assert asked.end() == 0, asked.text()
    assert network.peers["s2"].end(signal.SIGTERM) == 0
    assert network.peers["s1"].end(signal.SIGINT) == 0


@case("another id may be chosen at the prompt, and gets a share of its own")
def _(network):
    two(network)
    (network.folder / "elsewhere").mkdir()
    for where in (network.folder, network.folder / "elsewhere"):
        terminal = network.terminal(network.program("peer"), cwd=where)
        name = "n" + where.name
        talk(terminal, """
> 1
peer id> s1
topo to see the network, Enter to go on>
P2P to join> P2P
""")
        terminal.expect(r".*(s1 is in the network already|another process already runs on \./s1/\.espalier).*")
        talk(terminal, f"peer id> {name}")
        terminal.expect(rf"{re.escape(name)} joined on 127\.0\.0\.1:\d+, linked to s\d; sharing 0 files \(0 B\) "
                        rf"from \./{re.escape(name)}")
        assert (where / name / ".espalier").is_dir()
        talk(terminal, f"{name}> stop")
        assert terminal.end() == 0
    assert network.peers["s1"].alive


@case("a line of commands piped in is run without a terminal")
def _(network):
    two(network)
    network.fill_share("s3", {})
    with open(network.folder / "typed", "w", encoding="utf-8") as file:
        file.write("get f3.txt\npeers\n")
    with open(network.folder / "typed", "rb") as typed:
        code, out, log = network.run(*network.peer_command("s3"), stdin=typed)
    assert code == 0 and (network.folder / "s3/f3.txt").exists(), (code, out, log)
    assert "f3.txt: 12 B from s1, verified, saved as ./s3/f3.txt\n" in out, (out, log)
    network.wait_for_tree(["s1", "s2"])


@case("progress and notices never reach standard output")
def _(network):
    two(network)
    network.fill_share("s3", {})
    code, out, log = network.run(*network.peer_command("s3", "--json", "-e", "get f3.txt"))
    assert code == 0 and len(out.splitlines()) == 1, (out, log)
    assert json.loads(out)["files"][0]["root"] == file_root(b"ripe quince\n"), out
    assert os.path.exists(network.folder / "s3/f3.txt")


if __name__ == "__main__":
    sys.exit(main())
