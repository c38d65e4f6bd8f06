#!/usr/bin/env python3
"""A member that lies in its answers to searches: about what was asked for, other peers, sizes and roots."""
import hashlib
import os
import sys

from espalier_process import case, file_root, files_below, main
from intruder import PATH, Intruder, field, hit, holder, message, varint

CLOSED = "127.0.0.1:9"  # no program listens there


def network_of(network, count):
    """Starts s1 … sN, each with fN.txt, with free slots for a liar."""
    network.start_metaserver("--max-links", "4")
    names = [f"s{number}" for number in range(1, count + 1)]
    for number, name in enumerate(names, 1):
        network.start_peer(name, files={f"f{number}.txt": b"the content of %d\n" % number})
    network.wait_for_tree(names)
    for name in names:
        network.wait_indexed(name)
    return names


def root_of(data):
    return bytes.fromhex(file_root(data))


def saved(network, name):
    """The files of a peer's folder without its state: {name: size}."""
    folder = network.folder / name
    return {str(path): status.st_size for path, status in files_below(folder, relative=True).items()
            if ".espalier" not in path.parts}


@case("a get saves only matching files, whatever else a member offers")
def _(network):
    names = network_of(network, 3)
    payload = os.urandom(3 << 20)
    network.start_peer("s4", files={"payload": payload, "f4.txt": b"4\n"})
    network.wait_for_tree([*names, "s4"])
    network.wait_indexed("s4")
    real = holder("mallory", network.endpoint("s4"))
    offered = [".ssh/authorized_keys", ".profile", "payload", "F1.txt", "f1.txt/x", "sub/f1.txt", "f1.txt.exe"]

    def hits(kind, text):
        return [[real, *(hit(name, len(payload), root_of(payload)) for name in offered)]]
    with Intruder(network, "mallory", hits=hits) as mallory:
        before = saved(network, "s2")
        code, out, log = network.command("s2", "get f1.txt")
        assert code == 0, (code, out, log)
        code, out, log = network.command("s2", "get 'f[3].txt'")
        assert code == 0, (code, out, log)
        now = saved(network, "s2")
        assert set(now) - set(before) == {"f1.txt", "f3.txt"}, now
        found = network.json("s3", "find f1.txt")[1][0]["hits"]
        assert {one["name"] for one in found} <= {"f1.txt", "sub/f1.txt", "f1.txt.exe", "F1.txt", "f1.txt/x"}, found
        network.peers[mallory.parent].expect_log("mallory offered a file that the search does not match: ignored")
        told = [line for line in network.peers[mallory.parent].log.splitlines() if "mallory" in line]
        assert len(told) < 10, told
        assert mallory.lost is None, mallory.lost


@case("false hits and endpoints in the name of another peer hide none of its files")
def _(network):
    names = network_of(network, 6)
    data = (network.folder / "s6/f6.txt").read_bytes()
    wrong = [holder("s6", "0.0.0.0:9"), holder("s6", CLOSED), holder("s6", "255.255.255.255:9")]

    def hits(kind, text):
        junk = [hit("f6.txt" if kind == PATH else f"f6.txt{number}", 1, hashlib.sha256(b"%d" % number).digest())
                for number in range(600)]
        if kind == PATH:
            junk = [hit("f6.txt", len(data), root_of(data), place) for place in range(3)]
        return [[*wrong, *junk[start:start + 200]] for start in range(0, len(junk), 200)]
    with Intruder(network, "mallory", hits=hits) as mallory:
        for name in names[:-1]:
            found = network.json(name, "find f6.txt")[1][0]["hits"]
            # Peers that have fetched the file hold it, too. Each id is listed once, with whatever endpoints.
            holders = [one["holders"] for one in found if one["root"] == file_root(data)]
            assert len(holders) == 1 and holders[0].count("s6") == 1, (name, len(found), holders)
            code, out, log = network.command(name, "get f6.txt")
            assert code == 0 and (network.folder / name / "f6.txt").read_bytes() == data, (name, code, out, log)
        assert mallory.lost is None, mallory.lost


@case("made-up join orders and missing peers hide nobody who has answered")
def _(network):
    names = network_of(network, 6)

    def hits(kind, text):
        def orders(part):  # two numbers a range: the distance from the last one, and the further orders in it
            first = 1_000 + part * 20_000
            return field(4, varint(first) + b"\0" + (varint(2) + b"\0") * 4095)
        named = [field(5, message(f"a{number}".encode(), 5_000 + number, 9)) for number in range(60)]
        named += [field(5, message(name.encode(), 9_000, 9)) for name in names]
        more = [field(7, message(name.encode(), 1 << 32)) for name in names]
        return [*([orders(part)] for part in range(5)), named, more]
    with Intruder(network, "mallory", hits=hits) as mallory:
        for name in names:
            found = network.json(name, "find f*.txt")[1][0]
            assert (found["searched"], found["peers"], found["missing"]) == (7, 7, []), (name, found)
            assert {one["name"] for one in found["hits"]} == {f"f{number}.txt" for number in range(1, 7)}, found
        assert mallory.lost is None, mallory.lost


@case("an empty file with a root, and one of 16 TiB, are not saved, and do not hide the right one")
def _(network):
    names = network_of(network, 3)
    data = (network.folder / "s3/f3.txt").read_bytes()
    with_listener = {}

    def hits(kind, text):
        own = holder("mallory", with_listener["endpoint"])
        sizes = [0, 1, len(data) + 1, 1 << 20, (1 << 20) + 1, 1 << 44]
        return [[own, *(hit("f3.txt", size, root_of(data)) for size in sizes), hit("f9.txt", 0, root_of(b"9\n"))]]
    with_listener["endpoint"] = CLOSED
    with Intruder(network, "mallory", hits=hits) as mallory:
        port = mallory.listener.getsockname()[1]
        with_listener["endpoint"] = f"127.0.0.1:{port}"
        mallory.listener.close()  # connections to it are refused
        code, out, log = network.command("s2", "get f3.txt")
        assert code == 0 and (network.folder / "s2/f3.txt").read_bytes() == data, (code, out, log)
        code, out, log = network.command("s2", "get f9.txt")
        assert code != 0 and "room" not in log, (code, out, log)
        assert not (network.folder / "s2/f9.txt").exists()
        assert {one["size"] for one in network.json("s1", "find f3.txt")[1][0]["hits"]} >= {len(data)}
        assert mallory.lost is None, mallory.lost


if __name__ == "__main__":
    sys.exit(main())
