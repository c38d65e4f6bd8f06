#!/usr/bin/env python3
"""20 peers at three metaservers, with a transfer, a push and a search a second, while everything fails that can."""
import contextlib
import shutil

from cluster import CutCluster
from espalier_process import case, main, wait_until
from load import Load, stands_still
from machines import in_namespaces


@case("kills, stops, cuts, a full disk and an old state: transfer, push and searches of 20 peers go on through all")
def _(network):
    cluster = CutCluster(network, "--max-links", "4")
    network.max_links = 4
    state = {name: network.folder / f".metaserver-{cluster.port(name)}" for name in cluster.names}
    disk = network.small_disk(state["m2"].name, "8m")
    assert disk
    disk.chmod(0o700)
    cluster.start()
    cluster.wait_for_master("m0")
    load = Load(cluster, 20)
    cluster.wait_for_tree(load.names)
    with load.running():
        kills_and_stops(network, cluster, load, state)
        cuts_between_metaservers(network, cluster, load)
        disk_and_old_state(network, cluster, load, state)
        cut_between_sites(cluster, load)
        load.finish()
    load.check_all()


def fill(path):
    """Writes a file until its disk is full."""
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))


def kills_and_stops(network, cluster, load, state):
    with load.fault("kill -9 of the master"):
        cluster.servers["m0"].kill()
        cluster.wait_for_master("m1")
        load.join("n1", "m2")
        shutil.copytree(state["m0"], network.folder / "old", ignore=shutil.ignore_patterns("*.sock"))
        cluster.start("m0")
        cluster.wait_for_master("m1")

    for seconds in (3, 15):
        with load.fault(f"SIGSTOP of the master, {seconds} s"):
            with stands_still(cluster.servers["m1"], seconds):
                cluster.wait_for_master("m2", among=["m0", "m2"])
                load.join(f"n{seconds}", "m0")
            cluster.wait_for_master("m1")


def cuts_between_metaservers(network, cluster, load):
    machines = cluster.machines
    with load.fault("one of the three pairs is cut"):
        machines.cut(["m1"], ["m0"])
        def links(name):
            return sorted(link["name"] for link in cluster.told(name, "links")["links"])
        wait_until(lambda: links("m0") == links("m1") == ["m2"], network.patience, "one cut pair")
        load.join("n4", "m0")
        machines.heal()
        wait_until(lambda: links("m0") == ["m1", "m2"] and links("m1") == ["m0", "m2"], network.patience, "all pairs")

    with load.fault("nothing of the master arrives, one way"):
        machines.cut(["m1"], [name for name in machines.numbers if name != "m1"], one_way=True)
        cluster.wait_for_master("m2", among=["m0", "m2"])
        load.join("n5", "m0")
        machines.heal()
        cluster.wait_for_master("m1")


def disk_and_old_state(network, cluster, load, state):
    with load.fault("a full disk under the state of the next master, and of the master"):
        fill(state["m2"] / "full")
        cluster.servers["m1"].kill()
        cluster.wait_for_master("m0")
        cluster.servers["m2"].expect_log("another metaserver is to decide")
        load.join("n6", "m2")
        (state["m2"] / "full").unlink()
        cluster.servers["m2"].expect_log("what this metaserver promises is durable again")
        cluster.wait_for_master("m2")
        fill(state["m2"] / "full")
        load.join("n7", "m2")
        cluster.start("m1")
        (state["m2"] / "full").unlink()
        cluster.wait_for_master("m2")

    with load.fault("a metaserver on its state of before the first fault"):
        appoint(cluster, "m0")
        epoch = cluster.told("m0", "master")["epoch"]
        load.join("n8", "m0")
        cluster.servers["m0"].kill()
        cluster.wait_for_master("m2")
        shutil.rmtree(state["m0"])
        shutil.copytree(network.folder / "old", state["m0"])
        cluster.start("m0")
        cluster.wait_for_master("m2")
        load.join("n9", "m0")
        appoint(cluster, "m0")
        assert cluster.told("m0", "master")["epoch"] > epoch + 1
        load.join("n10", "m1")


def appoint(cluster, name):
    code, out, log = cluster.command(name, f"master {name}")
    assert code == 0, (out, log)
    cluster.wait_for_master(name)


def cut_between_sites(cluster, load):
    with load.fault("a site is cut off", cuts_peers=True):
        cluster.machines.isolate(["m2", "p2"])
        there = {name for name in load.names if load.site[name] == "m2"}
        cluster.wait_for_tree(set(load.names) - there, among=["m0", "m1"])
        cluster.wait_for_tree(there, among=["m2"])
        cluster.machines.heal()
        cluster.wait_for_master("m2")
        cluster.wait_for_tree(load.names)


if __name__ == "__main__":
    in_namespaces()
    main()
