#!/usr/bin/env python3
"""Finding, fetching and listing files in real networks: bytes, roots, messages and exit codes."""
import os
import signal
import sys

from espalier_process import case, file_root, files_below, main, noise, wait_until


def five(network, *options):
    network.start_metaserver(*options)
    network.start_peers(5)
    for name in network.peers:
        network.wait_indexed(name)


@case("get fetches across the tree: the bytes, the root, the place and the JSON of the design")
def _(network):
    five(network)
    data = (network.folder / "s2/big.bin").read_bytes()
    code, told = network.json("s5", "get big.bin")
    assert code == 0 and len(told) == 1 and told[0]["command"] == "get", (code, told)
    file = told[0]["files"][0]
    assert (file["name"], file["size"], file["sources"]) == ("big.bin", 3 * 1024 * 1024, ["s2"]), file
    assert file["root"] == file_root(data), file
    assert file["seconds"] >= 0
    assert (network.folder / file["path"]).resolve() == (network.folder / "s5/big.bin").resolve(), file
    assert (network.folder / "s5/big.bin").read_bytes() == data


@case("a fetched file is served, too, when the first holder has left")
def _(network):
    five(network)
    assert network.command("s5", "get f3.txt")[0] == 0
    network.peers["s1"].kill()
    network.wait_for_tree(["s2", "s3", "s4", "s5"])
    wait_until(lambda: network.json("s4", "get f3.txt")[0] == 0, network.patience, "f3.txt from s5")
    assert (network.folder / "s4/f3.txt").read_bytes() == b"ripe quince\n"


@case("a file without holders is not found after all have answered: exit code 1")
def _(network):
    five(network)
    code, out, log = network.command("s5", "get f9.txt")
    assert code == 1 and "f9.txt: not found (searched 5 of 5 peers)\n" in out + log, (code, out, log)
    code, told = network.json("s5", "get f9.txt")
    assert code == 1, code
    assert told == [{"command": "get", "error": {"code": 1, "message": "f9.txt: not found (searched 5 of 5 peers)"}}]


@case("find shows files with their holders, merged by root, most holders first")
def _(network):
    five(network)
    code, told = network.json("s1", "find .txt")
    assert code == 0 and told[0]["command"] == "find", told
    assert (told[0]["searched"], told[0]["peers"], told[0]["missing"]) == (5, 5, []), told
    hits = told[0]["hits"]
    assert (hits[0]["name"], sorted(hits[0]["holders"])) == ("f2.txt", ["s2", "s4"]), hits[0]
    assert hits[0]["root"] == file_root((network.folder / "s2/f2.txt").read_bytes())
    notes = [hit for hit in hits if hit["name"] == "notes.txt"]
    assert len(notes) == 2 and notes[0]["root"] != notes[1]["root"], notes
    assert len(hits) == 12, [hit["name"] for hit in hits]


@case("find takes globs, parts of names in any case, names beyond ASCII, and roots")
def _(network):
    five(network)
    def found(pattern):
        code, told = network.json("s1", f"find {pattern}")
        names = sorted({hit["name"] for hit in told[0].get("hits", [])})
        assert code == (0 if names else 1), (code, told)
        return names
    assert found("'f?.txt'") == ["f1.txt", "f2.txt", "f3.txt", "f4.txt", "f5.txt", "f6.txt", "f7.txt", "f8.txt"]
    assert found("BIG") == ["big.bin"]
    assert found("birnen") == ["Äpfel und Birnen.txt"]
    assert found("'*Birnen*'") == ["Äpfel und Birnen.txt"]
    assert found(file_root(b"ripe quince\n")) == ["f3.txt"]
    assert found("nosuchname") == []


@case("a name that stands for several files is not guessed: exit code 1, and a root decides")
def _(network):
    five(network)
    code, told = network.json("s1", "get notes.txt")
    assert code == 1 and not (network.folder / "s1/notes.txt").exists(), (code, told)
    for name in ("s3", "s5"):
        assert file_root((network.folder / name / "notes.txt").read_bytes()) in str(told), told
    root = file_root((network.folder / "s5/notes.txt").read_bytes())
    code, told = network.json("s1", f"get {root}")
    assert code == 0, told
    assert (network.folder / "s1/notes.txt").read_bytes() == (network.folder / "s5/notes.txt").read_bytes()


@case("get takes several names and globs at once")
def _(network):
    five(network)
    code, told = network.json("s1", "get f5.txt f6.txt 'f[78].txt'")
    assert code == 0, told
    assert sorted(file["name"] for file in told[0]["files"]) == ["f5.txt", "f6.txt", "f7.txt", "f8.txt"], told


@case("some of several: exit code 3, and what could be fetched is there")
def _(network):
    five(network)
    code, out, log = network.command("s1", "get f5.txt f9.txt")
    assert code == 3, (code, out, log)
    assert (network.folder / "s1/f5.txt").exists()


@case("an empty file and a name with spaces and letters beyond ASCII arrive")
def _(network):
    five(network)
    code, told = network.json("s1", "get empty.txt")
    assert code == 0 and told[0]["files"][0]["root"] == "0" * 64 and told[0]["files"][0]["size"] == 0, told
    assert (network.folder / "s1/empty.txt").read_bytes() == b""
    code, told = network.json("s1", "get 'Äpfel und Birnen.txt'")
    assert code == 0, told
    wanted = (network.folder / "s5/Äpfel und Birnen.txt").read_bytes()
    assert (network.folder / "s1/Äpfel und Birnen.txt").read_bytes() == wanted


@case("an existing different file is left alone without --force or -o")
def _(network):
    five(network)
    mine = network.folder / "s2/f3.txt"
    mine.write_bytes(b"mine\n")
    network.wait_indexed("s2")
    root = file_root(b"ripe quince\n")
    code, out, log = network.command("s2", f"get {root}")
    assert code != 0 and "exists and differs: --force overwrites it, -o PATH saves elsewhere" in out + log, (out, log)
    assert mine.read_bytes() == b"mine\n"
    code, out, log = network.command("s2", f"get {root} -o other.txt")
    assert code == 0, (out, log)
    assert mine.read_bytes() == b"mine\n"
    elsewhere = [path for path in files_below(network.folder) if path.name == "other.txt"]
    assert len(elsewhere) == 1 and elsewhere[0].read_bytes() == b"ripe quince\n", elsewhere
    code, out, log = network.command("s2", f"get {root} --force")
    assert code == 0 and mine.read_bytes() == b"ripe quince\n", (out, log)


@case("list shows what this peer and another one share")
def _(network):
    five(network)
    code, told = network.json("s1", "list s3")
    assert code == 0 and (told[0]["command"], told[0]["peer"]) == ("list", "s3"), told
    assert sorted(file["name"] for file in told[0]["files"]) == ["f5.txt", "notes.txt"], told
    assert {file["name"]: file["size"] for file in told[0]["files"]} == {"f5.txt": 53, "notes.txt": 33}, told
    code, told = network.json("s1", "list")
    assert code == 0 and told[0]["peer"] == "s1", told
    assert sorted(file["name"] for file in told[0]["files"]) == ["f1.txt", "f3.txt"], told
    code, told = network.json("s1", "list nobody")
    assert code != 0 and "error" in told[0], told


@case("topo, peers and status show the network, as JSON and as text")
def _(network):
    five(network)
    code, told = network.json("s2", "topo", "peers", "status")
    assert code == 0 and [one["command"] for one in told] == ["topo", "peers", "status"], told
    assert {peer["id"]: peer["links"] for peer in told[0]["peers"]} == network.topo(), told[0]
    roles = {link["id"]: link["role"] for link in told[1]["links"]}
    assert roles == {"s1": "parent", "s4": "child"}, told[1]
    code, out, _ = network.command("s2", "topo")
    assert code == 0 and out == network.topo_path.read_text(), out
    code, out, _ = network.command("s2", "topo --dot")
    assert code == 0 and "graph" in out and '"s4"' in out, out


@case("a file added while running is found, one taken away no longer")
def _(network):
    network.start_metaserver()
    network.start_peers(2)
    (network.folder / "s1/new.txt").write_text("just now\n")
    def names():
        return [hit["name"] for hit in network.json("s2", "find new.txt")[1][0].get("hits", [])]
    wait_until(lambda: names() == ["new.txt"], network.patience, "new.txt to be found")
    (network.folder / "s1/new.txt").unlink()
    wait_until(lambda: names() == [], network.patience, "new.txt to be found no longer")


@case("share and unshare change what is shared")
def _(network):
    network.start_metaserver()
    network.start_peers(2)
    outside = network.folder / "outside"
    outside.mkdir()
    (outside / "extra.txt").write_text("extra\n")
    code, out, log = network.command("s1", f"share {outside}")
    assert code == 0, (out, log)
    wait_until(lambda: network.json("s2", "get outside/extra.txt")[0] == 0, network.patience, "extra.txt to be fetched")
    code, out, log = network.command("s1", f"unshare {outside}")
    assert code == 0, (out, log)
    def holders():
        return [one for hit in network.json("s2", "find extra.txt")[1][0].get("hits", []) for one in hit["holders"]]
    wait_until(lambda: "s1" not in holders(), network.patience, "s1 to share extra.txt no longer")


@case("-e without a running peer joins as that peer, and leaves at the end")
def _(network):
    five(network)
    network.fill_share("s6", {})
    code, out, log = network.run(*network.peer_command("s6", "-e", "get f3.txt", "-e", "find f3.txt"))
    assert code == 0 and (network.folder / "s6/f3.txt").exists(), (code, out, log)
    network.wait_for_tree(["s1", "s2", "s3", "s4", "s5"])


@case("several -e run in order, and the first failure's code is the exit code")
def _(network):
    five(network)
    code, told = network.json("s1", "peers", "get f9.txt", "nonsense", "topo")
    assert code == 1, (code, told)
    assert told[0]["command"] == "peers" and told[1]["error"]["code"] == 1, told


@case("impossible values exit with 64, an unreachable metaserver with 69")
def _(network):
    network.start_metaserver()
    network.start_peers(1)
    assert network.command("s1", "nonsense")[0] == 64
    assert network.run(network.program("peer"), "--nonsense")[0] == 64
    assert network.run(network.program("metaserver"), "--nonsense")[0] == 64
    assert network.run(network.program("metaserver"), "--max-links", "1")[0] in (64, 78)
    network.fill_share("s2")
    for bad in ("a b", "..", "a/b", "a:b", "x" * 65):
        code, out, log = network.run(network.program("peer"), "--id", bad, "--share", "./s2", "--headless")
        assert code == 64, (bad, code, out, log)
    network.metaserver.kill()
    code, out, log = network.run(*network.peer_command("s2", "-e", "topo"))
    assert code == 69 and f"no metaserver at {network.address}" in log, (code, out, log)


@case("--help begins with examples, --version is one line")
def _(network):
    for name in ("metaserver", "peer"):
        code, out, _ = network.run(network.program(name), "--help")
        assert code == 0 and "--" in out, out
        code, out, _ = network.run(network.program(name), "--version")
        assert code == 0 and len(out.splitlines()) == 1 and "0.1" in out, out


@case("--json prints nothing but JSON, and errors too")
def _(network):
    network.start_metaserver()
    network.start_peers(1)
    code, told = network.json("s1", "nonsense")
    assert code == 64 and told[0]["error"]["code"] == 64 and told[0]["error"]["message"], told


@case("nothing outside the share, behind a link or below .espalier is ever served")
def _(network):
    network.start_metaserver()
    (network.folder / "secret.txt").write_text("secret\n")
    network.fill_share("s1")
    os.symlink("../secret.txt", network.folder / "s1/linked.txt")
    os.symlink("..", network.folder / "s1/folder")
    network.start_peers(2)
    network.wait_for_tree(["s1", "s2"])
    def listed():
        return sorted(file["name"] for file in network.json("s2", "list s1")[1][0]["files"])
    wait_until(lambda: listed() == ["f1.txt", "f3.txt"], network.patience, lambda: f"only two: {listed()}")
    for name in ("../secret.txt", "linked.txt", "folder/secret.txt", str(network.folder / "secret.txt"),
                 ".espalier/key", "s1/.espalier/key"):
        code, out, log = network.command("s2", f"get '{name}'")
        assert code != 0, (name, out, log)
    assert not [path for path in files_below(network.folder / "s2") if "secret" in path.name]


@case("a download goes on after kill -9 of the asker")
def _(network):
    network.start_metaserver()
    data = noise(192 * 1024 * 1024)
    network.start_peer("s1", files={"large.bin": data})
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s1")
    state = network.folder / "s2/.espalier"
    fetch = network.terminal(network.program("peer"), "--share", "./s2", "-e", "get large.bin")
    def some_is_there():
        fetch.pump(0)
        return any(status.st_blocks * 512 > 4 * 1024 * 1024 for status in files_below(state).values())
    wait_until(some_is_there, network.patience, "some of it to arrive")
    network.peers["s2"].kill()
    network.restart_peer("s2")
    network.wait_for_tree(["s1", "s2"])
    ended = []
    def served():  # it joins a moment before it accepts commands
        ended[:] = network.command("s2", "get large.bin")
        return ended[0] != 64
    wait_until(served, network.patience, "the peer that came back to take commands")
    code, out, log = ended
    assert code == 0 and (network.folder / "s2/large.bin").read_bytes() == data, (code, out, log)


@case("get DIR/ fetches all files below it, also those beyond a search's limit, and goes on after kill -9")
def _(network):
    network.start_metaserver()
    files = {f"many/{i % 3}/f{i}": noise(1 + i * 7 % 9000, i) for i in range(1500)}
    files |= {"many/large.bin": noise(3 * 1024 * 1024), "many/empty": b"", "other/f": b"not wanted"}
    network.start_peer("s1", files=files)
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s1")
    fetch = network.terminal(network.program("peer"), "--share", "./s2", "-e", "get many/")
    def some_are_there():
        fetch.pump(0)
        return len(files_below(network.folder / "s2/many")) > 100
    wait_until(some_are_there, network.patience, "some of them to arrive")
    network.peers["s2"].kill()
    network.restart_peer("s2")
    network.wait_for_tree(["s1", "s2"])
    ended = []
    def served():  # it joins a moment before it accepts commands
        ended[:] = network.json("s2", "get many/")
        return ended[0] != 64
    wait_until(served, network.patience, "the peer that came back to take commands")
    code, told = ended
    assert code == 0, (code, str(told)[-2000:])
    wanted = {name: data for name, data in files.items() if name.startswith("many/")}
    assert {file["name"] for file in told[0]["files"]} == set(wanted), str(told)[-2000:]
    for name, data in wanted.items():
        assert (network.folder / "s2" / name).read_bytes() == data, name
    assert not (network.folder / "s2/other").exists()
    code, out, log = network.command("s2", "get nothing/")
    assert code == 1 and "nothing/: not found" in out + log, (code, out, log)


@case("when a holder is killed during a download, the other one is asked")
def _(network):
    network.start_metaserver()
    data = noise(192 * 1024 * 1024)
    for name in ("s1", "s2"):
        network.start_peer(name, files={"large.bin": data})
    network.start_peer("s3", files={})
    network.wait_for_tree(["s1", "s2", "s3"])
    for name in ("s1", "s2"):
        network.wait_indexed(name)
    fetch = network.terminal(network.program("peer"), "--share", "./s3", "--json", "-e", "get large.bin")
    state = network.folder / "s3/.espalier"
    def some_is_there():
        fetch.pump(0)
        return any(status.st_blocks * 512 > 4 * 1024 * 1024 for status in files_below(state).values())
    wait_until(some_is_there, network.patience, "some of it to arrive")
    network.peers["s2"].send(signal.SIGKILL)
    assert fetch.end() == 0, fetch.text()
    assert (network.folder / "s3/large.bin").read_bytes() == data


@case("a file that changes after it was indexed is never delivered as the old one")
def _(network):
    network.start_metaserver()
    network.start_peer("s1", files={"a.txt": b"old words\n"})
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s1")
    old_root = file_root(b"old words\n")
    (network.folder / "s1/a.txt").write_bytes(b"new words\n")
    code, out, log = network.command("s2", f"get {old_root}")
    assert code != 0 and not (network.folder / "s2/a.txt").exists(), (code, out, log)
    wait_until(lambda: network.command("s2", "get a.txt")[0] == 0, network.patience, "the new one")
    assert (network.folder / "s2/a.txt").read_bytes() == b"new words\n"


if __name__ == "__main__":
    sys.exit(main())
