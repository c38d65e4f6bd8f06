#!/usr/bin/env python3
"""Rooms at the metaservers: stored before they are acknowledged, in one order, over deaths of masters and homes."""
import os
import re
import signal
import sqlite3
import threading
import time

from cluster import Cluster
from espalier_process import case, main, wait_until
from intruder import field, message
from room_member import ROOM, SAY, RoomMember

STATE = ".metaserver"


def rows(network, state, query="SELECT number, author, text FROM log WHERE kind = 1 ORDER BY sequence"):
    reader = sqlite3.connect(f"file:{network.folder / state / 'rooms.db'}?mode=ro", uri=True)
    try:
        return reader.execute(query).fetchall()
    finally:
        reader.close()


def wait_told(network, member, room, expected):
    wait_until(lambda: [text for _, _, text in member.told(room)] == expected, network.patience,
               lambda: f"{member.name} to be told {expected}: {member.told(room)}")


@case("alone: acknowledged when it is on the disk, told in order, there after a kill")
def _(network):
    network.start_metaserver()
    with RoomMember(network, network.address, "s1") as one, RoomMember(network, network.address, "s2") as two:
        one.want(fleece=0)
        two.want(fleece=0)
        wait_until(lambda: len(one.who("fleece")) == 2, network.patience, "two in the room")
        answers = [one.said("fleece", f"number {i}") for i in range(1, 4)]
        assert [(answer["number"], answer["stored"]) for answer in answers] == [(1, 1), (2, 1), (3, 1)], answers
        assert rows(network, STATE) == [(i, "s1", f"number {i}") for i in range(1, 4)]
        wait_told(network, two, "fleece", ["number 1", "number 2", "number 3"])
        assert two.said("lobby", "to all")["number"] == 1
        wait_told(network, one, "lobby", ["to all"])
        assert one.room_list()["fleece"] == (2, 0, True, 3), one.room_list()
        assert set(one.who("fleece")) == {"s1", "s2"} and set(one.who()) == {"s1", "s2"}
    code, told = network.json_of(network.program("metaserver"), "--state", STATE, "--json", "-e", "rooms")
    assert code == 0 and [room["room"] for room in told[0]["rooms"]] == ["fleece", "lobby"], told
    network.metaserver.kill()
    network.restart_metaserver()
    with RoomMember(network, network.address, "s3") as three:
        three.want(fleece=0)
        assert three.history("fleece") == [(i, "s1", f"number {i}") for i in range(1, 4)]
        assert three.said("fleece", "after")["number"] == 4


@case("what was answered is on the disk, whenever the metaserver is killed; what is said again has one number")
def _(network):
    network.start_metaserver("--room-rate", "1000000")
    one = RoomMember(network, network.address, "s1")
    one.want(fleece=0)
    for _ in range(3):
        for i in range(200):
            one.say("fleece", f"text {one.counter + 1}")
        wait_until(lambda: one.answers, network.patience, "the first answers")
        network.metaserver.kill()
        answered = {counter: answer["number"] for counter, answer in one.answers.items()}
        on_disk = {text: number for number, _, text in rows(network, STATE)}
        for counter, number in answered.items():
            assert number > 0 and on_disk.get(f"text {counter}") == number, (counter, number)
        network.restart_metaserver()
        one.move(network.address)
        wait_until(lambda: len(one.answers) == one.counter, network.patience,
                   lambda: f"{one.counter} answers: {len(one.answers)}")
        texts = [text for _, _, text in rows(network, STATE)]
        assert len(texts) == len(set(texts)) == one.counter, "each once"
    one.end()


@case("a chat that opens when two have come, as the third original starts it")
def _(network):
    network.start_metaserver()
    network.metaserver.end()
    network.metaserver_options = []
    command = network.restart_metaserver
    network.metaserver_options = ["--chat-opens-at", "2"]
    command()
    with RoomMember(network, network.address, "s1") as one:
        assert one.said("lobby", "early")["number"] == 1
        assert one.room_list()["lobby"] == (1, 2, False, 1), one.room_list()
        assert one.history("lobby") == []
        with RoomMember(network, network.address, "s2") as two:
            wait_until(lambda: [text for _, _, text in two.history("lobby")] == ["early"], network.patience,
                       "what was kept")
            assert one.states["lobby"][1] == 2, one.states
    # Open for good, also after a kill.
    network.metaserver.kill()
    network.restart_metaserver()
    with RoomMember(network, network.address, "s3") as three:
        wait_until(lambda: [text for _, _, text in three.history("lobby")] == ["early"], network.patience, "it again")


@case("a flood of messages is refused at its rate, and others are served meanwhile")
def _(network):
    network.start_metaserver()
    with RoomMember(network, network.address, "s1") as flood, RoomMember(network, network.address, "s2") as calm:
        flood.want(fleece=0)
        calm.want(fleece=0)
        before = network.metaserver.peak_memory_bytes()
        say = field(ROOM, field(SAY, message(b"fleece", message(os.urandom(16), 1), b"x" * 4096)))
        stop = threading.Event()

        def run():
            counter = 1
            while not stop.is_set():
                counter += 1
                payload = field(ROOM, field(SAY, message(b"fleece", message(flood.speaker, counter), b"x" * 4096)))
                try:
                    flood.session.send(payload)
                except OSError:
                    return
        assert say
        thread = threading.Thread(target=run)
        thread.start()
        for i in range(5):
            answer = calm.said("lobby", f"calm {i}")
            assert answer["number"] == i + 1, answer
        stop.set()
        thread.join()
        taken = len(rows(network, STATE, "SELECT number FROM log WHERE author = 's1'"))
        assert taken <= 20 + 5 * network.patience, taken
        refused = [answer for answer in list(flood.answers.values()) if answer["number"] == 0]
        assert refused and all(answer["wait"] > 0 for answer in refused), refused[:3]
        grown = network.metaserver.peak_memory_bytes() - before
        assert grown < (64 << 20) * network.memory_factor, f"{grown} bytes"
        assert len(re.findall("fleece|too many", network.metaserver.log)) == 0, "it logs what anybody says"


@case("three: stored twice, the same order everywhere, also over the death of the master and of a home")
def _(network):
    cluster = Cluster(network, 3, "--room-rate", "1000000").start()
    master = cluster.wait_for_master()
    others = [name for name in cluster.names if name != master]
    members = [RoomMember(network, cluster.address(name), f"s{i + 1}") for i, name in enumerate(cluster.names)]
    for one in members:
        one.want(fleece=0)
    wait_until(lambda: len(members[0].who("fleece")) == 3, network.patience,
               lambda: f"three in the room: {members[0].who('fleece')}")
    answers = [one.said("fleece", f"first of {one.name}") for one in members]
    assert sorted(answer["number"] for answer in answers) == [1, 2, 3], answers
    assert all(answer["stored"] >= 2 for answer in answers), answers
    homes = members[0].who()
    assert homes == {f"s{i + 1}": name for i, name in enumerate(cluster.names)}, homes

    def kill(name):
        """While everybody speaks."""
        for one in members:
            for _ in range(50):
                one.say("fleece", f"{one.name} {one.counter + 1}")
        wait_until(lambda: any(len(one.answers) > 5 for one in members), network.patience, "some answers")
        cluster.servers[name].kill()
        living = cluster.living
        for one in members:
            if one.closed or homes[one.name] == name:
                one.move(cluster.address(living[0]))
                homes[one.name] = living[0]
        cluster.wait_for_master()
        wait_until(lambda: all(len(one.answers) == one.counter for one in members), network.patience,
                   lambda: f"all answers: {[(one.name, len(one.answers), one.counter) for one in members]}")
        assert all(answer["number"] > 0 for one in members for answer in one.answers.values())

    def check():
        states = [f".metaserver-{cluster.port(name)}" for name in cluster.living]
        told = sum(one.counter for one in members)
        wait_until(lambda: all(len(rows(network, state)) == told for state in states), network.patience,
                   lambda: f"{told} entries: {[len(rows(network, state)) for state in states]}")
        logs = [rows(network, state) for state in states]
        assert all(log == logs[0] for log in logs), "the same order everywhere"
        texts = {text: number for number, _, text in logs[0]}
        assert len(texts) == told, "each once"
        for one in members:
            for counter, answer in one.answers.items():
                assert texts[one.texts[counter][1]] == answer["number"], (one.name, counter, answer)
        for one in members:
            wait_until(lambda one=one: len(one.history("fleece")) == told, network.patience,
                       lambda one=one: f"{one.name} to see all {told}: {len(one.told('fleece'))}")
            assert one.told("fleece") == logs[0]

    check()
    kill(others[0])
    check()
    cluster.start(others[0])
    cluster.wait_for_master()
    check()
    kill(master)
    check()
    cluster.start(master)
    cluster.wait_for_master()
    check()
    for one in members:
        one.end()
    # All at once, and from the disk again.
    for server in cluster.servers.values():
        if server.alive:
            server.send(signal.SIGKILL)
    for server in cluster.servers.values():
        server.kill()
    cluster.start()
    cluster.wait_for_master()
    with RoomMember(network, cluster.address("m1"), "s9") as late:
        late.want(fleece=0)
        told = sum(one.counter for one in members)
        wait_until(lambda: len(late.history("fleece")) == min(told, 1000), network.patience,
                   lambda: f"{told} entries: {len(late.told('fleece'))}")


@case("the rooms of members are in the directory of every metaserver, and go with them")
def _(network):
    cluster = Cluster(network, 2).start()
    cluster.wait_for_master()
    one = RoomMember(network, cluster.address("m0"), "s1").want(fleece=0, wool=0)
    two = RoomMember(network, cluster.address("m1"), "s2").want(wool=0)

    def of(name):
        reader = sqlite3.connect(network.folder / f".metaserver-{cluster.port(name)}" / "directory.db")
        try:
            return reader.execute("SELECT room, id, home_port FROM user_rooms ORDER BY room, id").fetchall()
        finally:
            reader.close()

    ports = [int(cluster.port(name)) for name in ("m0", "m1")]
    expected = [("fleece", "s1", ports[0]), ("wool", "s1", ports[0]), ("wool", "s2", ports[1])]
    for name in cluster.names:
        wait_until(lambda name=name: of(name) == expected, network.patience, lambda name=name: f"{of(name)}")
    cluster.servers["m0"].kill()
    one.end()
    wait_until(lambda: set(two.who("wool")) == {"s2"}, network.patience, lambda: f"s1 to be gone: {two.who('wool')}")
    assert two.who("fleece") == {}
    two.end()


@case("a full disk is told and acknowledges nothing; a damaged file is refused with what to do")
def _(network):
    network.start_metaserver()
    network.metaserver.end()
    path = network.folder / STATE / "rooms.db"
    path.write_bytes(b"this is no database" * 100)
    code, _, err = network.run(network.program("metaserver"), "--listen", "127.0.0.1:0")
    assert code == 78 and "move it away" in err, (code, err)
    path.unlink()
    network.restart_metaserver()
    with RoomMember(network, network.address, "s1") as one:
        assert one.said("lobby", "first")["stored"] == 1
        path.unlink()
        counter = one.say("lobby", "second")
        network.metaserver.expect_log("the file was removed or replaced")
        said_at = [0.0]

        def is_refused():  # what comes before the metaserver knows waits, as `second` does
            if time.monotonic() > said_at[0] + 0.5:
                said_at[0] = time.monotonic()
                one.say("lobby", "third")
            return any("disk" in answer["why"] for answer in list(one.answers.values()))
        wait_until(is_refused, network.patience, "a refusal")
        assert counter not in one.answers, one.answers


main()
