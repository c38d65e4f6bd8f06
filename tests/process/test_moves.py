#!/usr/bin/env python3
"""Metaservers that move to other ports by themselves, and a port for links between metaservers only."""
import re
import socket
import sqlite3
import time

from cluster import Cluster
from espalier_process import case, main, wait_until
from intruder import Session, hello, frame, parse, receive_from


def endpoints(network, names):
    return {name: network.json(name, "status")[1][0]["endpoint"] for name in names}


def address_of(cluster, name):
    return next(server["endpoint"] for server in cluster.told(name, "servers")["servers"] if server["name"] == name)


@case("a metaserver with --migrate-every moves from port to port while it has peers, which notice nothing")
def _(network):
    cluster = Cluster(network, 2)
    cluster.start("m0").start("m1", options=["--migrate-every", "1s"])
    cluster.wait_for_master("m0")
    assert address_of(cluster, "m1") == cluster.address("m1"), "it has no peers yet"
    names = ["s1", "s2", "s3", "s4"]
    for i, name in enumerate(names):
        cluster.start_peer(name, "m0" if i == 0 else "m1")
        network.peers[name].expect_log(f"{name} joined|joined on")
    before, where = cluster.wait_for_tree(names), endpoints(network, names)
    for _ in range(2):
        since = address_of(cluster, "m1")
        wait_until(lambda: address_of(cluster, "m1") != since, network.patience, "a move")
        now = address_of(cluster, "m1")
        assert int(now.rsplit(":")[1]) > int(cluster.port("m1")), now
        wait_until(lambda: all(cluster.home(name) == address_of(cluster, "m1") for name in names[1:]), network.patience,
                   lambda: f"the peers to follow: {[cluster.home(name) for name in names]}")
    assert cluster.wait_for_tree(names) == before
    assert endpoints(network, names) == where
    for name in names:
        assert "newcomer" not in network.peers[name].log, network.peers[name].log
    for server in cluster.told("m0", "servers")["servers"]:
        if server["name"] == "m1":
            assert server["peers"] == 3 and server["endpoint"] != cluster.address("m1"), server
    cluster.start_peer("n1", "m0", files={})
    cluster.wait_for_tree([*names, "n1"])


@case("a metaserver that moves every second is followed each time: nobody falls back on its list")
def _(network):
    cluster = Cluster(network, 2)
    cluster.start("m0").start("m1", options=["--migrate-every", "1s"])
    cluster.wait_for_master("m0")
    names = ["s1", "s2", "s3"]
    for i, name in enumerate(names):
        cluster.start_peer(name, "m0" if i == 0 else "m1")
        network.peers[name].expect_log(f"{name} joined|joined on")
    before = cluster.wait_for_tree(names)
    last = int(cluster.port("m1")) + 12
    begun = time.monotonic()
    wait_until(lambda: int(address_of(cluster, "m1").rsplit(":")[1]) >= last, network.patience, "twelve moves")
    assert time.monotonic() - begun < 24, "one in two seconds at least"
    for name in names[1:]:
        log = network.peers[name].log
        assert "does not go" not in log and "out of reach" not in log, log
        assert len(re.findall("the metaserver is", log)) >= 6, log
    assert cluster.wait_for_tree(names) == before


@case("a single metaserver with --migrate-every takes its peers along, too")
def _(network):
    cluster = Cluster(network, 1)
    network.start_metaserver("--migrate-every", "1s", "--log-level", "info")
    first = network.address
    names = ["s1", "s2", "s3"]
    network.start_peers(3)
    before = network.wait_for_tree(names)
    network.metaserver.expect_log(r"metaserver on \S+ now")
    def homes():
        return {network.json(name, "status")[1][0]["metaserver"] for name in names}
    wait_until(lambda: len(homes()) == 1 and first not in homes(), network.patience, lambda: f"new homes: {homes()}")
    assert network.wait_for_tree(names) == before
    for name in names:
        assert "newcomer" not in network.peers[name].log, network.peers[name].log
    del cluster


@case("metaservers link at a server port, where no peer is served; the directory names it")
def _(network):
    cluster = Cluster(network, 3)  # the third address is the server port of m0
    cluster.addresses, server_port = cluster.addresses[:2], cluster.port("m2")
    cluster.names = cluster.names[:2]
    program = network.program("metaserver")
    from espalier_process import Process
    def start(name, *words):
        cluster.servers[name] = Process(name, [program, *words, "--name", name, "--first-port",
                                               str(network.first_port)], network.folder, network.env, network.patience)
        network.peers[f"metaserver {name}"] = cluster.servers[name]
        cluster.servers[name].expect_log("metaserver ready on")
    start("m0", cluster.port("m0"), server_port)
    start("m1", cluster.port("m1"), cluster.port("m1"), f"127.0.0.1-{server_port}")
    assert cluster.wait_for_master() == "m0"
    endpoints_told = {each["name"]: each["endpoint"] for each in cluster.told("m1", "servers")["servers"]}
    assert endpoints_told == {"m0": cluster.address("m0"), "m1": cluster.address("m1")}, endpoints_told
    names = ["s1", "s2"]
    for name, home in zip(names, cluster.names):
        cluster.start_peer(name, home)
    cluster.wait_for_tree(names)
    for name in cluster.names:
        def rows(name=name):
            path = network.folder / f".metaserver-{cluster.port(name)}" / "directory.db"
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                return sorted(database.execute("SELECT name, port, server_port FROM metaservers"))
        expected = [("m0", int(cluster.port("m0")), int(server_port)),
                    ("m1", int(cluster.port("m1")), int(cluster.port("m1")))]
        wait_until(lambda: rows() == expected, network.patience, lambda: f"{expected}: {rows()}")
    with socket.create_connection(("127.0.0.1", int(server_port)), timeout=network.patience) as peer:
        peer.sendall(frame(hello(1)))
        answer = parse(receive_from(peer))
        assert 1 not in answer and b"this port is for metaservers" in str(answer).encode(), answer


if __name__ == "__main__":
    main()
