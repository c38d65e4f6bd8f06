#!/usr/bin/env python3
"""A member that lies about pushes, and floods with offers and ledgers of them."""
import os
import subprocess

from espalier_process import case, main, noise, wait_until
from intruder import ACCEPTED, DECLINED, VERIFIED, Intruder, contact, push_entry, push_file, push_ledger
from intruder import push_offer


def network_of(network, accept):
    """Starts the peers that `accept` names, each with what it says for --accept-push."""
    network.start_metaserver("--max-links", "4")
    for name, whom in accept.items():
        network.start_peer(name, "--accept-push", whom)
    network.wait_for_tree(list(accept))


def in_background(network, sender, command):
    return subprocess.Popen([network.program("peer"), *network.running(sender), "--json", "-e", f"push {command}"],
                            cwd=network.folder, env=network.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def port_of(network, name):
    return int(network.endpoint(name).rsplit(":", 1)[1])


def offered(network, mallory):
    """The id of the push that the intruder was offered."""
    return wait_until(lambda: mallory.offers, network.patience, "the offer")[0]


def warnings(network, name, about="mallory"):
    return [line for line in network.peers[name].log.splitlines() if "warning" in line and about in line]


@case("a peer that declined is never reported as verified, whatever a neighbour's ledger says")
def _(network):
    network_of(network, {"s1": "none", "s2": "none", "s3": "all"})
    network.fill_share("out", {"news.bin": noise(400_000, 1)})
    ports = {name: port_of(network, name) for name in ("s2", "s3")}
    with Intruder(network, "mallory") as mallory:
        push = in_background(network, "s1", "out/news.bin")
        identity = offered(network, mallory)
        about = contact("s2", 2, "127.0.0.1", ports["s2"])
        versions = [min(1024 * step, 1 << 20) for step in range(1, 1025)]
        mallory.send(push_ledger(identity, *(push_entry(about, VERIFIED, version) for version in versions)))
        for version in versions:
            mallory.send(push_ledger(identity, push_entry(about, VERIFIED, version)))
        mallory.send(push_ledger(identity, push_entry(mallory.contact, DECLINED)))
        out, log = push.communicate(timeout=network.patience)
        told = out.splitlines()[-1]
        assert push.returncode == 3, (out, log)
        assert '{"peer":"s2","state":"declined","reason":"takes no pushes"}' in told, told
        assert '{"peer":"s3","state":"verified"}' in told, told

        declined = {"peer": "s2", "state": "declined", "reason": "takes no pushes"}
        wait_until(lambda: all(declined in network.json(name, "push")[1][0]["pushes"][0]["ledger"]
                               for name in ("s1", "s2", "s3")), network.patience, "all to know that s2 declined")
        assert not (network.folder / "s2/news.bin").exists()
        assert all(len(warnings(network, name)) < 5 for name in ("s1", "s2", "s3"))


@case("made-up peers in a ledger keep no newcomer from a push")
def _(network):
    network_of(network, {"s1": "none", "s2": "all"})
    data = noise(100_000, 2)
    network.fill_share("out", {"news.bin": data})
    with Intruder(network, "mallory") as mallory:
        push = in_background(network, "s1", "out/news.bin --wait")
        identity = offered(network, mallory)
        for first in range(0, 17_000, 500):
            mallory.send(push_ledger(identity, *(
                push_entry(contact(f"fake{number}", 100_000 + number, "127.0.0.1", 9), ACCEPTED)
                for number in range(first, first + 500))))
        network.start_peer("s3", "--accept-push", "all")
        for name in ("s2", "s3"):
            path = network.folder / name / "news.bin"
            wait_until(path.exists, network.patience, f"{name} to have it")
            assert path.read_bytes() == data, name
        ledger = network.json("s1", "push")[1][0]["pushes"][0]["ledger"]
        assert len(ledger) < 64, len(ledger)  # Rate::pushNames: 16 at once, then one in four seconds
        assert mallory.lost is None, mallory.lost
        push.terminate()
        push.communicate(timeout=network.patience)
        assert all(len(warnings(network, name)) < 5 for name in ("s1", "s2"))


@case("a flood of offers displaces no honest push, costs no memory and is not passed on")
def _(network):
    network_of(network, {"s1": "none", "s2": "all", "s3": "none"})
    network.fill_share("out", {"news.bin": noise(100_000, 3), "later.bin": noise(100_000, 4)})
    with Intruder(network, "mallory") as mallory:
        push = in_background(network, "s1", "out/news.bin --to s2")
        out, log = push.communicate(timeout=network.patience)
        assert push.returncode == 0, (out, log)
        before = {name: network.peers[name].peak_memory_bytes() for name in ("s1", "s2", "s3")}
        large = [push_file("n%04d" % number + "y" * 60, 1, os.urandom(32)) for number in range(400)]
        ghosts = (contact(f"ghost{number}", 999, "127.0.0.1", 9) for number in range(10_000))
        for _ in range(20):
            mallory.send(push_offer(os.urandom(16), next(ghosts), push_file("x", 1 << 43, os.urandom(32))))
        for _ in range(400):
            mallory.send(push_offer(os.urandom(16), next(ghosts), *large))
        for _ in range(400):
            mallory.send(push_offer(os.urandom(16), next(ghosts), push_file("x", 1 << 43, os.urandom(32))))
        code, told = network.json("s1", "push out/later.bin --to s2")
        assert code == 0 and told[-1]["verified"] == 1, told
        for name in ("s1", "s2"):
            names = [one["files"][0]["name"] for one in network.json(name, "push")[1][0]["pushes"]]
            assert {"news.bin", "later.bin"} <= set(names), (name, names)
        assert mallory.lost is None, mallory.lost
        for name in ("s1", "s2", "s3"):
            grown = network.peers[name].peak_memory_bytes() - before[name]
            assert grown < network.memory_factor * (64 << 20), (name, grown)
            assert len(warnings(network, name)) < 8, warnings(network, name)


@case("only the sender ends its push: a neighbour that says it was cancelled is contradicted")
def _(network):
    network_of(network, {"s1": "none", "s2": "all"})
    data = noise(100_000, 5)
    network.fill_share("out", {"news.bin": data})
    with Intruder(network, "mallory") as mallory:
        push = in_background(network, "s1", "out/news.bin --wait")
        identity = offered(network, mallory)
        mallory.send(push_ledger(identity, end=2))
        network.start_peer("s3", "--accept-push", "all")
        for name in ("s2", "s3"):
            wait_until((network.folder / name / "news.bin").exists, network.patience, f"{name} to have it")
        mallory.send(push_ledger(identity, push_entry(mallory.contact, DECLINED), end=1))
        out, log = push.communicate(timeout=network.patience)
        assert '"verified":2' in out.splitlines()[-1], (out, log)


@case("a source that never answers delays a push and does not stop it")
def _(network):
    network_of(network, {"s1": "none", "s2": "all", "s3": "all"})
    data = noise(3_000_000, 6)
    network.fill_share("out", {"news.bin": data})
    with Intruder(network, "mallory") as mallory:
        push = in_background(network, "s1", "out/news.bin --wait")
        identity = offered(network, mallory)
        mallory.send(push_ledger(identity, push_entry(mallory.contact, VERIFIED)))
        for name in ("s2", "s3"):
            path = network.folder / name / "news.bin"
            wait_until(path.exists, network.patience, f"{name} to have it")
            assert path.read_bytes() == data, name
        push.terminate()
        push.communicate(timeout=network.patience)


if __name__ == "__main__":
    main()
