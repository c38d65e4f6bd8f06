#!/usr/bin/env python3
"""Peers and metaservers that are killed, stopped and restarted: the network becomes one tree again."""
import signal
import sys
import time

from espalier_process import case, main, parse_topo, wait_until


def names(count, without=()):
    return [f"s{number}" for number in range(1, count + 1) if f"s{number}" not in without]


def kill_and_heal(network, count, victims, *options):
    network.start_metaserver(*options)
    network.start_peers(count)
    for victim in victims:
        network.peers[victim].send(signal.SIGKILL)
    killed = time.monotonic()
    wait_until(lambda: not set(victims) & set(network.topo()), network.patience, "the dead to be gone from topo.txt")
    gone = time.monotonic()
    links = network.wait_for_tree(names(count, victims))
    print(f"        gone after {gone - killed:.1f} s, one tree after {time.monotonic() - killed:.1f} s: {links}")
    network.wait_for_tree_by_peers(names(count, victims))
    asker = names(count, victims)[-1]
    code, told = network.json(asker, "find '*'")
    assert code == 0 and told[0]["searched"] == told[0]["peers"] == count - len(victims), (code, told)


@case("kill -9 of a leaf: the others stay one tree")
def _(network):
    kill_and_heal(network, 5, ["s5"])


@case("kill -9 of an inner peer of a line: its two halves join again")
def _(network):
    kill_and_heal(network, 5, ["s3"])


@case("kill -9 of the root of a line: its two halves join again")
def _(network):
    kill_and_heal(network, 5, ["s1"])


@case("kill -9 of the root and its neighbour at once")
def _(network):
    kill_and_heal(network, 8, ["s1", "s2"])


@case("kill -9 of three inner peers at once")
def _(network):
    kill_and_heal(network, 9, ["s2", "s5", "s3"])


@case("with four links, kill -9 of the root and an inner peer")
def _(network):
    kill_and_heal(network, 12, ["s1", "s3"], "--max-links", "4")


@case("all but one are killed: the last is a network of one, and joiners come in")
def _(network):
    network.start_metaserver()
    network.start_peers(4)
    for name in names(3):
        network.peers[name].send(signal.SIGKILL)
    network.wait_for_tree(["s4"])
    network.start_peer("s5")
    network.wait_for_tree(["s4", "s5"])


@case("a peer that leaves cleanly ends with 0 and the others join again")
def _(network):
    network.start_metaserver()
    network.start_peers(5)
    assert network.peers["s1"].end() == 0
    network.wait_for_tree(names(5, ["s1"]))
    assert network.peers["s3"].end() == 0
    network.wait_for_tree(names(5, ["s1", "s3"]))


@case("a killed peer comes back under its id, with its instance key")
def _(network):
    network.start_metaserver()
    network.start_peers(5)
    network.peers["s2"].kill()
    network.restart_peer("s2")  # at once, while its old membership still exists
    network.wait_for_tree(names(5))
    assert network.peers["s2"].alive, network.peers["s2"].log


@case("a stopped peer is removed, and comes back when it continues")
def _(network):
    network.start_metaserver()
    network.start_peers(5)
    network.peers["s3"].send(signal.SIGSTOP)
    network.wait_for_tree(names(5, ["s3"]))
    network.peers["s3"].send(signal.SIGCONT)
    network.wait_for_tree(names(5))
    network.wait_for_tree_by_peers(names(5))


@case("a stopped root is removed, and comes back when it continues")
def _(network):
    network.start_metaserver()
    network.start_peers(5)
    network.peers["s1"].send(signal.SIGSTOP)
    network.wait_for_tree(names(5, ["s1"]))
    network.peers["s1"].send(signal.SIGCONT)
    network.wait_for_tree(names(5))
    network.wait_for_tree_by_peers(names(5))


@case("a metaserver that is killed and restarted has its peers back, and topo.txt as before")
def _(network):
    network.start_metaserver()
    network.start_peers(5)
    endpoints = {name: network.endpoint(name) for name in names(5)}
    before = network.topo_path.read_bytes()
    network.metaserver.kill()
    network.restart_metaserver()
    newcomer = network.start_peer("s6")
    network.wait_for_tree(names(6))
    # The joiner came last: the other peers kept their order, links and ports.
    after = network.topo()
    assert list(after) == names(6), after
    kept = {name: [other for other in links if other != "s6"] for name, links in after.items() if name != "s6"}
    assert kept == parse_topo(before.decode()), (before, after)
    assert {name: network.endpoint(name) for name in names(5)} == endpoints
    assert newcomer.alive


@case("after a clean end and restart of the metaserver topo.txt is the same, byte for byte")
def _(network):
    network.start_metaserver()
    network.start_peers(5)
    before = network.topo_path.read_bytes()
    assert network.metaserver.end() == 0
    network.restart_metaserver()
    wait_until(lambda: network.topo_path.read_bytes() == before, network.patience, lambda: (
        f"{before!r} in topo.txt, which is {network.topo_path.read_bytes()!r}"))
    network.wait_for_tree_by_peers(names(5))
    assert network.topo_path.read_bytes() == before


@case("a peer that died while the metaserver was down does not delay the others")
def _(network):
    network.start_metaserver()
    network.start_peers(5)
    network.metaserver.kill()
    network.peers["s2"].kill()
    network.restart_metaserver()
    network.wait_for_tree(names(5, ["s2"]))
    network.start_peer("s6")
    network.wait_for_tree(names(6, ["s2"]))


@case("without a metaserver the tree heals, too, and topo.txt shows it afterwards")
def _(network):
    network.start_metaserver()
    network.start_peers(6)
    network.metaserver.kill()
    network.peers["s2"].kill()
    left = names(6, ["s2"])
    network.wait_for_tree_by_peers(left)
    network.peers["s1"].kill()
    left.remove("s1")
    network.wait_for_tree_by_peers(left)
    code, told = network.json("s6", "find f7.txt")
    assert code == 0 and told[0]["hits"][0]["holders"] == ["s5"], told
    network.restart_metaserver()
    network.wait_for_tree(left)


@case("without a metaserver topo shows the last snapshot and its time")
def _(network):
    network.start_metaserver()
    network.start_peers(3, "--log-level", "debug")
    before = "s1:  s2 s3\ns2:  s1\ns3:  s1\n"
    # A peer that ran no command has the snapshot, too: it asks for it when its links change, and at an interval.
    network.peers["s3"].expect_log("looked at the network: 3 peers, 2 links")
    network.metaserver.kill()
    def says_so():
        _, out, log = network.command("s3", "topo")
        return out.startswith(before.rstrip()) and "metaserver out of reach: as of " in out + log
    wait_until(says_so, network.patience, lambda: f"the last snapshot: {network.command('s3', 'topo')}")


@case("a peer that sends requests all the time does not count as silent")
def _(network):
    network.start_metaserver()
    network.start_peers(3)
    network.peers["s3"].send(signal.SIGSTOP)
    def other_is_silent():
        assert network.command("s2", "topo")[0] == 0
        return "s3 has fallen silent" in network.metaserver.log
    wait_until(other_is_silent, network.patience, "the silence of a peer that stands still")
    assert "s2 has fallen silent" not in network.metaserver.log, network.metaserver.log
    network.peers["s3"].send(signal.SIGCONT)


@case("whatif kill shows exactly the links that a kill leads to")
def _(network):
    network.start_metaserver()
    network.start_peers(7)
    victim = "s2"
    code, told = network.json("s7", f"whatif kill {victim}")
    assert code == 0, told
    planned = {peer["id"]: sorted(peer["links"]) for peer in told[0]["peers"]}
    network.peers[victim].kill()
    links = network.wait_for_tree(names(7, [victim]))
    assert {name: sorted(others) for name, others in links.items()} == planned, (planned, links)


@case("a join storm of forty ends in one tree within the links")
def _(network):
    network.start_metaserver("--max-links", "3")
    for name in names(40):
        network.start_peer(name, files={})
    network.wait_for_tree(names(40))


@case("SIGTERM and Ctrl-C end a metaserver with 0")
def _(network):
    network.start_metaserver()
    assert network.metaserver.end(signal.SIGTERM) == 0
    network.restart_metaserver()
    assert network.metaserver.end(signal.SIGINT) == 0


if __name__ == "__main__":
    sys.exit(main())
