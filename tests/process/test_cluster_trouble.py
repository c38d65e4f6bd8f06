#!/usr/bin/env python3
"""Metaservers that cannot be one cluster, and those that only claim to be metaservers: a clear sentence for each, and
nothing that runs is harmed."""
import contextlib
import shutil
import socket

from cluster import Cluster
from espalier_process import Process, case, main, wait_until
from intruder import frame, field, hello, message

CONFIGURATION, USAGE = 78, 64
CLUSTER = 5  # the purpose of a Hello


def refused(network, cluster, name, *options, others=None):
    """Runs the metaserver `name` of `cluster`, which is to end by itself; returns (exit code, what it said)."""
    words = [word for address in others or cluster.addresses for word in ("--cluster", address)]
    code, out, log = network.run(network.program("metaserver"), "--listen", cluster.address(name), "--first-port",
                                 str(network.first_port), *words, *options)
    assert out == "", out
    return code, log


def one_cluster(network, *options):
    """m0 and m1 with two peers; a place for m2."""
    cluster = Cluster(network, 3, *options).start("m0", "m1")
    cluster.wait_for_master("m0")
    for name, home in (("s1", "m0"), ("s2", "m1")):
        cluster.start_peer(name, home)
        network.peers[name].expect_log(f"{name} joined|joined on")
    cluster.wait_for_tree(["s1", "s2"])
    return cluster


def living(cluster):
    return {server["name"] for server in cluster.told("m1", "servers")["servers"] if not server["dead"]}


def unharmed(cluster, names=("s1", "s2")):
    assert living(cluster) == {"m0", "m1"}
    assert cluster.wait_for_master() == "m0"
    cluster.wait_for_tree(list(names))


def start_alone(network, cluster, name, *options):
    """A metaserver that is to run, with other options than the cluster's."""
    cluster.servers[name] = Process(name, [network.program("metaserver"), "--first-port", str(network.first_port),
                                           *options], network.folder, network.env, network.patience)
    network.peers[f"metaserver {name}"] = cluster.servers[name]
    cluster.servers[name].expect_log("metaserver ready on")
    return cluster.servers[name]


@case("a cluster may contain this metaserver itself, also under another name of its host")
def _(network):
    cluster = Cluster(network, 2)
    cluster.start("m0", options=["--cluster", f"localhost:{cluster.port('m0')}"])
    cluster.start_peer("s1", "m0")
    network.peers["s1"].expect_log("joined")
    cluster.start("m1")
    assert cluster.wait_for_master() == "m0"
    code, told = cluster.json("m0", f"link localhost:{cluster.port('m0')}")
    assert code != 0 and "itself" in told["error"]["message"], told
    code, told = cluster.json("m0", f"link {cluster.address('m0')}")
    assert code == USAGE, told


@case("a given name that is taken ends the newcomer with 78; a default name gets -2, -3 and so on")
def _(network):
    cluster = one_cluster(network)
    for taken in ("m0", "m1"):  # of the one that is dialled, and of another one
        code, log = refused(network, cluster, "m2", "--name", taken, others=[cluster.address("m0")])
        assert code == CONFIGURATION and f"the name {taken} is taken by the one on {cluster.address(taken)}" in log, log
        assert "choose another one with --name" in log, log
    unharmed(cluster)
    port = cluster.port("m2")
    start_alone(network, cluster, "first", "--listen", f"127.0.0.1:{port}", "--cluster", cluster.address("m0"))
    wait_until(lambda: f"m{port}" in living(cluster), network.patience, "the first one to be known everywhere")
    for i in (2, 3):
        process = start_alone(network, cluster, f"other {i}", "--listen", f"127.0.0.{i}:{port}", "--cluster",
                              cluster.address("m1"), *(word for kind in ("state", "topo", "count-file")
                                                       for word in (f"--{kind}", f"./{kind}-{i}")))
        process.expect_log(rf"the name m{port}(-2)? is taken .*: m.* is m{port}-{i} now")
    expected = {"m0", "m1", f"m{port}", f"m{port}-2", f"m{port}-3"}
    wait_until(lambda: living(cluster) == expected, network.patience, lambda: f"{expected}: {living(cluster)}")
    code, out, log = network.run(network.program("metaserver"), "--state", "./state-3", "-e", "uptime")
    assert code == 0 and f"m{port}-3" in out, (out, log)
    cluster.wait_for_tree(["s1", "s2"], among=["m0", "m1"])


@case("two networks with members do not become one: 78 with both at `link`, and a sentence in the log at the start")
def _(network):
    cluster = one_cluster(network)
    cluster.servers["m2"] = start_alone(network, cluster, "m2", "--listen", cluster.address("m2"), "--name", "m2",
                                        "--state", f"./.metaserver-{cluster.port('m2')}",
                                        "--topo", f"./topo-{cluster.port('m2')}.txt")
    cluster.start_peer("o1", "m2", files={})
    network.peers["o1"].expect_log("joined")
    code, told = cluster.json("m2", f"link {cluster.address('m0')}")
    sentence = told["error"]["message"]
    assert code == CONFIGURATION and "two networks with members do not become one" in sentence, told
    assert "m2 has the network" in sentence and "m0 has" in sentence, told
    assert cluster.servers["m2"].end() == 0
    cluster.start("m2")
    cluster.servers["m2"].expect_log("cannot link to .*two networks with members do not become one")
    assert cluster.servers["m2"].alive
    assert cluster.topo("m2") == {"o1": []}
    cluster.servers["m2"].end()
    del cluster.servers["m2"]
    unharmed(cluster)


@case("another secret, a secret at one end only, and a secret that others can read: 78 with a sentence")
def _(network):
    for name, text, mode in (("right", "correct horse", 0o600), ("wrong", "battery staple", 0o600),
                             ("open", "correct horse", 0o644), ("short", "x", 0o600)):
        (network.folder / name).write_text(text + "\n", encoding="utf-8")
        (network.folder / name).chmod(mode)
    cluster = one_cluster(network, "--cluster-secret-file", "right")
    code, log = refused(network, cluster, "m2", "--name", "m2", "--cluster-secret-file", "wrong")
    assert code == CONFIGURATION and "have different secrets" in log and "m2" in log and "m0" in log, log
    code, log = refused(network, cluster, "m2", "--name", "m2")
    assert code == CONFIGURATION and "has a secret (--cluster-secret-file), m2 on" in log, log
    code, log = refused(network, cluster, "m2", "--cluster-secret-file", "open")
    assert code == CONFIGURATION and "open can be read by others: chmod 600 open" in log, log
    code, log = refused(network, cluster, "m2", "--cluster-secret-file", "short")
    assert code == CONFIGURATION and "too short" in log, log
    (network.folder / "folder").mkdir()
    (network.folder / "large").write_bytes(b"x" * 100_000)
    (network.folder / "large").chmod(0o600)
    for name, words in (("nowhere", "cannot open nowhere: No such file"), ("folder", "folder is no regular file"),
                        ("large", "large is larger than")):
        code, log = refused(network, cluster, "m2", "--cluster-secret-file", name)
        assert code == CONFIGURATION and f"--cluster-secret-file: {words}" in log, log
    for name, words in (("nowhere", "nowhere"), ("folder", "folder: it is no regular file")):
        code, log = refused(network, cluster, "m2", "--coordination", "etcd:https://127.0.0.1:1", "--etcd-ca-file",
                            name, "--cluster-secret-file", "right")
        assert code == CONFIGURATION and "the certificates for etcd in " + words in log, log
    unharmed(cluster)
    cluster.start("m2")
    cluster.servers["m2"].expect_log("is linked")


@case("what all must agree on: 78 with both values at the start, an error of `link` afterwards")
def _(network):
    code, log = refused(network, Cluster(network, 1), "m0", "--election", "nonsense")
    assert code == USAGE and "nonsense" in log and "--election" in log, log
    cluster = one_cluster(network)
    for option, mine, its in (("election", "address", "oldest"), ("max-links", "3", "2"),
                              ("placement", "nearest", "shallowest"), ("join-word", "other", "P2P")):
        code, log = refused(network, cluster, "m2", "--name", "m2", f"--{option}", mine)
        assert code == CONFIGURATION and f"m2 has {mine}" in log and f"has {its}" in log, (code, log)
    unharmed(cluster)
    start_alone(network, cluster, "m2", "127.0.0.1", cluster.port("m2"), "--election", "address")
    code, told = cluster.json("m2", f"link {cluster.address('m0')}")
    assert code == CONFIGURATION and "has address" in told["error"]["message"], told
    cluster.start_peer("o1", "m2", files={})  # it goes on as a network of its own
    network.peers["o1"].expect_log("joined")
    assert cluster.servers.pop("m2").end() == 0
    unharmed(cluster)


@case("a state folder that was copied has a number that is taken: another one is drawn")
def _(network):
    cluster = one_cluster(network)
    for source, others in (("m0", "m0"), ("m1", "m0")):  # of the one that is dialled, and of another one
        folder = network.folder / f".metaserver-{cluster.port('m2')}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        shutil.copy(network.folder / f".metaserver-{cluster.port(source)}" / "promises.db", folder)
        process = start_alone(network, cluster, "m2", "--listen", cluster.address("m2"), "--name", "m2", "--cluster",
                              cluster.address(others))
        process.expect_log(rf"the number \d+ is taken by {source} .*: m2 has the number \d+ now")
        process.expect_log("m0 is linked")
        wait_until(lambda: len(living(cluster)) == 3, network.patience, "all three linked")
        cluster.wait_for_tree(["s1", "s2"])
        log_before = process.log
        assert process.end() == 0
        process = start_alone(network, cluster, "m2", "--listen", cluster.address("m2"), "--name", "m2", "--cluster",
                              cluster.address(others))
        process.expect_log("m0 is linked")
        assert "is taken" not in process.log, (log_before, process.log)
        assert cluster.servers.pop("m2").end() == 0
        wait_until(lambda: len(living(cluster)) == 2, network.patience, "two of them")
    unharmed(cluster)


@case("1,000 connections that claim to be metaservers and say nothing, or nonsense, keep no peer out")
def _(network):
    cluster = one_cluster(network)
    host, port = cluster.address("m0").rsplit(":", 1)
    nonsense = [b"", b"\xff" * 20, field(1, message(b"", 0)), field(1, field(1, message(b"m9", 9, b"", 0))),
                field(2, b"\x01")]
    with contextlib.ExitStack() as stack:
        for i in range(1000):
            one = stack.enter_context(socket.create_connection((host, int(port)), timeout=network.patience))
            with contextlib.suppress(OSError):  # it may be closed already
                one.sendall(frame(hello(CLUSTER)))
                if i % 2:
                    one.sendall(frame(nonsense[i // 2 % len(nonsense)]))
        for i in range(3):
            cluster.start_peer(f"n{i}", "m0", files={})
            network.peers[f"n{i}"].expect_log("joined")
        unharmed(cluster, ["s1", "s2", "n0", "n1", "n2"])
        cluster.start("m2")
        cluster.servers["m2"].expect_log("m0 is linked")
    cluster.wait_for_master("m0")


@case("`servers` shows those of the last day as dead until they are forgotten; they are dialled after a restart")
def _(network):
    cluster = Cluster(network, 3).start()
    cluster.wait_for_master("m0")
    def rows(asked):
        return {server["name"]: server["dead"] for server in cluster.told(asked, "servers")["servers"]}
    wait_until(lambda: rows("m1") == {"m0": False, "m1": False, "m2": False}, network.patience,
               lambda: f"all three: {rows('m1')}")
    code, told = cluster.json("m1", "forget m2")
    assert code != 0 and "m2 is linked" in told["error"]["message"], told
    path = network.folder / f".metaserver-{cluster.port('m1')}" / "metaservers"
    wait_until(lambda: path.exists() and path.read_text(encoding="utf-8").count("127.0.0.1") == 2, network.patience,
               "both in the file")
    cluster.servers["m2"].kill()
    for asked in ("m0", "m1"):
        wait_until(lambda asked=asked: rows(asked) == {"m0": False, "m1": False, "m2": True}, network.patience,
                   lambda asked=asked: f"m2 as dead: {rows(asked)}")
    code, out, log = cluster.command("m1", "servers")
    assert code == 0 and "dead" in out, (out, log)
    # Without --cluster: the file tells whom to dial, and who was seen.
    cluster.servers["m1"].kill()
    start_alone(network, cluster, "m1", "127.0.0.1", cluster.port("m1"), "--name", "m1")
    assert cluster.wait_for_master() == "m0"
    wait_until(lambda: rows("m1") == {"m0": False, "m1": False, "m2": True}, network.patience,
               lambda: f"m2 as dead: {rows('m1')}")
    code, out, log = cluster.command("m1", "forget m2")
    assert code == 0 and "m2 is forgotten" in out, (out, log)
    assert rows("m1") == {"m0": False, "m1": False}
    wait_until(lambda: path.read_text(encoding="utf-8").count("127.0.0.1") == 1, network.patience, "m2 out of the file")
    code, told = cluster.json("m1", "forget nobody")
    assert code != 0 and "no dead metaserver nobody" in told["error"]["message"], told
    cluster.start("m2")
    wait_until(lambda: rows("m0") == {"m0": False, "m1": False, "m2": False}, network.patience, "m2 alive again")


if __name__ == "__main__":
    main()
