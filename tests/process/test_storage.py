#!/usr/bin/env python3
"""Full disks, folders that disappear or cannot be read, large shares: messages, exit codes, nothing lost."""
import os
import pathlib
import shutil
import sys
import time

from espalier_process import case, file_root, main, noise, text_of, wait_until


@case("a full disk at topo.txt is logged once and does not stop the service")
def _(network):
    disk = network.small_disk("disk", "64k")
    if disk is None:
        return
    network.start_metaserver("--topo", "disk/topo.txt", "--count-file", "disk/count.txt")
    network.start_peer("s1")
    wait_until(lambda: text_of(disk / "topo.txt") == "s1:\n", network.patience, "s1 in topo.txt")
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    for name in ("s2", "s3"):
        network.start_peer(name)
        network.peers[name].expect_log("linked to s1")
    code, told = network.json("s3", "find '*'")
    assert code == 0 and told[0]["searched"] == 3, told
    assert text_of(disk / "topo.txt") == "s1:\n"  # complete, but of before
    network.metaserver.expect_log(r"disk/topo\.txt.*No space left")
    told = [line for line in network.metaserver.log.splitlines() if "disk/topo.txt" in line and "ready" not in line]
    assert len(told) == 1 and "No space left" in told[0], told
    filler.unlink()  # without any other event the file is brought up to date
    wait_until(lambda: "s3" in text_of(disk / "topo.txt"), network.patience, "s3 in topo.txt")
    network.metaserver.expect_log(r"disk/topo.txt can be written again")
    assert network.metaserver.end() == 0


@case("a full disk at the downloads exits with 74, leaves no partial file, and the peer goes on")
def _(network):
    disk = network.small_disk("disk", "2m")
    if disk is None:
        return
    network.start_metaserver()
    data = noise(8 * 1024 * 1024)
    network.start_peer("s1", files={"large.bin": data, "small.txt": b"small\n"})
    network.wait_for_tree(["s1"])
    network.start_peer("s2", "--downloads", "disk")
    network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s1")
    code, out, log = network.command("s2", "get large.bin")
    assert code == 74 and "no room for 8.4 MB: the disk is full" in log, (code, out, log)
    assert [path.name for path in disk.iterdir() if not path.name.startswith(".")] == []
    code, out, log = network.command("s2", "get small.txt")
    assert code == 0 and (disk / "small.txt").read_bytes() == b"small\n", (code, out, log)
    code, out, log = network.command("s2", f"get large.bin -o {network.folder}/large.bin")
    assert code == 0 and (network.folder / "large.bin").read_bytes() == data, (code, out, log)


@case("without write permission get exits with 74 and says so")
def _(network):
    network.start_metaserver()
    network.start_peer("s1")
    network.wait_for_tree(["s1"])
    network.fill_share("s2", {})
    (network.folder / "locked").mkdir()
    network.start_peer("s2", "--downloads", "locked", may=network.without_privileges())
    os.chmod(network.folder / "locked", 0o555)
    network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s1")
    code, out, log = network.command("s2", "get f3.txt")
    assert code == 74 and "locked" in log and "Permission denied" in log, (code, out, log)
    assert not list((network.folder / "locked").iterdir())


@case("unreadable files are not shared, and reported; the rest is shared")
def _(network):
    network.start_metaserver()
    folder = network.fill_share("s1", {"open.txt": b"open\n", "closed.txt": b"closed\n", "cellar/deep.txt": b"deep\n"})
    os.chmod(folder / "closed.txt", 0o000)
    os.chmod(folder / "cellar", 0o000)
    network.start_peer("s1", files={}, may=network.without_privileges())
    network.wait_for_tree(["s1"])
    network.peers["s1"].expect_log("not shared, because it cannot be read")
    def listed():
        return [file["name"] for file in network.json("s1", "list")[1][0]["files"]]
    wait_until(lambda: listed() == ["open.txt"], network.patience, lambda: f"only open.txt: {listed()}")
    os.chmod(folder / "cellar", 0o755)


@case("a state folder without write permission exits with 74 and a hint")
def _(network):
    network.start_metaserver()
    folder = network.fill_share("s1")
    os.chmod(folder, 0o555)
    peer = network.start_peer("s1", files={}, may=network.without_privileges())
    assert peer.process.wait(network.patience) == 74, peer.log
    assert "./s1/.espalier" in peer.log and "--state" in peer.log, peer.log
    del network.peers["s1"]


@case("a share that disappears and comes back: nothing is served meanwhile, and the peer stays a member")
def _(network):
    network.start_metaserver()
    network.states["s1"] = "state1"  # or it would disappear with the share
    network.start_peer("s1", "--state", "state1", files={"a.txt": b"apple\n"})
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s1")
    (network.folder / "s1").rename(network.folder / "away")
    network.peers["s1"].expect_log(r"/s1 is not there: nothing of it is shared until it is")
    def found():
        return [hit["name"] for hit in network.json("s2", "find a.txt")[1][0].get("hits", [])]
    wait_until(lambda: found() == [], network.patience, "nothing to be found")
    code, out, log = network.command("s2", f"get {file_root(b'apple' + bytes([10]))}")
    assert code == 1, (code, out, log)
    (network.folder / "away").rename(network.folder / "s1")
    network.peers["s1"].expect_log(r"/s1 is there again")
    wait_until(lambda: found() == ["a.txt"], network.patience, "a.txt to be found again")
    network.wait_for_tree(["s1", "s2"])


@case("a restart of a peer hashes nothing again")
def _(network):
    network.start_metaserver()
    network.fill_share("s1", {f"f{number}.bin": noise(100_000, number) for number in range(50)})
    network.start_peer("s1", files={})
    network.wait_for_tree(["s1"])
    network.wait_indexed("s1")
    before = network.json("s1", "list")[1][0]["files"]
    assert network.peers["s1"].end() == 0
    peer = network.restart_peer("s1")
    network.wait_for_tree(["s1"])
    network.wait_indexed("s1")
    assert network.json("s1", "list")[1][0]["files"] == before
    io = dict(line.split(": ") for line in pathlib.Path(f"/proc/{peer.process.pid}/io").read_text().splitlines())
    assert int(io["rchar"]) < 50 * 100_000, io  # all reads since its start


@case("with very many small files a peer joins and answers while it indexes")
def _(network):
    count = int(os.environ.get("ESPALIER_TEST_FILES", "20000"))
    network.start_metaserver()
    network.start_peer("s2")
    network.wait_for_tree(["s2"])
    share = network.memory_folder("s1")
    for number in range(count):
        if number % 1000 == 0:
            (share / f"d{number // 1000}").mkdir()
        (share / f"d{number // 1000}/f{number}.txt").write_bytes(b"%d\n" % number)
    started = time.monotonic()
    peer = network.start_peer("s1", files={})
    network.wait_for_tree(["s2", "s1"])
    print(f"        joined after {time.monotonic() - started:.2f} s")
    answers = []
    def complete():
        code, told = network.json("s2", f"find f{count - 1}.txt")
        assert told[0]["searched"] == 2, told  # it answered
        answers.append(told[0].get("indexing", []))
        return code == 0 and not answers[-1]
    wait_until(complete, 4 * network.patience, lambda: f"the last file to be found: {peer.log[-500:]}")
    print(f"        {answers.count(['s1'])} of {len(answers)} answers came while it indexed; "
          f"{count} files after {time.monotonic() - started:.1f} s")
    code, told = network.json("s2", f"get d0/f7.txt")
    assert code == 0 and (network.folder / "s2/d0/f7.txt").read_bytes() == b"7\n", told
    code, told = network.json("s1", "status")
    assert told[0]["files"] == count and told[0]["toIndex"] == 0, told


@case("a share of the sample files is not touched by serving it")
def _(network):
    network.start_metaserver()
    network.start_peers(2)
    network.wait_indexed("s2")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (network.folder / "s2").iterdir()
              if path.is_file()}
    assert network.command("s1", "get big.bin")[0] == 0
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (network.folder / "s2").iterdir()
             if path.is_file()}
    assert before == after and pathlib.Path(network.folder / "s1/big.bin").exists()
    shutil.rmtree(network.folder / "s1/.espalier/incoming", ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
