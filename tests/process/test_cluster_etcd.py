#!/usr/bin/env python3
"""Several metaservers whose master etcd names: nothing is granted before etcd has it."""
import json
import shutil
import signal
import subprocess

from cluster import Cluster
from espalier_process import Process, case, main, wait_until
from etcds import Etcds


def start(network, servers=3):
    etcds = Etcds(network)
    cluster = Cluster(network, servers, *etcds.option).start()
    cluster.wait_for_master()
    return etcds, cluster


@case("etcd names the master; it is killed, and another one goes on with all peers; one dead etcd of three is nothing")
def _(network):
    etcds, cluster = start(network)
    first = cluster.wait_for_master()
    names = cluster.start_peers(5)
    before = cluster.wait_for_tree(names)
    epoch = cluster.told(first, "master")["epoch"]
    assert cluster.told(first, "master")["engine"] == "etcd"
    etcds.processes[0].kill()
    cluster.start_peer("n0", cluster.living[1], files={})
    names.append("n0")
    cluster.wait_for_tree(names)
    cluster.servers[first].kill()
    second = cluster.wait_for_master()
    assert second != first
    # Its name is known a moment before it decides.
    wait_until(lambda: cluster.told(second, "master")["epoch"] > epoch, network.patience, "the new master's epoch")
    cluster.start_peer("n1", second, files={})
    names.append("n1")
    tree = cluster.wait_for_tree(names)
    assert {name: [each for each in tree[name] if each in before] for name in before} == before


@case("without etcd nobody decides: what is there stays, newcomers wait and are told why; then they are let in")
def _(network):
    etcds, cluster = start(network)
    names = cluster.start_peers(4)
    before = cluster.wait_for_tree(names)
    etcds.send(signal.SIGSTOP)
    wait_until(lambda: set(cluster.masters().values()) == {None}, network.patience, lambda: f"{cluster.masters()}")
    wait_until(lambda: "no master: waiting for etcd at http" in cluster.command("m0", "master")[1], network.patience,
               lambda: cluster.command("m0", "master")[1])
    newcomer = cluster.start_peer("n1", "m2", files={})
    newcomer.expect_log("no master: waiting for etcd at http|no master at the moment")
    assert cluster.wait_for_tree(names) == before and "n1 joined" not in newcomer.log
    code, told = network.json("s2", "find '*'")
    assert code == 0 and told[0]["searched"] == 4, told
    etcds.send(signal.SIGCONT)
    newcomer.expect_log("n1 joined")
    cluster.wait_for_master()
    tree = cluster.wait_for_tree([*names, "n1"])
    assert {name: [each for each in tree[name] if each != "n1"] for name in names} == before


@case("all metaservers die and start again: ids, ports and orders are those in etcd")
def _(network):
    _, cluster = start(network)
    names = cluster.start_peers(4)
    before = cluster.wait_for_tree(names)
    for name in cluster.names:
        cluster.servers[name].kill()
        shutil.rmtree(network.folder / f".metaserver-{cluster.port(name)}")
    cluster.start()
    cluster.wait_for_master()
    assert cluster.wait_for_tree(names) == before
    code, out, log = network.run(network.program("peer"), "--metaserver", cluster.addresses[0], "--id", "s2", "--share",
                                 "./other", "-e", "topo")
    assert code == 77 and "s2 is in the network already" in log + out, (code, out, log)


@case("an address where no etcd is, and one that answers with a page: a clear sentence each")
def _(network):
    network.start_metaserver()  # it answers HTTP with nonsense
    for url, words in ((f"http://127.0.0.1:{network.first_port + 5}", "refused"),
                       (f"http://{network.address}", "etcd")):
        cluster = Cluster(network, 1, "--coordination", f"etcd:{url}").start()
        cluster.servers["m0"].expect_log(f"waiting for etcd at {url}: .*{words}")
        code, told = cluster.json("m0", "master")
        assert code == 0 and told["master"] is None, json.dumps(told)
        cluster.servers["m0"].end()


@case("forget frees what the lost peers of a dead metaserver have in etcd, and so their ids")
def _(network):
    etcds, cluster = start(network)
    master = cluster.wait_for_master()
    dead = next(name for name in cluster.names if name != master)
    for name, home in (("s1", master), ("s2", dead)):
        cluster.start_peer(name, home, files={})
        network.peers[name].expect_log(f"{name} joined|joined on")
    cluster.wait_for_tree(["s1", "s2"])
    seen = network.folder / f".metaserver-{cluster.port(master)}" / "metaservers"
    wait_until(lambda: seen.exists() and f":{cluster.port(dead)} " in seen.read_text(encoding="utf-8"),
               network.patience, f"{dead} to be noted")
    network.peers["s2"].send(signal.SIGSTOP)
    cluster.servers[dead].kill()
    wait_until(lambda: set(cluster.topo(master)) == {"s1"}, network.patience, "s2 to be lost")
    def keys():
        out = subprocess.run(["etcdctl", "--endpoints", etcds.urls[0], "get", "--prefix", "/espalier/ids/",
                              "--keys-only"], capture_output=True, text=True, check=True,
                             env={**network.env, "ETCDCTL_API": "3"}).stdout
        return sorted(out.split())
    assert keys() == ["/espalier/ids/s1", "/espalier/ids/s2"], keys()
    code, out, log = cluster.command(master, f"forget {dead}")
    assert code == 0 and f"{dead} is forgotten; the ids of 1 lost peer are free" in out, (code, out, log)
    wait_until(lambda: keys() == ["/espalier/ids/s1"], network.patience, lambda: f"the key to go: {keys()}")
    network.peers["s2 of before"] = network.peers.pop("s2")
    network.fill_share("other", {})
    other = Process("s2", [network.program("peer"), "--id", "s2", "--share", "./other", "--metaserver",
                           cluster.address(master), "--headless"], network.folder, network.env, network.patience)
    network.peers["s2"] = other
    other.expect_log("s2 joined|joined on")
    network.peers["s2 of before"].send(signal.SIGCONT)
    network.peers["s2 of before"].expect_log("this peer is s2~2")


@case("two clusters share one etcd by their prefixes; one of another prefix does not link")
def _(network):
    etcds = Etcds(network, count=1)
    one = Cluster(network, 2, *etcds.option).start()
    other = Cluster(network, 2, *etcds.option, "--etcd-prefix", "/office/paris/", first=10)
    other.names = ["p0", "p1"]
    other.start()
    assert one.wait_for_master() in one.names and other.wait_for_master() in other.names
    for cluster, home in ((one, "m1"), (other, "p1")):
        network.fill_share(f"at {home}", {})
        process = Process(home, [network.program("peer"), "--id", "s1", "--share", f"./at {home}", "--metaserver",
                                 cluster.address(home), "--headless"], network.folder, network.env, network.patience)
        network.peers[f"s1 at {home}"] = process
        process.expect_log("joined")
    for cluster in (one, other):
        wait_until(lambda: cluster.topo(cluster.names[0]) == {"s1": []}, network.patience, "one peer in each")
        assert cluster.told(cluster.names[0], "status")["metaservers"] == cluster.names
    def keys(prefix):
        out = subprocess.run(["etcdctl", "--endpoints", etcds.urls[0], "get", "--prefix", prefix, "--keys-only"],
                             capture_output=True, text=True, check=True, env={**network.env, "ETCDCTL_API": "3"}).stdout
        return [line for line in out.split() if line]
    assert "/espalier/ids/s1" in keys("/espalier/") and "/office/paris/ids/s1" in keys("/office/paris/")
    assert len(keys("/")) == len(keys("/espalier/")) + len(keys("/office/paris/"))
    code, told = other.json("p0", f"link {one.address('m0')}")
    assert code == 78 and "the same prefix in etcd" in told["error"]["message"], told


if __name__ == "__main__":
    main()
