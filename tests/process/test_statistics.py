#!/usr/bin/env python3
"""Sessions, counts and ratings as the fourth original has them, with its two tables, over deaths and moves."""
import re
import sqlite3
import time

from cluster import Cluster, Entry
from espalier_process import Process, case, main, wait_until
from room_peers import Watcher, said, texts

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def rows(network, state, query):
    """As a reader of the original: Python's sqlite3, by the names of the columns."""
    reader = sqlite3.connect(network.folder / state / "storage.db")
    try:
        return reader.execute(query).fetchall()
    finally:
        reader.close()


def servers(network, state):
    return rows(network, state, "SELECT Date, Name, Average_Rating, Today_Count, Monthly_Count, Total_Approaches, "
                                "Lost_Count FROM servers")


def sessions(network, *states):
    found = []
    for state in states:
        found += rows(network, state, "SELECT Date, User, In_Time, Out_Time FROM session")
    return found


def users(network, *states):
    return sorted(row[1] for row in sessions(network, *states))


def state_of(cluster, name):
    return f".metaserver-{cluster.port(name)}"


def wait_for_users(network, states, expected):
    wait_until(lambda: users(network, *states) == expected, network.patience,
               lambda: f"sessions of {expected}: {sessions(network, *states)}")


def join(network, name, at=None):
    if at:
        network.address = at
    network.start_peer(name, files={})
    network.peers[name].expect_log(f"{name} joined|joined on")


def quit_all(network, *names):
    for name in names:
        network.peers[name].end()


@case("the fourth original: three instances by round robin, then by least connections; chat, counts and both tables")
def _(network):
    for balance in ("round-robin", "least-connections"):
        entry = Entry(network, 3, "--balance", balance, "--max-links", "3").start().wait_for_all()
        instances = [name for name in entry.names if name != entry.entry]
        names = [f"s{i + 1}" for i in range(6)]
        for name in names:
            join(network, name, entry.addresses[0])
        wait_until(lambda: [entry.rows()[name]["peers"] for name in instances] == [2, 2, 2], network.patience,
                   lambda: f"two at each: {entry.rows()}")
        # What one says is sent to the clients of all servers, whichever they are at.
        homes = {name: entry.home(name) for name in names}
        assert sorted(homes.values()) == sorted(2 * [entry.address(name) for name in instances]), homes
        watcher = Watcher(network, "s6")
        numbers = [said(network, name, f"hello from {name}") for name in names]
        assert numbers == [1, 2, 3, 4, 5, 6], numbers
        spoken = [f"hello from {name}" for name in names]
        for name in names:
            assert texts(network, name) == spoken, (name, homes, texts(network, name))
        watcher.wait_texts(spoken)
        watcher.interrupt()
        told = entry.told(entry.entry, "stats --days 1")
        assert (told["open"], told["today"], told["month"]) == (6, 6, 6), told
        assert (told["approaches"], told["lost"], told["metaservers"], told["answered"]) == (6, 0, 4, 4), told
        assert told["days"][0]["sessions"] == 6, told
        code, out, _ = network.command("s1", "rate 5 very good")
        assert code == 0 and "rated the service 5 of 5" in out, out
        quit_all(network, *names)
        states = [state_of(entry, name) for name in entry.names]
        wait_for_users(network, states, names)
        today = time.strftime("%Y-%m-%d")
        found = [row for name in instances for row in servers(network, state_of(entry, name))]
        assert sorted(row[1] for row in found) == sorted(instances), found
        for date, _, rating, count, month, approaches, lost in found:
            assert (date, count, month, approaches, lost) == (today, 2, 2, 2, 0), found
            assert isinstance(rating, float) and rating in (0.0, 5.0), found
        assert [row[3:] for row in servers(network, state_of(entry, entry.entry))] == [(0, 0, 0, 0)]
        for date, _, came, went in sessions(network, *states):
            assert date == today and TIME.fullmatch(came) and TIME.fullmatch(went) and came <= went
        entry.process.end()
        for name in entry.names:
            for pattern in ("storage.db*", "rooms.db*"):
                for path in (network.folder / state_of(entry, name)).glob(pattern):
                    path.unlink()
        network.peers = {}


@case("a single metaserver counts, too, over kills of peers and of itself; a session is rated once")
def _(network):
    network.start_metaserver()
    join(network, "s1")
    join(network, "s2")
    code, out, log = network.command("s1", "rate 2 slow \x1b[31m")
    assert code == 0, (out, log)
    code, _, log = network.command("s1", "rate 5")
    assert code == 77 and "was rated in this session already" in log, (code, log)
    code, _, log = network.command("s2", "rate 6")
    assert code == 64 and "6 is no rating from 1 to 5" in log, (code, log)
    code, told = network.json("s2", "stats")
    assert code == 0 and told[0]["rating"] == 2.0 and told[0]["ratings"] == 1, told
    assert told[0]["open"] == 2 and told[0]["metaservers"] == 1 and told[0]["missing"] == [], told
    code, out, _ = network.command("s2", "stats --days 3")
    assert "2.00 of 5, by 1 rating" in out and "2 sessions" in out and "counted     since 20" in out, out
    wait_until(lambda: rows(network, ".metaserver", "SELECT User, Rating, Text FROM rating")
               == [("s1", 2, "slow \\x1b[31m")], network.patience, "the rating")
    network.peers["s1"].kill()
    time.sleep(5)
    assert users(network, ".metaserver") == []
    wait_for_users(network, [".metaserver"], ["s1"])
    # Killed, with an open session whose peer dies, too: it ends at the last moment that was written.
    before = time.strftime("%Y-%m-%d %H:%M:%S")
    time.sleep(4)
    network.metaserver.kill()
    network.peers["s2"].kill()
    time.sleep(2)
    network.restart_metaserver()
    wait_for_users(network, [".metaserver"], ["s1", "s2"])
    went = sessions(network, ".metaserver")[-1][3]
    assert before <= went <= time.strftime("%Y-%m-%d %H:%M:%S"), (before, went)
    # Counters go on, and a session goes on with a peer that is back.
    join(network, "s3")
    network.metaserver.kill()
    network.restart_metaserver()
    network.peers["s3"].expect_log("the metaserver is back|is reachable again|back")
    wait_until(lambda: network.json("s3", "stats")[1][0].get("open") == 1, network.patience, "s3 there")
    assert users(network, ".metaserver") == ["s1", "s2"]
    told = network.json("s3", "stats")[1][0]
    assert (told["sessions"], told["approaches"], told["today"]) == (3, 3, 3), told
    quit_all(network, "s3")
    wait_for_users(network, [".metaserver"], ["s1", "s2", "s3"])
    assert len(servers(network, ".metaserver")) == 1


@case("a peer that nobody can take is lost; one that is sent on is counted where it comes in")
def _(network):
    cluster = Cluster(network, 2)
    cluster.start("m0", options=("--max-peers", "1"))
    cluster.start("m1", options=("--max-peers", "2"))
    cluster.wait_for_master("m0")
    for name in ("s1", "s2", "s3"):
        join(network, name, cluster.address("m0"))
    network.start_peer("s4", files={})
    network.peers["s4"].expect_log("every metaserver of this network is full")
    told = cluster.told("m1", "stats")
    assert (told["sessions"], told["approaches"], told["lost"]) == (3, 4, 1), told
    assert network.peers.pop("s4").process.wait(network.patience) == 77
    code, out, _ = cluster.command("m1", "stats")
    assert code == 0 and "4, of which 1 was lost" in out and "of 2 metaservers" in out, out


@case("sessions move with their peers, end once whoever dies, and stats says whom it lacks")
def _(network):
    cluster = Cluster(network, 3).start()
    cluster.wait_for_master("m0")
    names = cluster.start_peers(6)  # s1 and s4 at m0, …
    states = [state_of(cluster, name) for name in cluster.names]
    address = f"127.0.0.1:{network.first_port + 15}"
    code, out, log = cluster.command("m2", f"migrate {address}")
    assert code == 0, (out, log)
    cluster.servers["m0"].kill()  # the master
    cluster.wait_for_master("m1")
    wait_until(lambda: cluster.told("m1", "stats")["open"] == 6, network.patience, "all six go on")
    told = cluster.told("m1", "stats")
    assert (told["metaservers"], told["answered"], told["missing"]) == (3, 2, ["m0"]), told
    code, out, _ = network.command("s2", "stats")
    assert code == 0 and "of 2 of 3 metaservers (without m0)" in out, out
    time.sleep(12)
    assert users(network, *states) == []
    network.peers["s1"].kill()  # it came from m0
    wait_for_users(network, states, ["s1"])
    cluster.start("m0")
    wait_until(lambda: cluster.told("m1", "stats")["answered"] == 3, network.patience, "all three")
    time.sleep(12)
    assert users(network, *states) == ["s1"]  # m0 has it on its disk, and does not write it again
    quit_all(network, *names[1:])
    wait_for_users(network, states, names)
    told = cluster.told("m0", "stats")
    assert (told["sessions"], told["approaches"], told["open"]) == (6, 6, 0), told


@case("a home and a peer of it die together: its session has one row; the master dies with one, too")
def _(network):
    cluster = Cluster(network, 3).start()
    cluster.wait_for_master("m0")
    names = cluster.start_peers(6)
    states = [state_of(cluster, name) for name in cluster.names]
    time.sleep(4)
    for dead, peer in (("m1", "s2"), ("m0", "s1")):
        cluster.servers[dead].kill()
        network.peers[peer].kill()
        wait_until(lambda peer=peer: peer in users(network, *states), network.patience,
                   lambda peer=peer: f"{peer}: {sessions(network, *states)}")
        cluster.start(dead)
        time.sleep(12)
    assert users(network, *states) == ["s1", "s2"]
    quit_all(network, *(name for name in names if name not in ("s1", "s2")))
    wait_for_users(network, states, names)


@case("storage.db: a full disk is told once and peers join all the same; a damaged one ends the start with 78")
def _(network):
    disk = network.small_disk("disk", "512k")
    if disk is None:
        return
    network.start_metaserver("--state", "disk/state", "--topo", "topo.txt")
    join(network, "s1")
    wait_until(lambda: servers(network, "disk/state")[0][3] == 1, network.patience, "the first session")
    with open(disk / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    join(network, "s2")
    for i in range(3):
        join(network, f"t{i}")
        network.peers[f"t{i}"].end()
    network.metaserver.expect_log("counting goes on in memory")
    time.sleep(3)
    assert network.metaserver.log.count("counting goes on in memory") == 1
    assert network.json("s1", "stats")[1][0]["sessions"] == 5
    (disk / "filler").unlink()
    network.metaserver.expect_log(r"storage.db can be written again")
    wait_for_users(network, ["disk/state"], ["t0", "t1", "t2"])
    network.metaserver.end()
    (disk / "state" / "storage.db").write_bytes(b"no database at all" * 1000)
    code, _, log = network.run(network.program("metaserver"), "--listen", "127.0.0.1:0", "--state", "disk/state",
                               "--topo", "topo.txt")
    assert code == 78 and "move it away, and it counts from zero" in log, (code, log)


@case("storage.db that may not be written is told once, and counting goes on from what it has")
def _(network):
    network.start_metaserver()
    join(network, "s1")
    wait_until(lambda: servers(network, ".metaserver")[0][3] == 1, network.patience, "the first session")
    quit_all(network, "s1")
    network.metaserver.end()
    path = network.folder / ".metaserver" / "storage.db"
    path.chmod(0o444)
    network.metaserver = Process("metaserver", [*network.without_privileges(), *network.metaserver.command],
                                 network.folder, network.env, network.patience)
    network.address = network.metaserver.expect_log(r"metaserver ready on ([^,\s]+),")[1]
    join(network, "s2")
    network.metaserver.expect_log("counting goes on in memory")
    time.sleep(2)
    assert network.metaserver.log.count("counting goes on in memory") == 1
    assert network.json("s2", "stats")[1][0]["sessions"] == 2
    assert users(network, ".metaserver") == ["s1"]


if __name__ == "__main__":
    main()
