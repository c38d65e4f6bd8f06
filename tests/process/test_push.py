#!/usr/bin/env python3
"""Pushes in real networks: peers that accept, decline, die or join meanwhile, and the sender's outcome."""
import signal
import subprocess

from espalier_process import case, file_root, main, noise, wait_until


def network_of(network, count, *options):
    network.start_metaserver(*options)
    return network.start_peers(count, "--accept-push", "all")


def pushed(network, sender, command):
    """Pushes; returns (exit code, last object), and checks the form of the events before it."""
    code, told = network.json(sender, f"push {command}")
    for event in told[:-1]:
        assert (event["command"], event["event"]) == ("push", "progress"), event
        assert event["verified"] <= event["peers"], event
    return code, told[-1]


def states(told):
    return {entry["peer"]: entry["state"] for entry in told["ledger"]}


def in_background(network, sender, command):
    return subprocess.Popen([network.program("peer"), *network.running(sender), "--json", "-e", f"push {command}"],
                            cwd=network.folder, env=network.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def parts(network, name):
    return list((network.folder / name / ".espalier/incoming").glob("*.part"))


@case("push sends a file to every peer: the bytes, the ledger, and the share that has it at once")
def _(network):
    network_of(network, 5)
    data = noise(3_000_000, 1)
    (network.folder / "out").mkdir()
    (network.folder / "out/news.bin").write_bytes(data)
    code, told = pushed(network, "s3", "out/news.bin")
    assert code == 0, told
    assert (told["verified"], told["peers"], told["sender"]) == (4, 4, "s3"), told
    assert states(told) == dict.fromkeys(["s1", "s2", "s4", "s5"], "verified"), told
    assert told["files"] == [{"name": "news.bin", "size": len(data), "root": file_root(data)}], told
    for name in ("s1", "s2", "s4", "s5"):
        assert (network.folder / name / "news.bin").read_bytes() == data, name
    code, told = network.json("s1", "find news.bin")
    assert code == 0 and sorted(told[0]["hits"][0]["holders"]) == ["s1", "s2", "s4", "s5"], told


@case("a folder is pushed with all below it, empty files too")
def _(network):
    network_of(network, 3)
    files = {"tree/a.txt": b"a\n", "tree/deep/er/b.bin": noise(300_000, 2), "tree/empty": b"", "lone.txt": b"lone\n"}
    network.fill_share("out", files)
    code, told = pushed(network, "s1", "out/tree out/lone.txt")
    assert code == 0 and told["verified"] == 2, told
    for name in ("s2", "s3"):
        for path, data in files.items():
            assert (network.folder / name / path).read_bytes() == data, (name, path)


@case("a peer declines if it accepts no pushes, no file of this size, or none from this sender: exit code 3")
def _(network):
    network.start_metaserver()
    accept = {"s1": "all", "s2": None, "s3": "s9", "s4": "s1,s9", "s5": "all"}
    for name, whom in accept.items():
        options = ["--accept-push", whom] if whom else []
        if name == "s5":
            options += ["--accept-push-limit", "1K"]
        peer = network.start_peer(name, *options)
        peer.expect_log("joined on")
    network.wait_for_tree(list(accept))
    network.fill_share("out", {"news.bin": noise(5000, 3)})
    code, told = pushed(network, "s1", "out/news.bin")
    assert code == 3, told
    assert states(told) == {"s2": "declined", "s3": "declined", "s4": "verified", "s5": "declined"}, told
    reasons = {entry["peer"]: entry.get("reason") for entry in told["ledger"]}
    assert reasons == {"s2": "takes no pushes", "s3": "takes no pushes from s1", "s4": None,
                       "s5": "takes at most 1.0 kB"}, reasons
    assert told["error"] == {"code": 3, "message": "1 of 4 verified; s2, s3 and s5 declined"}, told
    for name in ("s2", "s3", "s5"):
        assert not (network.folder / name / "news.bin").exists(), name
    code, out, log = network.command("s1", "push out/news.bin")
    assert code == 3 and "1 of 4 verified; s2, s3 and s5 declined" in log, (out, log)
    assert "news.bin: 5.0 kB, verified by 1 of 4 peers in" in out, out


@case("--to pushes to the named ones only; one that is not in the network is out of reach")
def _(network):
    network_of(network, 4)
    network.fill_share("out", {"news.bin": noise(400_000, 4)})
    code, told = pushed(network, "s2", "out/news.bin --to s3 s4")
    assert code == 0 and states(told) == {"s3": "verified", "s4": "verified"}, told
    assert not (network.folder / "s1/news.bin").exists()
    code, told = pushed(network, "s2", "out/news.bin --to s1,s9")
    assert code == 3 and states(told) == {"s1": "verified", "s9": "out of reach"}, told


@case("--wait waits for a peer that is not there yet")
def _(network):
    network_of(network, 2)
    network.fill_share("out", {"news.bin": noise(400_000, 5)})
    push = in_background(network, "s1", "out/news.bin --to s3 --wait")
    wait_until(lambda: network.json("s2", "push")[1][0]["pushes"], network.patience, "the push to be known")
    network.start_peer("s3", "--accept-push", "all")
    out, log = push.communicate(timeout=network.patience)
    assert push.returncode == 0, (out, log)
    assert (network.folder / "s3/news.bin").read_bytes() == noise(400_000, 5)


@case("an existing different file is left alone: the peer failed, with that reason")
def _(network):
    network_of(network, 3)
    network.fill_share("s2", {"news.bin": b"mine\n"})
    network.fill_share("out", {"news.bin": noise(400_000, 6)})
    code, told = pushed(network, "s1", "out/news.bin")
    assert code == 3 and states(told) == {"s2": "failed", "s3": "verified"}, told
    assert told["ledger"][0]["reason"] == "news.bin exists and differs", told
    assert (network.folder / "s2/news.bin").read_bytes() == b"mine\n"


@case("a second push of the same file transfers nothing")
def _(network):
    network_of(network, 3)
    network.fill_share("out", {"news.bin": noise(400_000, 7)})
    assert pushed(network, "s1", "out/news.bin")[0] == 0
    code, told = pushed(network, "s2", "out/news.bin")
    assert code == 0 and states(told) == {"s1": "verified", "s3": "verified"}, told


@case("a peer that is killed while it receives a push is bypassed, and gets the rest when it is back")
def _(network):
    network_of(network, 5)
    data = noise(60_000_000, 8)
    network.fill_share("out", {"news.bin": data})
    push = in_background(network, "s1", "out/news.bin --wait")
    wait_until(lambda: parts(network, "s3"), network.patience, "s3 to take something")
    network.peers["s3"].kill()
    for name in ("s2", "s4", "s5"):
        path = network.folder / name / "news.bin"
        wait_until(path.exists, network.patience, f"{name} to have it")
        assert path.read_bytes() == data, name
    network.restart_peer("s3")
    out, log = push.communicate(timeout=network.patience)
    assert push.returncode == 0, (out, log)
    assert (network.folder / "s3/news.bin").read_bytes() == data


@case("a peer that joins while a push goes on gets it, too")
def _(network):
    network_of(network, 3)
    data = noise(60_000_000, 9)
    network.fill_share("out", {"news.bin": data})
    push = in_background(network, "s1", "out/news.bin --wait")
    wait_until(lambda: parts(network, "s3"), network.patience, "s3 to take something")
    network.peers["s2"].send(signal.SIGSTOP)  # so that the push does not end before the joiner is there
    network.start_peer("s9", "--accept-push", "all")
    wait_until(lambda: "s9" in network.topo(), network.patience, "s9 in topo.txt")
    network.peers["s2"].send(signal.SIGCONT)
    out, log = push.communicate(timeout=network.patience)
    assert push.returncode == 0, (out, log)
    for name in ("s2", "s3", "s9"):
        assert (network.folder / name / "news.bin").read_bytes() == data, name


@case("the sender may leave as soon as another peer has everything, and any neighbour knows the ledger")
def _(network):
    network_of(network, 3)
    data = noise(400_000, 10)
    network.fill_share("out", {"news.bin": data})
    push = in_background(network, "s1", "out/news.bin --to s2 s9 --wait")
    wait_until((network.folder / "s2/news.bin").exists, network.patience, "s2 to have it")
    wait_until(lambda: network.json("s3", "push")[1][0]["pushes"][0]["verified"] == 1, network.patience,
               "s3 to know that s2 has it")
    assert network.peers["s1"].end() == 0
    push.communicate(timeout=network.patience)
    network.start_peer("s9", "--accept-push", "all")
    wait_until((network.folder / "s9/news.bin").exists, network.patience, "s9 to have it")
    assert (network.folder / "s9/news.bin").read_bytes() == data


@case("a push that is interrupted before any peer has everything is cancelled")
def _(network):
    network_of(network, 2)
    network.fill_share("out", {"news.bin": noise(400_000, 11)})
    network.peers["s2"].send(signal.SIGSTOP)
    push = in_background(network, "s1", "out/news.bin")
    wait_until(lambda: network.json("s1", "push")[1][0]["pushes"], network.patience, "the push to be known")
    push.send_signal(signal.SIGINT)
    out, log = push.communicate(timeout=network.patience)
    assert push.returncode == 130 and "the push is cancelled" in out, (out, log)
    network.peers["s2"].send(signal.SIGCONT)
    wait_until(lambda: network.json("s2", "push")[0] == 0, network.patience, "s2 to answer")


@case("push without a file, or without another peer, is an error")
def _(network):
    network_of(network, 1)
    network.fill_share("out", {"news.bin": b"news\n"})
    code, told = network.json("s1", "push out/nothing.bin")
    assert code == 74 and "cannot push" in told[0]["error"]["message"], told
    code, told = pushed(network, "s1", "out/news.bin")
    assert code == 1 and told["error"]["message"] == "no other peer is in the network", told
    code, told = network.json("s1", "push --to s2")
    assert code == 64, told
    assert network.json("s1", "push") == (0, [{"command": "push", "pushes": []}]) or \
        network.json("s1", "push")[1][0]["pushes"][0]["peers"] == 0


if __name__ == "__main__":
    main()
