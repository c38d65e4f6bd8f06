#!/usr/bin/env python3
"""`history` at a metaserver: what it keeps of a room, bounded, and nothing of a room that is closed."""
import re
import socket

from cluster import Cluster
from espalier_process import case, main, wait_until
from room_member import RoomMember

STATE = ".metaserver"
HOSTILE = "<b>&\x1b[2J\u202eneddih\u200b"


def history(network, line="history", code=0):
    """What --json prints of it at the metaserver."""
    got, told = network.json_of(network.program("metaserver"), "--state", STATE, "--json", "-e", line)
    assert got == code and len(told) == 1, (got, told)
    return told[0]


def texts(told):
    return [message.get("text", "opened") for message in told["messages"]]


@case("a metaserver shows what was said as a peer's history does, also after a kill, and escapes it")
def _(network):
    network.start_metaserver()
    assert history(network) == {"command": "history", "room": "lobby", "missing": [], "messages": []}
    error = history(network, "history fleece", 1)["error"]
    assert error["message"] == "there is no room fleece", error
    network.start_peer("s1", files={})
    wait_until(lambda: network.json("s1", "join fleece")[1][0].get("members") == 1, network.patience, "s1 in fleece")
    assert texts(history(network, "history fleece")) == []  # nobody has said anything
    for text in ("first", "second", HOSTILE):
        assert network.command("s1", f"say #fleece {text}")[0] == 0
    for line in ("history fleece", "history '#fleece' 2", "history fleece 1000"):
        assert history(network, line) == network.json("s1", line)[1][0], line
    assert texts(history(network, "history fleece 2")) == ["second", HOSTILE]
    code, out, _ = network.run(network.program("metaserver"), "--state", STATE, "-e", "history fleece 1")
    assert code == 0 and re.fullmatch(r"\S+ \d\d:\d\d  s1: <b>&\\x1b\[2J\\u\{202e\}neddih\\u\{200b\}\n", out), out
    assert history(network, "history fleece 1001", 64)["error"]["message"] == "N is 1 to 1000"
    network.metaserver.kill()
    network.restart_metaserver()
    wait_until(lambda: "problem" not in history(network, "history fleece"), network.patience, "a decision")
    assert texts(history(network, "history fleece")) == ["first", "second", HOSTILE]


@case("nothing is shown of a room before it opens, nor of any room before the network does")
def _(network):
    network.start_metaserver("--chat-opens-at", "2")
    with RoomMember(network, network.address, "s1").want(fleece=0) as one:
        assert one.said("fleece", "early")["number"] == 1
        assert one.said("lobby", "early")["number"] == 1
        for line in ("history", "history fleece"):
            told = history(network, line)
            assert told["open"] is False and told["messages"] == [], told
        code, out, _ = network.run(network.program("metaserver"), "--state", STATE, "-e", "history fleece")
        assert (code, out) == (0, "nothing is shown before the chat opens\n"), out
        with RoomMember(network, network.address, "s2").want(fleece=0, quorum=3) as two:
            wait_until(lambda: texts(history(network, "history fleece")) == ["early"], network.patience, "an opening")
            assert texts(history(network)) == ["early", "opened"]
            assert two.said("quorum", "kept")["number"] == 2
            assert history(network, "history quorum")["open"] is False


@case("long messages come in many parts, and what would be too much is counted")
def _(network):
    network.start_metaserver("--room-rate", "1000000")
    with RoomMember(network, network.address, "s1").want(fleece=0) as one:
        said = [f"{i:04} " + "x" * 4000 for i in range(1, 301)]
        for i, text in enumerate(said, 1):
            one.say("fleece", text)
            if i % 100 == 0:
                wait_until(lambda i=i: len(one.answers) == i, network.patience, lambda: f"{len(one.answers)} answers")
        assert texts(history(network, "history fleece 100")) == said[-100:]
        told = history(network, "history fleece 1000")
        more = told["more"]
        assert 20 < more < 80 and texts(told) == said[more:], (more, texts(told)[:1])
        assert told["missing"] == [] and told["messages"][0]["number"] == more + 1
        code, out, _ = network.run(network.program("metaserver"), "--state", STATE, "-e", "history fleece 1000")
        assert code == 0 and out.startswith(f"({more} are older than these and left out: ask for fewer)\n"), out[:200]


@case("while its disk fails a metaserver says that it cannot read the rooms, and why that may be")
def _(network):
    network.start_metaserver()
    with RoomMember(network, network.address, "s1") as one:
        assert one.said("lobby", "first")["stored"] == 1
        path = network.folder / STATE / "rooms.db"
        path.rename(path.with_name("away.db"))
        assert "the rooms cannot be read" in history(network, "history", 69)["error"]["message"]
        path.with_name("away.db").rename(path)
        wait_until(lambda: network.run(network.program("metaserver"), "--state", STATE, "-e", "history")[0] == 0,
                   network.patience, "the disk to be back")
        assert texts(history(network)) == ["first"]


@case("each metaserver of a cluster shows the same; one that has no master says what it may lack")
def _(network):
    cluster = Cluster(network, 2).start()
    cluster.wait_for_master()
    with RoomMember(network, cluster.address("m1"), "s1").want(fleece=0) as one:
        said = [f"number {i}" for i in (1, 2, 3)]
        for text in said:
            assert one.said("fleece", text)["stored"] == 2
        for name in cluster.names:
            wait_until(lambda name=name: texts(cluster.told(name, "history fleece")) == said, network.patience,
                       lambda name=name: f"{name}: {cluster.told(name, 'history fleece')}")
        assert cluster.told("m0", "history fleece") == cluster.told("m1", "history fleece")
    for name in cluster.names:
        cluster.servers[name].kill()
    # The other one never answers: it is waited for, for 5 s.
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        silent.bind(("127.0.0.1", int(cluster.port("m0"))))
        silent.listen()
        cluster.start("m1")
        told = cluster.told("m1", "history fleece")
        assert told["problem"].startswith("there is no master"), told
        code, told = cluster.json("m1", "history wool")
        assert code == 69 and "there is no room wool here: there is no master" in told["error"]["message"], told
    wait_until(lambda: "problem" not in cluster.told("m1", "history fleece"), network.patience, "a master")
    assert texts(cluster.told("m1", "history fleece")) == said


main()
