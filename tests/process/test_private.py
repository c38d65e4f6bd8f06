#!/usr/bin/env python3
"""Private messages between real peers: delivered, waiting, refused; floods, escape sequences; past every server."""
import contextlib
import hashlib
import signal
import socket
import sqlite3
import threading

from cluster import Cluster
from espalier_process import case, main, wait_until
from intruder import field, frame, hello, message, parse

PRIVATE = 6
OTHER_INSTANCE, TURNED_AWAY, NOT_PROVEN, NOT_NOW = 1, 2, 3, 4


def said(network, sender, *commands):
    code, told = network.json(sender, *commands)
    return code, told


def texts(network, peer, other, count=1000):
    code, told = network.json(peer, f"msg -n {count} {other}")
    return [each["text"] for each in told[0]["messages"]] if code == 0 else []


def wait_texts(network, peer, other, expected):
    wait_until(lambda: texts(network, peer, other) == expected, network.patience,
               lambda: f"{peer} to have {expected} from {other}: {texts(network, peer, other)}")


def two_peers(network, *options):
    network.start_metaserver(*options)
    network.start_peer("s1", files={})
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])


def restart(network, name):
    """Starts a peer again, and waits until it has joined."""
    network.restart_peer(name)
    wait_until(lambda: network.json(name, "ignore --list")[0] == 0, network.patience, f"{name} to have joined")


def wait_gone(network, name):
    wait_until(lambda: name not in network.topo(), network.patience, f"{name} to be gone")


@case("a message is delivered, kept at both ends, and shown to whom it is for")
def _(network):
    two_peers(network)
    assert said(network, "s1", "msg s2 hi there") == (0, [{"command": "msg", "to": "s2", "delivered": True}])
    code, out, _ = network.command("s1", "$private s2 it's \"quoted\"  twice")
    assert (code, out) == (0, "delivered to s2\n"), (code, out)
    assert texts(network, "s2", "s1") == ["hi there", "it's \"quoted\"  twice"]
    code, told = network.json("s1", "msg s2")
    assert [(each["sent"], each["state"]) for each in told[0]["messages"]] == [(True, "delivered")] * 2
    code, out, _ = network.command("s2", "msg s1")
    assert code == 0 and out.splitlines()[0].endswith("  s1: hi there"), out


@case("a peer that is started for one message, and its outbox at its next start")
def _(network):
    network.start_metaserver()
    network.start_peer("s1", files={})
    wait_until(lambda: "s1" in network.topo(), network.patience, "s1")
    network.fill_share("s2", {})
    code, told = network.json_alone("s2", "-e", "msg s1 hi", "-e", "msg s1")
    assert code == 0 and told[0]["delivered"] is True and told[1]["messages"][0]["text"] == "hi", told
    network.peers["s1"].kill()
    code, told = network.json_alone("s2", "-e", "msg s1 later")
    assert code == 0 and told[0]["delivered"] is False, told
    restart(network, "s1")
    network.start_peer("s2", files={})
    wait_texts(network, "s1", "s2", ["hi", "later"])


@case("what is said at the prompt, and what arrives above it")
def _(network):
    network.start_metaserver()
    network.start_peer("s1", files={})
    network.fill_share("s2", {})
    prompt = network.terminal(network.program("peer"), "--id", "s2", "--share", "./s2")
    prompt.expect(r"s2>")
    network.wait_for_tree(["s1", "s2"])
    prompt.keys("an unfinished line")
    assert said(network, "s1", "msg s2 hi\x1b[2J\u202ethere")[0] == 0
    shown = "s1 (private): hi\\x1b[2J\\u{202e}there\ns2> an unfinished line"
    prompt.wait(lambda: shown in prompt.text(), "the message")
    prompt.keys("\x15msg s1 hello\r")
    prompt.expect("delivered to s1")
    assert texts(network, "s1", "s2") == ["hi\x1b[2J\u202ethere", "hello"]


@case("the recipient is killed: messages wait, and arrive once, in order, when it is back")
def _(network):
    two_peers(network)
    assert said(network, "s1", "msg s2 0")[0] == 0
    network.peers["s2"].kill()
    expected = ["0"]
    for number in range(1, 6):
        code, told = said(network, "s1", f"msg s2 {number}")
        assert code == 0 and told[0]["delivered"] is False and told[0]["waiting"] == number, told
        assert "s2" in told[0]["why"], told
        expected.append(str(number))
    restart(network, "s2")
    wait_texts(network, "s2", "s1", expected)
    for _ in range(3):  # killed while messages arrive
        done = []
        thread = threading.Thread(target=lambda: done.extend(
            said(network, "s1", *[f"msg s2 {number}" for number in range(len(expected), len(expected) + 20)])))
        thread.start()
        wait_until(lambda: len(texts(network, "s2", "s1")) > len(expected) + 3 or done, network.patience, "some")
        network.peers["s2"].kill()
        thread.join()
        expected += [str(number) for number in range(len(expected), len(expected) + 20)]
        restart(network, "s2")
        wait_texts(network, "s2", "s1", expected)


@case("the sender is killed with messages waiting: they go when it is back, each once")
def _(network):
    two_peers(network)
    assert said(network, "s1", "msg s2 0")[0] == 0
    network.peers["s2"].kill()
    wait_gone(network, "s2")
    for number in range(1, 4):
        assert said(network, "s1", f"msg s2 {number}")[1][0]["delivered"] is False
    network.peers["s1"].kill()
    restart(network, "s2")
    restart(network, "s1")
    wait_texts(network, "s2", "s1", ["0", "1", "2", "3"])
    assert said(network, "s1", "msg s2 4")[1][0]["delivered"] is True
    assert texts(network, "s2", "s1") == ["0", "1", "2", "3", "4"]


@case("Ctrl-C ends the waiting, not the message")
def _(network):
    network.start_metaserver()
    network.fill_share("s1", {})
    prompt = network.terminal(network.program("peer"), "--id", "s1", "--share", "./s1")
    prompt.expect(r"s1>")
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])
    network.peers["s2"].send(signal.SIGSTOP)
    prompt.keys("msg s2 hello\r")
    state = network.folder / "s1" / ".espalier" / "private.db"

    def waits():
        with contextlib.closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as database:
            return database.execute("SELECT text FROM messages WHERE state = 'waiting'").fetchall() == [("hello",)]
    wait_until(waits, network.patience, "the message in the outbox")
    prompt.keys("\x03")
    prompt.expect("interrupted: the message stays in the outbox")
    network.peers["s2"].send(signal.SIGCONT)
    wait_texts(network, "s2", "s1", ["hello"])


@case("an id that another peer has by now gets nothing, and the sender is told")
def _(network):
    two_peers(network)
    assert said(network, "s1", "msg s2 for the first")[0] == 0
    assert network.peers["s2"].end() == 0
    wait_gone(network, "s2")
    assert said(network, "s1", "msg s2 also for the first")[1][0]["waiting"] == 1
    network.fill_share("other", {})
    network.spawn("other", network.program("peer"), "--metaserver", network.address, "--id", "s2", "--share",
                  "./other", "--headless")
    network.wait_for_tree(["s1", "s2"])
    code, told = said(network, "s1", "msg s2 for whom?")
    assert code == 77 and "another peer" in told[0]["error"]["message"], told
    code, told = network.json("other", "msg s1")
    assert code == 1, told
    assert said(network, "s1", "msg --new s2 for the second") == (
        0, [{"command": "msg", "to": "s2", "delivered": True}])
    assert texts(network, "other", "s1") == ["for the second"]
    assert network.peers["other"].end() == 0
    wait_gone(network, "s2")
    restart(network, "s2")
    wait_texts(network, "s2", "s1", ["for the first", "also for the first"])


@case("a member that cannot be reached is named with its address; who was never there is refused")
def _(network):
    network.start_metaserver()
    network.start_peer("s1", files={})
    network.start_peer("s2", "--advertise", "127.0.0.9", files={})  # where nobody listens
    wait_until(lambda: {"s1", "s2"} <= set(network.topo()), network.patience, "both")
    code, told = said(network, "s1", "msg s2 hello")
    address = network.endpoint("s2")
    assert code == 0 and told[0]["delivered"] is False, told
    assert told[0]["why"] == f"s2 cannot be reached at {address}", told
    code, told = said(network, "s1", "msg s9 hello")
    assert code == 1 and "s9 is not in the network" in told[0]["error"]["message"], told
    code, told = said(network, "s1", "msg s1 hello")
    assert code == 64, told


@case("whoever is ignored is told so, and heard again when that is undone")
def _(network):
    two_peers(network)
    assert said(network, "s1", "msg s2 hi")[0] == 0
    assert said(network, "s2", "ignore s1") == (0, [{"command": "ignore", "id": "s1", "ignored": True}])
    code, told = said(network, "s1", "msg s2 hello?")
    assert code == 77 and "takes no messages" in told[0]["error"]["message"], told
    network.peers["s2"].kill()
    restart(network, "s2")
    network.wait_for_tree(["s1", "s2"])
    assert network.json("s2", "ignore --list") == (0, [{"command": "ignore", "ids": ["s1"]}])
    wait_until(lambda: said(network, "s1", "msg s2 hello?")[0] == 77, network.patience, "a refusal")
    assert said(network, "s2", "ignore --undo s1")[0] == 0
    assert said(network, "s1", "msg s2 hello!")[1][0]["delivered"] is True
    assert texts(network, "s2", "s1") == ["hi", "hello!"]


@case("4 KiB are delivered, one byte more is refused, half a character is never shown")
def _(network):
    two_peers(network)
    long = "ä" * 2048
    assert said(network, "s1", f"msg s2 {long}")[0] == 0
    assert texts(network, "s2", "s1") == [long]
    code, told = said(network, "s1", f"msg s2 {long}x")
    assert code == 64 and "4096 bytes" in told[0]["error"]["message"], told
    code, _, log = network.run(network.program("peer"), "--share", "./s1", "-e", b"msg s2 half \xc3")
    assert code == 64 and "UTF-8" in log, (code, log)
    assert len(texts(network, "s2", "s1")) == 1


@case("the outbox is full: a clear refusal, and all that waits arrives")
def _(network):
    two_peers(network)
    assert said(network, "s1", "msg s2 first")[0] == 0
    network.peers["s2"].kill()
    wait_gone(network, "s2")
    state = network.folder / "s1" / ".espalier" / "private.db"
    assert network.peers["s1"].end() == 0
    with contextlib.closing(sqlite3.connect(state)) as database:
        instance, sent, position = database.execute(
            "SELECT instance, sent, (SELECT max(position) FROM messages) FROM conversations").fetchone()
        for number in range(1, 1000):
            database.execute("INSERT INTO messages VALUES (?, ?, 1, ?, 1790000000000, 'waiting', ?)",
                             (position + number, instance, sent + number, f"{number}"))
        database.execute("UPDATE conversations SET sent = sent + 999")
        database.execute("UPDATE messages SET at = (unixepoch() * 1000)")
        database.commit()
    restart(network, "s1")
    wait_until(lambda: "s1" in network.topo(), network.patience, "s1")
    assert said(network, "s1", "msg s2 1000")[1][0]["waiting"] == 1000
    code, told = said(network, "s1", "msg s2 one too many")
    assert code == 77 and "the outbox is full: 1000 messages wait" in told[0]["error"]["message"], told
    restart(network, "s2")
    wait_until(lambda: texts(network, "s2", "s1")[-1:] == ["1000"], 4 * network.patience, "the last message")
    assert texts(network, "s2", "s1") == [str(number) for number in range(1, 1001)]


@case("a database that is damaged, or newer, keeps the peer from starting, and says what to do")
def _(network):
    two_peers(network)
    assert said(network, "s1", "msg s2 hi")[0] == 0
    assert network.peers["s2"].end() == 0
    path = network.folder / "s2" / ".espalier" / "private.db"
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    path.write_bytes(b"no database" * 100)
    code, _, log = network.run(*network.peer_command("s2", "--headless"))
    assert code == 78 and "private.db" in log and "move it away" in log, (code, log)
    path.write_bytes(before)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")
    code, _, log = network.run(*network.peer_command("s2", "--headless"))
    assert code == 78 and "private.db" in log, (code, log)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1")
    restart(network, "s2")
    wait_texts(network, "s2", "s1", ["hi"])


@case("a state folder that was removed comes back with its private messages")
def _(network):
    two_peers(network)
    assert said(network, "s1", "msg s2 one")[0] == 0
    path = network.folder / "s2" / ".espalier" / "private.db"
    path.unlink()
    assert said(network, "s1", "msg s2 two")[1][0]["delivered"] is True
    assert path.exists()
    network.peers["s2"].kill()
    restart(network, "s2")
    wait_texts(network, "s2", "s1", ["one", "two"])


@case("peers of two metaservers, and after one of them has died")
def _(network):
    cluster = Cluster(network, 2).start()
    cluster.wait_for_master()
    for name, home in (("s1", "m0"), ("s2", "m1")):
        network.fill_share(name, {})
        network.spawn(name, network.program("peer"), "--metaserver", cluster.address(home), "--id", name, "--share",
                      f"./{name}", "--headless").expect_log("joined on")
    delivered = {"command": "msg", "to": "s2", "delivered": True}
    assert said(network, "s1", "msg s2 one") == (0, [delivered])
    assert said(network, "s2", "msg s1 two")[1][0]["delivered"] is True
    network.peers["s1"].kill()
    assert said(network, "s2", "msg s1 three")[1][0]["delivered"] is False
    cluster.servers["m0"].kill()
    network.spawn("s1", network.program("peer"), "--metaserver", cluster.address("m1"), "--id", "s1", "--share",
                  "./s1", "--headless")
    wait_texts(network, "s1", "s2", ["one", "two", "three"])
    wait_until(lambda: said(network, "s1", "msg s2 four")[1] == [delivered], network.patience, "a delivery")


# --- strangers

class Stranger:
    """A connection for private messages, with any content."""

    def __init__(self, endpoint, source="127.0.0.1"):
        host, port = endpoint.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10, source_address=(source, 0))
        self.socket.sendall(frame(hello(PRIVATE)))
        assert 1 in parse(self.receive()), "no Welcome"

    def receive(self):
        data = self.read(4)
        return self.read(int.from_bytes(data, "big")) if data else b""

    def read(self, count):
        data = b""
        while len(data) < count:
            with contextlib.suppress(ConnectionError):
                more = self.socket.recv(count - len(data))
                if more:
                    data += more
                    continue
            return b""
        return data

    def say(self, number, content):
        self.socket.sendall(frame(field(number, content)))

    def introduce(self, name, instance, to, stream=7):
        self.say(1, message(name, instance, to, stream))
        return parse(self.receive())

    def close(self):
        self.socket.close()


def instance_of(network, name):
    key = (network.folder / name / ".espalier" / "instance.key").read_text(encoding="utf-8").strip()
    return hashlib.sha256(bytes.fromhex(key)).digest()[:16]


@case("a recipient believes nobody: id, instance and address are those of a member, or nothing is kept")
def _(network):
    two_peers(network)
    first, second = instance_of(network, "s1"), instance_of(network, "s2")
    at = network.endpoint("s2")
    for name, instance, to, source, reason in (
            (b"s9", first, second, "127.0.0.1", NOT_PROVEN), (b"s1", second[::-1], second, "127.0.0.1", NOT_PROVEN),
            (b"s1", first, second, "127.0.0.2", NOT_PROVEN), (b"s1", first, first, "127.0.0.1", OTHER_INSTANCE)):
        with contextlib.closing(Stranger(at, source)) as stranger:
            answer = stranger.introduce(name, instance, to)
            assert parse(answer[5])[1] == reason, (name, source, answer)
            assert stranger.receive() == b""
    for content in (b"\xff\xff", field(1, b""), field(3, message(1, 5, b"too early")), field(9, b"x")):
        with contextlib.closing(Stranger(at)) as stranger:
            stranger.socket.sendall(frame(content))
            assert stranger.receive() == b""
    assert network.json("s2", "msg s1")[0] == 1


@case("a flood is slowed down at its sender, and others are served meanwhile")
def _(network):
    network.start_metaserver()
    for name in ("s1", "s2", "s3"):
        network.start_peer(name, files={})
    network.wait_for_tree(["s1", "s2", "s3"])
    stranger = Stranger(network.endpoint("s2"))
    ready = stranger.introduce(b"s1", instance_of(network, "s1"), instance_of(network, "s2"))
    assert 2 in ready, ready
    ended = threading.Event()

    def flood():
        with contextlib.suppress(OSError):
            for number in range(1, 100_000):
                stranger.say(3, message(number, 5, b"x" * 4000))
        ended.set()
    threading.Thread(target=flood, daemon=True).start()
    for number in range(5):
        assert said(network, "s3", f"msg s2 {number}")[1][0]["delivered"] is True
    wait_until(ended.is_set, network.patience, "the end of the connection")  # it sends on though nothing is stored
    stranger.close()
    assert len(texts(network, "s2", "s1")) <= 700  # 400 at once, and 50 a second
    assert texts(network, "s2", "s3") == ["0", "1", "2", "3", "4"]


# --- past every server

class Proxy:
    """Passes on what peers and metaserver say to each other, and keeps it."""

    def __init__(self, target):
        self.target, self.bytes, self.lock = target, bytearray(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            host, port = self.target.rsplit(":", 1)
            far = socket.create_connection((host, int(port)))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    def pump(self, one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                with self.lock:
                    self.bytes += data
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)


@case("nothing of a private message is on any connection of the metaserver")
def _(network):
    network.start_metaserver()
    proxy = Proxy(network.address)
    network.at_close.append(proxy.listener.close)
    network.address = proxy.address
    for name in ("s1", "s2", "s3"):
        network.start_peer(name, files={})
    network.wait_for_tree(["s1", "s2", "s3"])
    secret = "a word that nobody else says: Zwetschgendatschi"
    for sender, to in (("s1", "s2"), ("s2", "s3"), ("s3", "s1")):
        assert said(network, sender, f"msg {to} {secret}")[1][0]["delivered"] is True
    network.peers["s3"].kill()
    wait_gone(network, "s3")
    assert said(network, "s1", f"msg s3 {secret}")[0] == 0
    restart(network, "s3")
    wait_texts(network, "s3", "s1", [secret, secret])
    with proxy.lock:
        seen = bytes(proxy.bytes)
    assert b"s1" in seen and len(seen) > 1000
    parts = {secret.encode()[at:at + 8] for at in range(len(secret) - 8)}
    assert not [part for part in parts if part in seen]


if __name__ == "__main__":
    main()
