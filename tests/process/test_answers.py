#!/usr/bin/env python3
"""Complete answers: they name what is missing, count what is left out, and tell of changes and of what a name means."""
import os
import signal
import subprocess
import unicodedata

from espalier_process import case, file_root, files_below, main, noise, wait_until
from intruder import REGISTRY, Session, field, message, parse


def shares(network, **files):
    """Starts the peers s1, s2, … with these files {name: bytes}, and waits until they are indexed."""
    network.start_metaserver()
    names = []
    for name, each in files.items():
        network.start_peer(name, files=each)
        names.append(name)
        network.wait_for_tree(names)
    for name in names:
        network.wait_indexed(name)


@case("get of a glob fetches all of 300 matches at one holder, and so does a folder")
def _(network):
    many = {f"many/{number:03}.txt": b"%d\n" % number for number in range(300)}
    shares(network, s1={**many, "other.bin": b"x"}, s2={}, s3={})
    code, told = network.json("s2", "get 'many/*.txt'")
    assert code == 0 and len(told[0]["files"]) == 300 and "error" not in told[0], (code, told[0].get("error"))
    for name, data in many.items():
        assert (network.folder / "s2" / name).read_bytes() == data, name
    assert not (network.folder / "s2/other.bin").exists()
    code, out, log = network.command("s3", "get 'many/2[0-9][0-9].txt'", "get many/")
    assert code == 0 and "300 files" in out, (code, out, log)
    # A search says how many more there are.
    code, told = network.json("s2", "find 'many/*.txt'")
    assert code == 0 and told[0]["more"] >= 100, (code, told[0].get("more"))


@case("a member that only the metaserver knows is missing, at the peer that joined last, too")
def _(network):
    shares(network, s1={"a.txt": b"a\n"}, s2={}, s3={})
    session = Session(network.address, REGISTRY, network.patience)  # of a member that attaches nowhere
    session.send(field(1, message(b"s4", os.urandom(16), b"P2P", b"127.0.0.1", 9)))
    assert 1 in parse(session.receive())
    for name in ("s1", "s2", "s3"):
        _, told = network.json(name, "find a.txt")
        assert (told[0]["searched"], told[0]["peers"]) == (3, 4), (name, told)
    code, out, log = network.command("s3", "get a.txt")
    assert code == 3 and (network.folder / "s3/a.txt").exists(), (code, out, log)


@case("get while a holder does not answer is partly done, and names the missing peer")
def _(network):
    shares(network, s1={"a.log": b"a\n"}, s2={}, s3={"b.log": b"b\n"})
    network.peers["s3"].send(signal.SIGSTOP)
    code, told = network.json("s2", "get '*.log'")
    network.peers["s3"].send(signal.SIGCONT)
    assert code == 3 and told[0]["missing"] == ["s3"] and told[0]["error"]["code"] == 3, (code, told)
    assert [file["name"] for file in told[0]["files"]] == ["a.log"], told
    network.wait_for_tree(["s1", "s2", "s3"])
    network.peers["s3"].send(signal.SIGSTOP)
    code, out, log = network.command("s2", "get b.log")
    network.peers["s3"].send(signal.SIGCONT)
    assert code == 75 and "no answer from s3" in log, (code, out, log)
    network.wait_for_tree(["s1", "s2", "s3"])
    code, out, log = network.command("s2", "get '*.log'")
    assert code == 0 and (network.folder / "s2/b.log").read_bytes() == b"b\n", (code, out, log)


@case("share and unshare say how many files, and what cannot be shared and why")
def _(network):
    shares(network, s1={"own.txt": b"own\n"})
    docs = network.folder / "docs"
    (docs / "in").mkdir(parents=True)
    for number in range(5):
        (docs / ("in" if number % 2 else "") / f"f{number}.txt").write_bytes(b"%d\n" % number)
    for _ in range(6):
        code, told = network.json("s1", f"share {docs}")
        assert code == 0 and told[0]["files"] == 5 and "indexing" not in told[0], (code, told)
        code, told = network.json("s1", f"unshare {docs}")
        assert code == 0 and told[0]["files"] == 5, (code, told)
    os.mkfifo(docs / "fifo")
    code, told = network.json("s1", f"share {docs}")
    assert code == 0 and told[0]["files"] == 5, (code, told)
    assert [(each["why"], each["count"]) for each in told[0]["notShared"]] == [("is a named pipe", 1)], told
    os.mkfifo(network.folder / "s1/fifo")
    (network.folder / "s1/link").symlink_to("own.txt")
    for name, why in (("s1/fifo", "is neither a file nor a folder"), ("s1/link", "symbolic link")):
        code, out, log = network.command("s1", f"share {network.folder}/{name}")
        assert code == 1 and why in log and not out, (code, out, log)


@case("get --force replaces an own copy that is older than what others have")
def _(network):
    shares(network, s1={"report.txt": b"first\n"}, s2={}, s3={"other.txt": b"first\n"})
    assert network.command("s2", "get report.txt")[0] == 0
    network.wait_indexed("s2")
    (network.folder / "s1/report.txt").write_bytes(b"second, and longer\n")
    root = file_root(b"second, and longer\n")
    wait_until(lambda: network.json("s2", f"find {root}")[0] == 0, network.patience, "the new report to be found")
    code, out, log = network.command("s2", "get report.txt")
    assert code == 1 and "./s2/report.txt exists and differs" in log, (code, out, log)
    code, out, log = network.command("s2", "get report.txt --force")
    assert code == 0, (code, out, log)
    assert (network.folder / "s2/report.txt").read_bytes() == b"second, and longer\n"
    code, out, log = network.command("s2", "get report.txt")
    assert code == 0 and "already there" in out, (code, out, log)


@case("find takes a name as list shows it, and any alphabet, however it is composed")
def _(network):
    hexadecimal = "0123456789abcdef" * 4
    nfd = unicodedata.normalize("NFD", "Zażółć/GĘŚLĄ.txt")
    names = ["[live] song (2020).mp3", hexadecimal, "mapy/łódź.pdf", "Straße.txt", "Ἀθῆναι.txt", "ԵՐԵՎԱՆ.txt", nfd]
    shares(network, s1={name: name.encode() for name in names}, s2={})
    def found(pattern):
        code, told = network.json("s2", f"find '{pattern}'")
        names = [hit["name"] for hit in told[0].get("hits", [])]
        assert code == (0 if names else 1), (code, told)
        return names
    code, told = network.json("s2", "list s1")
    assert code == 0 and sorted(each["name"] for each in told[0]["files"]) == sorted(names), told
    for name in names:
        assert found(name) == [name], (name, found(name))
    for pattern, name in (("ŁÓDŹ", "mapy/łódź.pdf"), ("STRASSE", "Straße.txt"), ("ἈΘΗ͂ΝΑΙ", "Ἀθῆναι.txt"),
                          ("երեվան", "ԵՐԵՎԱՆ.txt"), ("zażółć/gęślą", nfd), ("*/GĘŚLĄ.*", nfd)):
        assert found(pattern) == [name], (pattern, found(pattern))
    code, out, log = network.command("s2", "get 'Zażółć/GĘŚLĄ.txt'")
    assert code == 0 and (network.folder / "s2" / nfd).read_bytes() == nfd.encode(), (code, out, log)


def fetch_that_is_cut(network, change):
    """s2 fetches large.bin from s1, slowly. Calls `change` with its path when a part has come. Returns (code, log)."""
    assert network.command("s1", "limit upload 4M")[0] == 0
    command = [network.program("peer"), "--share", "./s2", "-e", "get large.bin"]
    fetch = subprocess.Popen(command, cwd=network.folder, env=network.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    def some():
        _, told = network.json("s2", "status")
        return fetch.poll() is not None or any(each["incoming"] and each["done"] > 1 << 20
                                               for each in told[0].get("transfers", []))
    wait_until(some, network.patience, "some of it to come")
    change(network.folder / "s1/large.bin")
    out = fetch.communicate(timeout=network.patience)[0].decode("utf-8", "replace")
    return fetch.returncode, out


@case("a file that is truncated or written while it is served is reported as changed, not as a false chunk")
def _(network):
    data = noise(24 << 20, 3)
    shares(network, s1={"large.bin": data}, s2={})
    code, out = fetch_that_is_cut(network, lambda path: os.truncate(path, 1 << 20))
    assert code == 1 and "changed" in out and "damaged" not in out, (code, out)
    (network.folder / "s1/large.bin").write_bytes(data)
    wait_until(lambda: network.json("s2", f"find {file_root(data)}")[0] == 0, network.patience, "the file to be back")
    def write(path):
        with open(path, "r+b") as file:
            file.write(noise(24 << 20, 4))
    code, out = fetch_that_is_cut(network, write)
    assert code == 1 and "changed" in out and "damaged" not in out, (code, out)


@case("if one holder's file changes while it is served, another holder serves it")
def _(network):
    data = noise(24 << 20, 5)
    shares(network, s1={"large.bin": data}, s2={}, s3={"large.bin": data})
    assert network.command("s3", "limit upload 4M")[0] == 0
    code, out = fetch_that_is_cut(network, lambda path: os.truncate(path, 1 << 20))
    assert code == 0 and (network.folder / "s2/large.bin").read_bytes() == data, (code, out)


@case("push takes what list shows: a name, a folder's, a glob")
def _(network):
    network.start_metaserver()
    network.start_peer("s1", files={"notes.txt": b"notes\n", "a/b/one.txt": b"1\n", "a/b/c/two.txt": b"2\n"})
    network.start_peer("s2", "--accept-push", "all", files={})
    network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s1")
    elsewhere = network.folder / "elsewhere"
    elsewhere.mkdir()
    def push(what):
        return network.run(network.program("peer"), "--share", str(network.folder / "s1"), "-e", f"push {what}",
                           cwd=elsewhere)
    for what, arrived in (("notes.txt", "notes.txt"), ("a/b", "b/c/two.txt"), ("'a/*/one.*'", "one.txt")):
        code, out, log = push(what)
        assert code == 0, (what, code, out, log)
        there = [str(path) for path in files_below(network.folder / "s2", relative=True)]
        assert arrived in there, (what, there)
    code, out, log = push("nothing.txt")
    assert code == 74 and "nothing.txt" in log, (code, out, log)
    (elsewhere / "notes.txt").write_bytes(b"of this folder\n")
    code, out, log = push("notes.txt --to s2")  # a path is tried before a name
    assert "15 B" in out, (code, out, log)


if __name__ == "__main__":
    main()
