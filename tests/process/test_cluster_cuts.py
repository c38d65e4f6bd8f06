#!/usr/bin/env python3
"""Metaservers that are cut from each other, and from peers: wholly, one way, and one of the three pairs."""
from cluster import CutCluster
from espalier_process import case, main, wait_until
from machines import in_namespaces

NAMES = ["s1", "s2", "s3", "s4", "s5", "s6"]


def endpoints(network, names=NAMES):
    return {name: network.json(name, "status")[1][0]["endpoint"] for name in names}


def start(network):
    """Three metaservers with two peers each; returns them with the tree and the endpoints of the peers."""
    cluster = CutCluster(network).start()
    cluster.wait_for_master("m0")
    assert cluster.start_peers(6) == NAMES
    for name in NAMES:
        network.wait_indexed(name)
    return cluster, cluster.wait_for_tree(NAMES), endpoints(network)


def join(network, cluster, name, server):
    cluster.start_peer(name, server, files={})
    network.peers[name].expect_log(f"{name} joined|joined on")


def wait_for_homes(network, cluster, names, homes):
    addresses = [cluster.address(home) for home in homes]
    def missing():
        found = {name: cluster.home(name) for name in names}
        return {name: home for name, home in found.items() if home not in addresses}
    wait_until(lambda: not missing(), network.patience, lambda: f"homes among {homes}: {missing()}")


def finds_all(network, asker, count):
    told = []
    def complete():
        code, told[:] = network.json(asker, "find '*'")
        return code == 0 and told[0]["searched"] == told[0]["peers"] == count
    wait_until(complete, network.patience, lambda: f"a complete search: {told}")


def one_again(network, cluster, before, where, newcomers=()):
    """After the end of a cut: one network, in which nobody of before has another id, endpoint or order of joining."""
    assert cluster.wait_for_master() == "m0"
    names = [*before, *newcomers]
    tree = cluster.wait_for_tree(names)
    assert [name for name in tree if name in before] == list(before), tree
    assert endpoints(network, list(where)) == where
    wait_for_homes(network, cluster, names, cluster.names)
    finds_all(network, "s6", len(names))
    rejoined = [name for name in names if "newcomer" in network.peers[name].log]
    assert not rejoined, f"{rejoined} had to join again"
    return tree


@case("a site is cut off: both sides go on, take newcomers, and are one network again after it, with ids and orders")
def _(network):
    cluster, before, where = start(network)
    here, there = ["s1", "s2", "s4", "s5"], ["s3", "s6"]
    cluster.machines.isolate(["m2", "p2"])
    cluster.wait_for_master("m0", among=["m0", "m1"])
    wait_until(lambda: cluster.told("m2", "master")["master"] is None, network.patience, "m2 to be alone")
    for asker in ("s1", "s6"):
        code, told = network.json(asker, "find '*'")
        assert code == 0 or told[0]["missing"], (code, told)
        assert told[0]["searched"] + len(told[0]["missing"]) >= 2, told
    join(network, cluster, "n0", "m0")
    join(network, cluster, "n2", "m2")
    cluster.wait_for_tree([*here, "n0"], among=["m0", "m1"])
    cluster.wait_for_tree([*there, "n2"], among=["m2"])
    cluster.machines.heal()
    one_again(network, cluster, before, where, ["n0", "n2"])


@case("the master is cut off from all: the next one leads, its peers have another home and keep their links")
def _(network):
    cluster, before, where = start(network)
    cluster.machines.isolate(["m0"])
    cluster.wait_for_master("m1", among=["m1", "m2"])
    wait_for_homes(network, cluster, NAMES, ["m1", "m2"])
    join(network, cluster, "n1", "m1")
    tree = cluster.wait_for_tree([*NAMES, "n1"], among=["m1", "m2"])
    assert {name: [each for each in tree[name] if each != "n1"] for name in NAMES} == before
    cluster.machines.heal()
    assert one_again(network, cluster, before, where, ["n1"]) == tree


@case("nothing of the master arrives any more, though it hears all: the next one leads")
def _(network):
    cluster, before, where = start(network)
    cluster.machines.cut(["m0"], ["m1", "m2", "p0", "p1", "p2"], one_way=True)
    cluster.wait_for_master("m1", among=["m1", "m2"])
    wait_for_homes(network, cluster, NAMES, ["m1", "m2"])
    join(network, cluster, "n1", "m2")
    tree = cluster.wait_for_tree([*NAMES, "n1"], among=["m1", "m2"])
    cluster.machines.heal()
    assert one_again(network, cluster, before, where, ["n1"]) == tree


@case("one of the three pairs is cut, both ways and one way: it stays one cluster, by way of the third")
def _(network):
    cluster, before, where = start(network)
    names, epoch = list(NAMES), cluster.told("m0", "master")["epoch"]
    def links(name):
        return sorted(link["name"] for link in cluster.told(name, "links")["links"])
    for newcomer, one_way in (("n1", False), ("n2", True)):
        cluster.machines.cut(["m0"], ["m1"], one_way=one_way)
        wait_until(lambda: links("m0") == links("m1") == ["m2"], network.patience, lambda: f"{links('m0')}")
        cluster.wait_for_master("m0")
        join(network, cluster, newcomer, "m1")
        names.append(newcomer)
        tree = cluster.wait_for_tree(names)
        assert {name: [each for each in tree[name] if each in before] for name in before} == before
        finds_all(network, "s2", len(names))
        cluster.machines.heal()
        wait_until(lambda: links("m0") == ["m1", "m2"] and links("m1") == ["m0", "m2"], network.patience, "all links")
    assert cluster.told("m0", "master")["epoch"] == epoch
    one_again(network, cluster, before, where, ["n1", "n2"])


if __name__ == "__main__":
    in_namespaces()
    main()
