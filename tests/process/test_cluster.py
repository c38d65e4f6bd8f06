#!/usr/bin/env python3
"""Several metaservers are one network: one tree through all doors, whoever dies, stops or comes back."""
import json
import re
import signal
import subprocess
import time

from cluster import Cluster
from espalier_process import Process, case, main, noise, text_of, wait_until

MIB = 1 << 20


def endpoints(network, names):
    return {name: network.json(name, "status")[1][0]["endpoint"] for name in names}


def cluster_peer(cluster, server, id, share):
    """The command of a peer with that id, and another key than the one of before."""
    cluster.network.fill_share(share, {})
    return [cluster.network.program("peer"), "--id", id, "--share", f"./{share}", "--metaserver",
            cluster.address(server), "--headless"]


def finds_all(network, asker, count):
    code, told = network.json(asker, "find '*'")
    return code == 0 and told[0]["searched"] == told[0]["peers"] == count


@case("three metaservers link, elect the oldest, and peers at all of them make one tree, the same in each topo.txt")
def _(network):
    cluster = Cluster(network, 3).start()
    assert cluster.wait_for_master() == "m0"
    code, out, log = cluster.command("m0", "master")
    assert code == 0 and "m0 is the master (epoch 1, oldest first)" in out, (out, log)
    code, out, log = cluster.command("m2", "-m")
    assert code == 0 and f"the master is m0 on {cluster.address('m0')}" in out, (out, log)
    names = cluster.start_peers(6)
    assert list(cluster.wait_for_tree(names)) == names
    def peers():
        return [server["peers"] for server in cluster.told("m1", "servers")["servers"]]
    wait_until(lambda: peers() == [2, 2, 2], network.patience, lambda: f"two peers at each: {peers()}")
    for name in names:
        network.wait_indexed(name)
    assert finds_all(network, "s6", 6)
    ports = [int(endpoint.rsplit(":", 1)[1]) for endpoint in endpoints(network, names).values()]
    assert not {int(cluster.port(name)) for name in cluster.names} & set(ports), ports


@case("the master is killed: all peers go on with id, port and links, a transfer goes on, newcomers join")
def _(network):
    cluster = Cluster(network, 3).start()
    cluster.wait_for_master("m0")
    network.fill_share("s1", {"film.bin": noise(12 * MIB, 1)})
    names = cluster.start_peers(6, "--upload-rate", "2M")
    before, where = cluster.wait_for_tree(names), endpoints(network, names)
    network.wait_indexed("s1")
    get = subprocess.Popen([network.program("peer"), "--share", "./s6", "--json", "-e", "get film.bin"],
                           cwd=network.folder, env=network.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    def running():
        transfers = network.json("s6", "status")[1][0]["transfers"]
        return any(each["incoming"] and each["done"] > MIB for each in transfers)
    wait_until(running, network.patience, "the transfer to run")
    for dead, heir in (("m0", "m1"), ("m1", None)):
        cluster.servers[dead].kill()
        if heir:
            assert cluster.wait_for_master() == heir
        newcomer = f"n{dead}"
        cluster.start_peer(newcomer, "m2", files={})
        names.append(newcomer)
        tree = cluster.wait_for_tree(names)
        assert {name: [each for each in tree[name] if each in before] for name in before} == before
        for name in where:
            wait_until(lambda name=name: cluster.home(name) in map(cluster.address, cluster.living), network.patience,
                       f"{name} at another home")
        assert endpoints(network, list(where)) == where
    code, out, _ = cluster.command("m2", "master")
    assert "no master: m2 is alone" in out, out
    assert get.poll() is None or get.returncode == 0
    out, _ = get.communicate(timeout=network.patience)
    assert get.returncode == 0 and json.loads(out.splitlines()[-1])["files"][0]["size"] == 12 * MIB, out
    for name in where:
        assert "newcomer" not in network.peers[name].log, network.peers[name].log
    wait_until(lambda: finds_all(network, "s2", len(names)), network.patience, "a complete search")


@case("a master that stands still is replaced; when it goes on, it leads again by its rank, and nothing is lost")
def _(network):
    cluster = Cluster(network, 3).start()
    cluster.wait_for_master("m0")
    names = cluster.start_peers(5)
    before = cluster.wait_for_tree(names)
    cluster.servers["m0"].send(signal.SIGSTOP)
    assert wait_until(lambda: cluster.told("m1", "master")["master"] == "m1", network.patience, "m1 as the master")
    cluster.start_peer("n1", "m2", files={})
    network.peers["n1"].expect_log("joined")
    time.sleep(6.5)  # the others have closed their connections to it
    cluster.servers["m0"].send(signal.SIGCONT)
    code, out, log = cluster.command("m0", "master")
    asks = r"no master: m0 was the master until it stood still for \d.*, and asks the others"
    assert code == 0 and re.fullmatch(asks + r"|m0 is the master .epoch [3-9].*|the master is m1 .*", out.strip()), out
    assert cluster.wait_for_master() == "m0"
    tree = cluster.wait_for_tree([*names, "n1"])
    assert {name: [each for each in tree[name] if each != "n1"] for name in names} == before
    epochs = {cluster.told(name, "master")["epoch"] for name in cluster.names}
    assert len(epochs) == 1 and epochs.pop() >= 3


@case("of two peers that got one id on two sides of a cut one goes on as ID~2; their transfers go on")
def _(network):
    cluster = Cluster(network, 2).start()
    cluster.wait_for_master("m0")
    network.fill_share("s1", {"film.bin": noise(4 * MIB, 4)})
    cluster.start_peers(2)
    network.wait_indexed("s1")
    # Each side alone: first one metaserver stands still, then the other.
    cluster.servers["m1"].send(signal.SIGSTOP)
    wait_until(lambda: cluster.told("m0", "master")["master"] is None, network.patience, "m0 alone")
    twins = {}
    for twin, server in (("first", "m0"), ("second", "m1")):
        cluster.start_peer(twin, server, "--id", "s9", "--download-rate", "500K", files={})
        network.peers[twin].expect_log("s9 joined on")
        twins[twin] = subprocess.Popen([network.program("peer"), "--share", f"./{twin}", "-e", "get film.bin"],
                                       cwd=network.folder, env=network.env, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda twin=twin: network.json(twin, "status")[1][0]["transfers"], network.patience, "a transfer")
        if server == "m0":
            cluster.servers["m0"].send(signal.SIGSTOP)
            cluster.servers["m1"].send(signal.SIGCONT)
    cluster.servers["m0"].send(signal.SIGCONT)

    cluster.wait_for_tree(["s1", "s2", "s9", "s9~2"])
    ids = {}
    for twin in twins:
        told = network.json(twin, "status")[1][0]
        ids[told["id"]] = twin
        assert told["wantedId"] == "s9", told
        is_told = "another member has this peer's id: this peer is s9~2" in network.peers[twin].log
        assert is_told == (told["id"] == "s9~2"), (told, network.peers[twin].log)
    assert set(ids) == {"s9", "s9~2"}, ids
    for twin, get in twins.items():
        out, log = get.communicate(timeout=network.patience)
        assert get.returncode == 0 and (network.folder / twin / "film.bin").stat().st_size == 4 * MIB, (out, log)
    code, found = network.json("s2", "find film.bin")
    assert code == 0 and sorted(found[0]["hits"][0]["holders"]) == ["s1", "s9", "s9~2"], found
    # When it is started again, it asks for its own id.
    for twin in (ids["s9"], ids["s9~2"]):
        network.peers[twin].end()
    network.restart_peer(ids["s9~2"]).expect_log("s9 joined on")
    cluster.wait_for_tree(["s1", "s2", "s9"])


@case("a peer that becomes ID~2 while it takes a push and sends one: both go on")
def _(network):
    cluster = Cluster(network, 2).start()
    cluster.wait_for_master("m0")
    slowly = ["--accept-push", "all", "--upload-rate", "1M"]
    cluster.start_peers(2, *slowly)
    files = {f"of {name}.bin": noise(6 * MIB, seed) for seed, name in enumerate(("s1", "first", "second"))}
    network.fill_share("out", files)
    def push(name, file):
        return subprocess.Popen([network.program("peer"), *network.running(name), "--json", "-e",
                                 f"push 'out/{file}' --wait"], cwd=network.folder, env=network.env,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    cluster.servers["m1"].send(signal.SIGSTOP)
    wait_until(lambda: cluster.told("m0", "master")["master"] is None, network.patience, "m0 alone")
    twins = ("first", "second")
    for twin, server in zip(twins, ("m0", "m1")):
        cluster.start_peer(twin, server, "--id", "s9", *slowly, files={})
        network.peers[twin].expect_log("s9 joined on")
        if server == "m0":
            cluster.servers["m0"].send(signal.SIGSTOP)
            cluster.servers["m1"].send(signal.SIGCONT)
    takers = {"s1": ["first", "second", "s2"], "first": ["s1", "second", "s2"], "second": ["s1", "first", "s2"]}
    pushes = {name: push(name, f"of {name}.bin") for name in takers}
    def under_way(name):
        return any(list((network.folder / taker / ".espalier/incoming").glob("*.part")) for taker in takers[name])
    wait_until(lambda: all(map(under_way, takers)), network.patience, "the pushes")
    cluster.servers["m0"].send(signal.SIGCONT)
    cluster.wait_for_tree(["s1", "s2", "s9", "s9~2"])
    renamed, kept = sorted(twins, key=lambda twin: "this peer is s9~2" not in network.peers[twin].log)
    # Its push goes on under its former id, so the peer that keeps the id takes it for a false one.
    takers[renamed].remove(kept)
    def lacking(takers):
        return [(taker, name) for name, all_of in takers.items() for taker in all_of
                if not (network.folder / taker / f"of {name}.bin").is_file()]
    wait_until(lambda: not lacking(takers), 2 * network.patience, lambda: f"all but {kept}: {lacking(takers)}")
    for name in ("s1", kept):
        out, log = pushes[name].communicate(timeout=network.patience)
        assert pushes[name].returncode == 0, (name, out, log)
    pushes[renamed].kill()
    pushes[renamed].communicate()
    code, told = network.json(renamed, f"push 'out/of {renamed}.bin' --to s9")
    assert code == 0 and told[-1]["sender"] == "s9~2" and told[-1]["verified"] == 1, told
    for taker in ("s1", "s2", *twins):
        for name, data in files.items():
            path = network.folder / taker / name
            assert name == f"of {taker}.bin" or path.read_bytes() == data, path


@case("the log says things once: who goes on elsewhere, who left, that a metaserver left; only the master waits")
def _(network):
    cluster = Cluster(network, 3).start()
    cluster.wait_for_master("m0")
    names = cluster.start_peers(6)  # s1 and s4 at m0, s2 and s5 at m1, s3 and s6 at m2
    before = cluster.wait_for_tree(names)
    def logged(name, pattern):
        return re.findall(pattern, cluster.servers[name].log)
    assert network.peers["s4"].end() == 0
    cluster.wait_for_tree([name for name in names if name != "s4"])
    assert len(logged("m0", r"s4 left|s4 is gone")) == 1, cluster.servers["m0"].log
    code, out, log = cluster.command("m0", "drain")
    assert code == 0, (out, log)
    cluster.wait_for_master("m1", among=["m1", "m2"])
    for name in ("m1", "m2"):
        cluster.servers[name].expect_log("m0 has left")
        assert not logged(name, "m0 is dead|m0 is not linked"), cluster.servers[name].log
    assert logged("m1", r"(s\d) goes on") == ["s1"], cluster.servers["m1"].log  # the others are where they were
    cluster.wait_for_tree([name for name in names if name != "s4"], among=["m1", "m2"])
    for name in ("m1", "m2"):
        cluster.servers[name].kill()
    cluster.servers.pop("m0")
    cluster.start("m1", "m2")
    master = cluster.wait_for_master()
    follower = "m2" if master == "m1" else "m1"
    cluster.wait_for_tree([name for name in names if name != "s4"])
    assert len(logged(master, "waiting for 5 peers of before")) == 1, cluster.servers[master].log
    assert not logged(follower, "waiting for"), cluster.servers[follower].log


@case("a metaserver is started again on its old state: it follows, and master NAME makes it the master")
def _(network):
    cluster = Cluster(network, 3).start()
    cluster.wait_for_master("m0")
    names = cluster.start_peers(4)
    before = cluster.wait_for_tree(names)
    cluster.servers["m2"].kill()
    cluster.start("m2")
    cluster.wait_for_master("m0")
    assert cluster.wait_for_tree(names) == before
    code, out, log = cluster.command("m1", "master m2")
    assert code == 0, (out, log)
    assert cluster.wait_for_master() == "m2"
    assert cluster.wait_for_tree(names) == before
    code, told = cluster.json("m0", "master nobody")
    assert code != 0 and "nobody" in told["error"]["message"], told


@case("all metaservers die at once and start again: every peer comes back as it was")
def _(network):
    cluster = Cluster(network, 3).start()
    cluster.wait_for_master("m0")
    names = cluster.start_peers(5)
    before, where = cluster.wait_for_tree(names), endpoints(network, names)
    for name in cluster.names:
        cluster.servers[name].kill()
    cluster.start()
    cluster.wait_for_master()
    assert cluster.wait_for_tree(names) == before
    assert endpoints(network, names) == where


@case("a peer stands still, and the master dies: its id is refused to others, and it comes back as it was")
def _(network):
    cluster = Cluster(network, 3).start()
    cluster.wait_for_master("m0")
    names = cluster.start_peers(4)  # s2 at m1
    where = endpoints(network, names)
    network.peers["s2"].send(signal.SIGSTOP)
    cluster.servers["m0"].expect_log("s2 is gone|s2 has not come back|s2 has fallen silent")
    cluster.servers["m0"].kill()
    cluster.wait_for_master("m1")
    code, out, log = network.run(*cluster_peer(cluster, "m1", "s2", "other"))
    assert code == 77 and "s2 is held for the peer that was on" in log, (code, out, log)
    network.peers["s2"].send(signal.SIGCONT)
    cluster.wait_for_tree(names)
    assert endpoints(network, names) == where
    assert "newcomer" not in network.peers["s2"].log, network.peers["s2"].log


@case("all die, and the master dies again while it waits for a peer that stands still: it comes back as it was")
def _(network):
    cluster = Cluster(network, 2).start()
    cluster.wait_for_master("m0")
    names = cluster.start_peers(4)
    before, where = cluster.wait_for_tree(names), endpoints(network, names)
    state = network.folder / f".metaserver-{cluster.port('m1')}/network"
    wait_until(lambda: len(text_of(state).splitlines()) == 5, network.patience, "the state file of m1")
    network.peers["s2"].send(signal.SIGSTOP)
    for name in cluster.names:
        cluster.servers[name].kill()
    cluster.start()
    cluster.wait_for_master()
    master = cluster.wait_for_master()
    follower = "m1" if master == "m0" else "m0"
    wait_until(lambda: cluster.told(follower, "status")["peers"] == 3, network.patience, "the others")
    assert len(text_of(state).splitlines()) == 5, text_of(state)
    cluster.servers[master].kill()
    cluster.servers[follower].kill()
    cluster.start(follower)
    wait_until(lambda: cluster.told(follower, "status")["awaited"] == 1, network.patience, "it to wait for s2 only")
    network.peers["s2"].send(signal.SIGCONT)
    assert cluster.wait_for_tree(names, among=[follower]) == before
    assert endpoints(network, names) == where


@case("link names the metaserver and counts the cluster, also when they are linked already; links are in order")
def _(network):
    cluster = Cluster(network, 3).start("m0", "m1")
    cluster.wait_for_master("m0")
    for count, name in ((2, "m1"), (2, "m1"), (3, "m2"), (3, "m2")):
        if name not in cluster.servers:
            cluster.start(name)
            cluster.wait_for_master("m0")
        code, out, log = cluster.command(name, f"link {cluster.address('m0')}")
        said = f"linked to m0 on {cluster.address('m0')}, a cluster of {count} metaservers"
        assert code == 0 and said in out, (out, log)
    assert [link["name"] for link in cluster.told("m2", "links")["links"]] == ["m0", "m1"]


@case("link and 000's form try the port below: 000 counts the ports for metaservers one above those for peers")
def _(network):
    cluster = Cluster(network, 2, first=10)
    network.restart_metaserver(cluster.addresses[0])
    host, port = cluster.addresses[0].rsplit(":", 1)
    cluster.names[1], cluster.addresses[1] = "m1", f"{host}:{int(port) + 3}"
    cluster.options = []
    cluster.addresses.pop(0)
    cluster.names.pop(0)
    cluster.start("m1")
    above = f"{host}:{int(port) + 1}"
    code, out, log = cluster.command("m1", f"link {above}")
    assert code == 0 and f"on {host}:{port}, a cluster of 2 metaservers" in out, (out, log)
    code, out, log = cluster.command("m1", f"link {host}:{int(port) + 7}")
    assert code == 69 and "refused" in out + log, (code, out, log)
    third = Process("metaserver third", [network.program("metaserver"), str(int(port) + 4), str(int(port) + 5), above,
                                         "--first-port", str(network.first_port)],
                    network.folder, network.env, network.patience)
    network.peers[third.name] = third
    wait_until(lambda: len(cluster.told("m1", "servers")["servers"]) == 3, network.patience, "three metaservers")


@case("who finds every metaserver full is told so, and counted; a full one hands newcomers on")
def _(network):
    cluster = Cluster(network, 2, "--max-peers", "1").start()
    cluster.wait_for_master("m0")
    for name in ("s1", "s2"):
        cluster.start_peer(name, "m0", files={})
        network.peers[name].expect_log(f"{name} joined")
    cluster.wait_for_tree(["s1", "s2"])
    assert {cluster.home(name) for name in ("s1", "s2")} == set(cluster.addresses)
    wait_until(lambda: [each["peers"] for each in cluster.told("m0", "servers")["servers"]] == [1, 1], network.patience,
               "one peer at each")
    network.fill_share("s3", {})
    code, out, log = network.run(*network.peer_command("s3", "--headless"))
    assert code == 77 and "every metaserver of this network is full" in log, (code, out, log)
    assert cluster.told("m0", "status")["refused"] + cluster.told("m1", "status")["refused"] >= 1


@case("a single metaserver with --max-peers refuses the peer beyond")
def _(network):
    network.start_metaserver("--max-peers", "1")
    network.start_peers(1)
    network.fill_share("s2", {})
    code, out, log = network.run(*network.peer_command("s2", "--headless"))
    assert code == 77 and "every metaserver of this network is full" in log, (code, out, log)
    code, told = network.json_of(network.program("metaserver"), "--json", "-e", "status")
    assert code == 0 and told[0]["refused"] >= 1 and told[0]["peers"] == 1, told


@case("no peer gets the port of a dead metaserver, or of one that has not started yet: both start")
def _(network):
    cluster = Cluster(network, 3, first=1).start("m0", "m1")
    cluster.wait_for_master("m0")
    wait_until(lambda: len(cluster.told("m0", "servers")["servers"]) == 2, network.patience, "both known")
    cluster.servers["m1"].kill()
    names = ["s1", "s2", "s3"]
    for name in names:
        cluster.start_peer(name, "m0", files={})
        network.peers[name].expect_log(f"{name} joined|joined on")
    cluster.start("m1", "m2")
    cluster.wait_for_master("m0")
    cluster.wait_for_tree(names)
    ports = [int(endpoint.rsplit(":", 1)[1]) - network.first_port for endpoint in endpoints(network, names).values()]
    assert ports == [0, 4, 5], ports


@case("a single metaserver that runs already is linked: its peers notice nothing")
def _(network):
    cluster = Cluster(network, 2)
    network.metaserver_options = []
    network.restart_metaserver(cluster.addresses[0])
    names = ["s1", "s2", "s3"]
    network.start_peers(3)
    before, where = network.wait_for_tree(names), endpoints(network, names)
    cluster.start("m1")
    assert wait_until(lambda: cluster.told("m1", "master")["master"], network.patience, "a master")
    wait_until(lambda: cluster.topo("m1") == before, network.patience, lambda: f"{cluster.topo('m1')}")
    cluster.start_peer("s4", "m1", files={})
    network.wait_for_tree([*names, "s4"])
    assert endpoints(network, names) == where
    for name in names:
        assert "out of reach" not in network.peers[name].log


if __name__ == "__main__":
    main()
