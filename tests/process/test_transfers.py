#!/usr/bin/env python3
"""Long transfers: peers that help each other, rates, pause, resume and cancel, commands in the background."""
import json
import os
import subprocess

from espalier_process import case, main, noise, wait_until

MIB = 1 << 20


def two(network, *options):
    """Starts s1 with film.bin and s2 without it; `options` are those of s1."""
    network.start_metaserver()
    network.start_peer("s1", *options, files={"film.bin": noise(12 * MIB, 1)})
    network.start_peer("s2", files={})
    for name in ("s1", "s2"):
        network.wait_indexed(name)


def in_background(network, name, command):
    return subprocess.Popen([network.program("peer"), *network.running(name), "--json", "-e", command],
                            cwd=network.folder, env=network.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def ended(started, patience):
    """(exit code, last object) of a background command; checks the form of the events before it."""
    out, _ = started.communicate(timeout=patience)
    told = [json.loads(line) for line in out.splitlines()]
    for event in told[:-1]:
        assert (event["command"], event["event"]) == ("get", "progress") and event["done"] <= event["size"], event
    return started.returncode, told[-1]


def transfers(network, name, incoming=True):
    _, told = network.json(name, "status")
    return [each for each in told[0]["transfers"] if each["incoming"] == incoming]


def wait_for_bytes(network, name, count):
    wait_until(lambda: any(each["done"] >= count for each in transfers(network, name)), network.patience,
               f"{count} bytes at {name}")


@case("a peer that fetches a file serves the chunks that it has to others that fetch it")
def _(network):
    two(network, "--upload-rate", "3M")
    network.start_peer("s3", files={})
    first = in_background(network, "s2", "get film.bin")
    wait_for_bytes(network, "s2", 2 * MIB)
    # A search for the root lists the peers that have a part.
    root = network.json("s3", "find film.bin")[1][0]["hits"][0]["root"]
    found = network.json("s3", f"find {root}")[1][0]["hits"]
    assert any((hit["name"], hit.get("partial")) == ("film.bin", ["s2"]) for hit in found), found
    assert all("s2" not in hit["holders"] for hit in found), found
    second = in_background(network, "s3", "get film.bin")
    results = {"s2": ended(first, network.patience), "s3": ended(second, network.patience)}
    for name, (code, told) in results.items():
        assert code == 0, (name, told)
        assert (network.folder / name / "film.bin").read_bytes() == noise(12 * MIB, 1), name
    sources = {name: told["files"][0]["sources"] for name, (_, told) in results.items()}
    assert "s2" in sources["s3"] or "s3" in sources["s2"], sources


@case("a download is paused and resumed, and follows a rate that is changed meanwhile")
def _(network):
    two(network, "--upload-rate", "1M")
    started = in_background(network, "s2", "get film.bin")
    wait_for_bytes(network, "s2", 2 * MIB)
    [shown] = transfers(network, "s2")
    assert shown["name"] == "film.bin" and shown["sources"] == ["s1"] and shown["rate"] > 0, shown
    [served] = transfers(network, "s1", incoming=False)
    assert served["name"] == "film.bin" and served["done"] > 0 and served["to"] == "127.0.0.1", served
    code, told = network.json("s2", f"pause {shown['number']}")
    assert code == 0 and told[0]["transfers"][0]["state"] == "paused", told
    wait_until(lambda: transfers(network, "s1", incoming=False) == [], network.patience, "s1 to serve nobody")
    [paused] = transfers(network, "s2")
    assert paused["state"] == "paused" and paused["rate"] == 0, paused
    assert network.json("s1", "limit upload none") == (0, [{"command": "limit", "upload": 0, "download": 0}])
    assert started.poll() is None
    assert network.json("s2", "resume")[0] == 0
    code, told = ended(started, network.patience)
    assert code == 0 and told["files"][0]["size"] == 12 * MIB, told
    assert (network.folder / "s2/film.bin").read_bytes() == noise(12 * MIB, 1)
    assert transfers(network, "s2") == []


@case("a cancelled download ends with 130, and the next get continues it")
def _(network):
    two(network, "--upload-rate", "1M")
    started = in_background(network, "s2", "get film.bin")
    wait_for_bytes(network, "s2", 2 * MIB)
    code, told = network.json("s2", "cancel 7")
    assert code == 1 and "no download 7" in told[0]["error"]["message"], told
    number = transfers(network, "s2")[0]["number"]
    assert network.json("s2", f"cancel {number}")[0] == 0
    code, told = ended(started, network.patience)
    assert code == 130 and told["error"]["message"] == "cancelled", told
    assert not (network.folder / "s2/film.bin").exists()
    sent = network.json("s1", "status")[1][0]["sent"]
    assert network.command("s1", "limit upload none")[0] == 0
    assert network.command("s2", "get film.bin")[0] == 0
    assert (network.folder / "s2/film.bin").read_bytes() == noise(12 * MIB, 1)
    more = network.json("s1", "status")[1][0]["sent"] - sent
    assert more <= 11 * MIB, more  # a chunk that was in flight at the cancel


@case("a folder that is fetched is paused and resumed as one")
def _(network):
    files = {f"many/{i}.bin": noise(40_000, i) for i in range(200)}
    network.start_metaserver()
    network.start_peer("s1", "--upload-rate", "1M", files=files)
    network.start_peer("s2", files={})
    for name in ("s1", "s2"):
        network.wait_indexed(name)
    started = in_background(network, "s2", "get many/")
    wait_until(lambda: transfers(network, "s2"), network.patience, "the download to begin")
    assert network.json("s2", "pause")[0] == 0
    assert network.command("s1", "limit upload none")[0] == 0
    assert started.poll() is None
    assert network.json("s2", "resume")[0] == 0
    code, told = ended(started, network.patience)
    assert code == 0 and len(told["files"]) == 200, told
    for name, data in files.items():
        assert (network.folder / "s2" / name).read_bytes() == data, name


@case("a limit slows a download down, and wrong rates are refused")
def _(network):
    two(network)
    assert network.command("s2", "limit download 10K")[0] == 0  # twenty minutes for the file
    started = in_background(network, "s2", "get film.bin")
    wait_until(lambda: transfers(network, "s1", incoming=False), network.patience, "s1 to serve")
    assert started.poll() is None
    assert network.command("s2", "limit download none")[0] == 0
    code, told = ended(started, network.patience)
    assert code == 0 and (network.folder / "s2/film.bin").read_bytes() == noise(12 * MIB, 1), told
    for wrong in ("limit download 3", "limit download fast", "limit sideways 3M", "limit upload"):
        assert network.command("s2", wrong)[0] == 64, wrong
    alone = network.run(network.program("peer"), "--id", "s9", "--upload-rate", "3", "-e", "status")
    assert alone[0] == 64, alone


@case("with & a command runs in the background, and the prompt takes others")
def _(network):
    network.start_metaserver()
    network.start_peer("s1", "--upload-rate", "1M", files={"film.bin": noise(12 * MIB, 1)})
    network.wait_indexed("s1")
    network.fill_share("s2", {})
    terminal = network.terminal(network.program("peer"), *network.peer_command("s2")[1:])
    terminal.prompt("s2> ")
    terminal.type("get film.bin &")
    terminal.prompt("s2> ")
    wait_for_bytes(network, "s2", MIB)
    terminal.type("status")
    terminal.expect(r"fetching 1 +film\.bin: \d+ % of 12\.6 MB.*")
    terminal.type("pause 1")
    terminal.expect(r"1  film\.bin: paused")
    terminal.type("resume")
    terminal.expect(r"1  film\.bin: goes on")
    assert network.command("s1", "limit upload none")[0] == 0
    terminal.expect(r"film\.bin: 12\.6 MB from s1, verified, saved as \S*s2/film\.bin.*")
    assert os.path.getsize(network.folder / "s2/film.bin") == 12 * MIB
    terminal.type("get film.bin &")
    terminal.type("stop")
    terminal.end()


main()
