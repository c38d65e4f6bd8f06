#!/usr/bin/env python3
"""Rooms of real peers at real metaservers: everybody sees the same, once, in the same order, whatever dies."""
import re
import subprocess
import sys

from cluster import Cluster
from espalier_process import ROOT, case, main, wait_until
from room_peers import Watcher, cluster_terminal, join, room_of, said, start_peers, texts


@case("what is said in the lobby is numbered, stored, and the same for all")
def _(network):
    start_peers(network, "s1", "s2", "s3")
    watcher = Watcher(network, "s3")
    code, told = network.json("s1", "say hi there")
    assert (code, told) == (0, [{"command": "say", "room": "lobby", "number": 1, "epoch": told[0]["epoch"],
                                 "stored": 1}]), told
    assert said(network, "s2", "it's \"quoted\"  twice") == 2
    expected = ["hi there", "it's \"quoted\"  twice"]
    for name in ("s1", "s2", "s3"):
        assert texts(network, name) == expected, name
    watcher.wait_texts(expected)
    first = watcher.of("message")[0]
    assert (first["room"], first["number"], first["from"]) == ("lobby", 1, "s1"), first
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", first["at"]), first
    assert watcher.interrupt() == 130
    code, out, _ = network.command("s2", "history")
    assert code == 0 and out.splitlines()[0].endswith("  s1: hi there"), out


@case("rooms begin with the first who joins, have members, and are left again")
def _(network):
    start_peers(network, "s1", "s2", "s3")
    assert join(network, "s1", "fleece")["members"] == 1
    assert join(network, "s2", "fleece")["members"] == 2
    watcher = Watcher(network, "s1", "fleece")
    code, told = network.json("s3", "say #fleece hello")
    assert code == 64 and "join it first" in told[0]["error"]["message"], told
    assert said(network, "s2", "#fleece s1: are you there?") == 1
    said(network, "s2", "not there")
    wait_until(lambda: (room_of(network, "s1", "fleece") or {}).get("unread") == 1, network.patience, "an unread one")
    row = room_of(network, "s1", "fleece")
    assert (row["members"], row["open"], row["joined"], row["naming"]) == (2, True, True, 1), row
    assert room_of(network, "s3", "fleece")["joined"] is False
    assert texts(network, "s1", "fleece") == ["s1: are you there?"]
    assert room_of(network, "s1", "fleece")["unread"] == 0
    assert texts(network, "s1") == ["not there"]
    code, told = network.json("s3", "who fleece")
    assert code == 0 and [each["id"] for each in told[0]["members"]] == ["s1", "s2"], told
    code, told = network.json("s3", "who")
    assert [each["id"] for each in told[0]["members"]] == ["s1", "s2", "s3"], told
    assert all(each["home"] and each["since"] for each in told[0]["members"]), told
    join(network, "s3", "fleece")
    assert network.json("s2", "part fleece") == (0, [{"command": "part", "room": "fleece"}])
    wait_until(lambda: watcher.of("left"), network.patience, lambda: watcher.events)
    assert watcher.of("joined") == [{"event": "joined", "room": "fleece", "id": "s3"}], watcher.events
    assert watcher.of("left") == [{"event": "left", "room": "fleece", "id": "s2"}], watcher.events
    assert watcher.texts("fleece") == ["s1: are you there?"]
    assert network.json("s2", "part lobby")[0] == 64
    assert network.json("s2", "history fleece")[0] == 64


@case("what others say appears above the line that is typed, escaped; chat says every line")
def _(network):
    network.start_metaserver()
    network.start_peer("s1", files={})
    network.fill_share("s2", {})
    prompt = network.terminal(network.program("peer"), "--id", "s2", "--share", "./s2")
    prompt.expect(r"s2>")
    network.wait_for_tree(["s1", "s2"])
    join(network, "s1", "fleece")
    prompt.keys("join fleece\r")
    prompt.expect("you are in fleece: 2 members")
    prompt.keys("an unfinished line")
    said(network, "s1", "#fleece hi\x1b[2J\u202ethere")
    shown = "fleece  s1: hi\\x1b[2J\\u{202e}there\ns2> an unfinished line"
    prompt.wait(lambda: shown in prompt.text(), "the message")
    prompt.keys("\x15chat fleece\r")
    prompt.expect("fleece: every line is said there.*")
    prompt.keys("it's me\r")
    wait_until(lambda: texts(network, "s1", "fleece")[-1:] == ["it's me"], network.patience, "what was said")
    prompt.keys("/who fleece\r")
    prompt.expect("2 members")
    prompt.keys("$private s1 psst\r")
    prompt.expect("delivered to s1")
    said(network, "s1", "#fleece and me")
    prompt.expect("fleece  s1: and me")
    prompt.keys("\x04")
    prompt.keys("rooms\r")
    prompt.expect("fleece  2 members.*")
    assert texts(network, "s1", "fleece") == ["hi\x1b[2J\u202ethere", "it's me", "and me"]


@case("a peer is in its rooms again after a restart, is shown what it missed, and nothing twice")
def _(network):
    start_peers(network, "s1", "s2")
    for name in ("s1", "s2"):
        join(network, name, "fleece")
    watcher = Watcher(network, "s2")
    said(network, "s1", "#fleece one")
    watcher.wait_texts(["one"], "fleece")
    network.peers["s2"].kill()
    watcher.kill()
    said(network, "s1", "#fleece two")
    said(network, "s1", "three")
    network.restart_peer("s2")
    wait_until(lambda: network.json("s2", "ignore --list")[0] == 0, network.patience, "s2 to have joined")
    wait_until(lambda: (room_of(network, "s2", "fleece") or {}).get("unread") == 2, network.patience,
               lambda: f"two unread messages: {room_of(network, 's2', 'fleece')}")
    assert room_of(network, "s2", "fleece")["joined"] is True
    watcher = Watcher(network, "s2")
    said(network, "s1", "#fleece four")
    watcher.wait_texts(["four"], "fleece")
    assert texts(network, "s2", "fleece") == ["one", "two", "four"]
    assert texts(network, "s2") == ["three"]


@case("a chat that opens when so many have come: what was said before appears then, in order")
def _(network):
    start_peers(network, "s1", "s2", "s3")
    told = join(network, "s1", "quorum", "--opens-at", "3")
    assert (told["open"], told["members"], told["opensAt"]) == (False, 1, 3), told
    said(network, "s1", "#quorum before")
    watcher = Watcher(network, "s2")
    join(network, "s2", "quorum")
    assert texts(network, "s2", "quorum") == []
    code, out, _ = network.command("s2", "rooms")
    assert code == 0 and "quorum  2 of 3 are here: the chat opens at 3" in out, out
    said(network, "s2", "#quorum me, too")
    assert watcher.texts("quorum") == []
    join(network, "s3", "quorum")
    watcher.wait_texts(["before", "me, too"], "quorum")
    assert watcher.of("opened"), watcher.events
    assert network.json("s3", "part quorum")[0] == 0  # open for good
    said(network, "s1", "#quorum behind")
    watcher.wait_texts(["before", "me, too", "behind"], "quorum")
    assert room_of(network, "s2", "quorum")["open"] is True


@case("the last of those by whom the network opens is shown what was said before, at once")
def _(network):
    for i in range(5):
        network.start_metaserver("--chat-opens-at", "2", "--state", f"state{i}")
        early, late = f"a{i}", f"b{i}"
        network.start_peer(early, files={})
        network.peers[early].expect_log(f"{early} joined|joined on")
        said(network, early, "before")
        assert texts(network, early) == []
        network.start_peer(late, files={})
        network.peers[late].expect_log(f"{late} joined|joined on")
        wait_until(lambda late=late: (room_of(network, late, "lobby") or {}).get("unread") == 1, network.patience,
                   lambda late=late: f"what was said to be shown: {room_of(network, late, 'lobby')}")
        network.metaserver.end()
        for name in (early, late):
            network.peers[name].end()


@case("whoever is ignored is not heard in rooms either")
def _(network):
    start_peers(network, "s1", "s2", "s3")
    watcher = Watcher(network, "s2")
    assert network.json("s2", "ignore s1")[0] == 0
    said(network, "s1", "not heard")
    said(network, "s3", "heard")
    watcher.wait_texts(["heard"])
    assert texts(network, "s2") == ["heard"]
    assert room_of(network, "s2", "lobby")["unread"] == 0  # read by history
    assert texts(network, "s3") == ["not heard", "heard"]


@case("who says too much at once is told how long to wait, with 75")
def _(network):
    start_peers(network, "s1")
    code, told = network.json("s1", *[f"say {number}" for number in range(40)])
    refused = [each for each in told if "error" in each]
    assert code == 75 and refused and refused[0]["error"]["code"] == 75, told[-1]
    assert "wait" in refused[0]["error"]["message"] and refused[0]["waitMs"] > 0, refused[0]
    assert len(texts(network, "s1")) == len(told) - len(refused)
    code, told = network.json("s1", "say " + "ä" * 2049)
    assert code == 64 and "4096 bytes" in told[0]["error"]["message"], told


@case("without a metaserver nothing is lost, and the rooms go on when it is back")
def _(network):
    start_peers(network, "s1", "s2")
    said(network, "s1", "one")
    network.metaserver.kill()
    wait_until(lambda: network.json("s1", "rooms")[1][0].get("problem"), network.patience, "the loss")
    code, told = network.json("s1", "join later")
    assert code == 0 and told[0]["waiting"] is True, told
    code, told = network.json("s1", "say nobody hears that")
    assert code == 69 and "nothing was said" in told[0]["error"]["message"], told
    network.restart_metaserver()
    wait_until(lambda: (room_of(network, "s1", "later") or {}).get("members") == 1, network.patience, "the room")
    said(network, "s1", "two")
    assert texts(network, "s2") == ["one", "two"]


@case("three metaservers: a home dies, the master dies; all see the same, once, in the same order")
def _(network):
    cluster = Cluster(network, 3).start()
    cluster.wait_for_master()
    names = cluster.start_peers(3)
    watchers = {name: Watcher(network, name) for name in names}
    expected = []

    def say(peer, text):
        code, told = network.json(peer, f"say {text}")
        assert code == 0, (peer, text, told)
        expected.append(text)
        return told[0]
    assert say("s1", "one")["stored"] >= 2
    say("s2", "two")
    master = cluster.wait_for_master()
    homes = {name: cluster.home(name) for name in names}
    victim = next(server for server in cluster.names if server != master)
    cluster.servers[victim].kill()
    moved = [name for name in names if homes[name] == cluster.address(victim)]
    for name in moved + names:
        say(name, f"{name} after the home")
    for name in names:
        watchers[name].wait_texts(expected)
    cluster.servers[master].kill()
    for name in names:
        say(name, f"{name} after the master")
    for name in names:
        watchers[name].wait_texts(expected)
        assert texts(network, name) == expected, name
    cluster.start(victim, master)
    cluster.wait_for_master()
    assert say("s3", "together")["stored"] >= 2
    for name in names:
        watchers[name].wait_texts(expected)


@case("the dialogue of the third original: a network for two, the servers change, nothing is lost or told twice")
def _(network):
    cluster = Cluster(network, 2, "--chat-opens-at", "2").start()
    cluster.wait_for_master()
    ada = cluster_terminal(network, cluster, "ada", "m0")
    ada.keys("say hello, is anybody here?\r")
    ada.expect("said in lobby as number.*")
    ada.keys("history\r")
    ada.expect("nothing is shown before the chat opens")
    bob = cluster_terminal(network, cluster, "bob", "m1")
    ada.expect("lobby: the chat is open")
    bob.expect(r"lobby  ada: hello, is anybody here\?")
    bob.keys("chat\r")
    bob.expect("lobby: every line is said there.*")
    bob.keys("yes, I am\r")
    ada.expect("lobby  bob: yes, I am")
    bob.keys("$private ada between us\r")
    bob.expect("delivered to ada")
    ada.expect(r"bob \(private\): between us")
    master = cluster.wait_for_master()
    cluster.servers[master].kill()  # servers come and go
    bob.keys("still there?\r")
    ada.expect(r"lobby  bob: still there\?")
    ada.keys("say still here\r")
    bob.expect("lobby  ada: still here")
    bob.keys("\x04")
    bob.keys("history\r")
    bob.wait(lambda: bob.text().count("  ada: still here") == 2, "the history")
    for screen in (ada, bob):
        assert screen.text().count("between us") == 1, screen.text()
    assert ada.text().count("lobby  bob: yes, I am") == 1, ada.text()


@case("the bot of the documents answers")
def _(network):
    start_peers(network, "s1", "bot")
    process = subprocess.Popen(
        [sys.executable, ROOT / "docs" / "bot.py", network.program("peer"), "--share", "./bot"],
        cwd=network.folder, env=network.env, stdout=subprocess.PIPE, text=True)
    network.at_close.append(process.kill)
    assert process.stdout.readline() == "the bot listens\n"
    said(network, "s1", "!echo hello")
    wait_until(lambda: texts(network, "s1") == ["!echo hello", "s1: hello"], network.patience,
               lambda: texts(network, "s1"))
    assert network.json("s1", "msg bot psst")[1][0]["delivered"] is True

    def answered():
        code, told = network.json("s1", "msg bot")
        return code == 0 and [each["text"] for each in told[0]["messages"]] == ["psst", "you said: psst"]
    wait_until(answered, network.patience, "the bot's answer")


@case("a database that is damaged keeps the peer from starting, and says what to do")
def _(network):
    start_peers(network, "s1")
    join(network, "s1", "fleece")
    assert network.peers["s1"].end() == 0
    path = network.folder / "s1" / ".espalier" / "rooms.db"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"no database" * 100)
    code, _, log = network.run(*network.peer_command("s1", "--headless"))
    assert code == 78 and "rooms.db" in log and "move it away" in log, (code, log)


if __name__ == "__main__":
    main()
