#!/usr/bin/env python3
"""Large quantities: searches for everything over many peers, files beyond four gigabytes.

./check runs them with moderate sizes. In full: ESPALIER_TEST_FILES=10000 (files of each of 64 peers) and
ESPALIER_TEST_FILE_BYTES=10737418240 (a file of 10 GiB; needs twice that on the disk of TMPDIR)."""
import os
import subprocess
import sys
import time

from espalier_process import case, main, wait_until

MEMORY_BYTES = 96 << 20  # for a peer with 10,000 files, which keeps 20,000 hits of others


def fill(folder, name, count):
    """Makes `count` files with different names. The first have different contents; the rest are links to one file."""
    for number in range(count):
        path = folder / f"{name}-{number:05}.txt"
        if number <= 250:
            path.write_text(f"{number} of {name}\n")
        else:
            os.link(folder / f"{name}-00250.txt", path)


@case("find '*' over 64 peers with very many files each: bounded, complete, no link lost, and the rest is counted")
def _(network):
    peers, count = 64, int(os.environ.get("ESPALIER_TEST_FILES", "400"))
    network.start_metaserver()
    names = [f"s{number}" for number in range(1, peers + 1)]
    for name in names:
        fill(network.memory_folder(name), name, count)
        network.start_peer(name, files={})
    network.wait_for_tree(names)
    for name in names:
        wait_until(lambda name=name: network.json(name, "status")[1][0]["files"] == count, 4 * network.patience,
                   f"{name} to know its files")
    before = network.topo()
    for asker in (names[0], names[-1]):
        started = time.monotonic()
        code, told = network.json(asker, "find '*'")
        assert code == 0, (code, told)
        found = told[0]
        holders = set().union(*(hit["holders"] for hit in found["hits"]))
        copies = sum(len(hit["holders"]) for hit in found["hits"])
        print(f"        {asker}: {found['searched']} of {found['peers']} peers, {copies} of {peers * count} files, "
              f"{found.get('more', 0)} more, {time.monotonic() - started:.1f} s")
        assert (found["searched"], found["peers"], found["missing"]) == (peers, peers, []), found["missing"]
        assert copies <= 20_000, copies
        # Hits of one root are merged: several names of the same content at one peer count once.
        assert holders == set(names), set(names) - holders
        assert copies + found.get("more", 0) == peers * count, (copies, found.get("more"))
    for name in names:
        peer = network.peers[name]
        assert "the link to" not in peer.log, peer.log[-2000:]
        assert peer.peak_memory_bytes() < network.memory_factor * MEMORY_BYTES, peer.peak_memory_bytes()
    assert network.topo() == before
    wanted = f"{names[-1]}-00007.txt"
    code, told = network.json(names[1], f"get {wanted}")
    assert code == 0 and (network.folder / names[1] / wanted).read_text() == f"7 of {names[-1]}\n", told


@case("a file of more bytes than 32 bits can count arrives whole")
def _(network):
    size = int(os.environ.get("ESPALIER_TEST_FILE_BYTES", "0"))
    if size == 0:
        print("        left out: set ESPALIER_TEST_FILE_BYTES to, say, 10737418240")
        return
    network.start_metaserver()
    share = network.fill_share("s1", {})
    with open(share / "large.bin", "wb") as file:
        file.truncate(size)
        for at in range(0, size, 64 << 20):
            file.seek(at + 12345)
            file.write(b"at %d" % at)
    started = time.monotonic()
    network.start_peer("s1", files={})
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])
    wait_until(lambda: network.json("s1", "status")[1][0]["files"] == 1, 20 * network.patience, "the file to be hashed")
    hashed = time.monotonic()
    network.patience *= 20
    code, told = network.json("s2", "get large.bin")
    print(f"        hashed in {hashed - started:.1f} s, fetched in {time.monotonic() - hashed:.1f} s")
    assert code == 0 and told[0]["files"][0]["size"] == size, (code, told)
    subprocess.run(["cmp", share / "large.bin", network.folder / "s2/large.bin"], check=True)


if __name__ == "__main__":
    sys.exit(main())
