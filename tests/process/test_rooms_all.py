#!/usr/bin/env python3
"""10,000 messages of eight peers in three rooms of three metaservers, while kill -9 hits homes and the master.

ESPALIER_TEST_SEED=N replays a seed; ESPALIER_TEST_SEEDS=20 runs 20 of them, ESPALIER_TEST_MESSAGES=N with more or fewer
messages. The seed determines who is killed and when, and how fast is spoken. The timing of the machine varies.
"""
import collections
import os
import random
import signal
import sqlite3
import sys
import threading
import time

from cluster import Cluster
from control import Control
from espalier_process import case, main, wait_until
from room_peers import Watcher, join

SEEDS = int(os.environ.get("ESPALIER_TEST_SEEDS", "1"))
SEED = int(os.environ.get("ESPALIER_TEST_SEED", random.SystemRandom().randrange(1_000_000)))
MESSAGES = int(os.environ.get("ESPALIER_TEST_MESSAGES", "10000"))
ROOMS = ("lobby", "fleece", "wool")
PEERS, KILLS = 8, 10
HISTORY = 1000  # kept of a room at least, and told at most


class Talk:
    """Each peer says the next message in each room as soon as the one before is answered, but not faster than `rate`
    in all."""

    def __init__(self, network, peers, seed):
        self.network, self.peers, self.seed = network, peers, seed
        self.rate = 400.0  # a second
        self.lock = threading.Lock()
        self.next = 0
        self.acknowledged = {room: {} for room in ROOMS}  # text: number
        self.open = {room: set() for room in ROOMS}       # the command has ended before the answer came
        self.refused = collections.Counter()
        self.problems = []
        self.threads = [threading.Thread(target=self.run, args=(peer, room), daemon=True)
                        for peer in peers for room in ROOMS]

    def count(self):
        return sum(map(len, self.acknowledged.values()))

    def run(self, peer, room):
        dice = random.Random(f"{self.seed} {peer} {room}")
        try:
            with Control(self.network, peer) as control:
                while True:
                    with self.lock:
                        number = self.next = self.next + 1
                        waits = len(self.threads) / self.rate
                    if number > MESSAGES:
                        return
                    self.say(control, peer, room, number)
                    time.sleep(dice.expovariate(1) * waits)  # the pace of who speaks
        except Exception as error:  # told by the thread of the case
            self.problems.append(f"{peer} in {room}: {error!r}")

    def say(self, control, peer, room, number):
        """Until it is acknowledged: again under another text if it may be said already, as who is told nothing."""
        attempt = 0
        while True:
            text = f"{number} of {MESSAGES} by {peer}" + (f", said again {attempt}" if attempt else "")
            code, told = control.json(f"say #{room} {text}")
            if code == 0:
                assert told[0]["stored"] in (2, 3), told
                with self.lock:
                    self.acknowledged[room][text] = told[0]["number"]
                return
            message = told[0]["error"]["message"]
            self.refused[message] += 1
            if "nothing was said" in message or "waitMs" in told[0]:
                time.sleep(told[0].get("waitMs", 200) / 1000)
                continue
            assert "goes on being sent" in message, told
            self.open[room].add(text)
            attempt += 1

    def start(self):
        for thread in self.threads:
            thread.start()

    def finish(self):
        def ended():
            assert not self.problems, self.problems
            return not any(thread.is_alive() for thread in self.threads)
        wait_until(ended, self.network.patience + 2 * MESSAGES / self.rate, lambda: f"the end: {self.count()} said")
        assert not self.problems, self.problems


class Kills:
    """One metaserver after the other: the next one when the one before is back, and has its place."""

    def __init__(self, cluster, talk, seed):
        self.cluster, self.talk, self.random = cluster, talk, random.Random(seed)
        self.kinds = ["master", "home"] * (KILLS // 2)
        self.random.shuffle(self.kinds)
        self.told = []

    def is_whole(self):
        names = set(self.cluster.names)
        return all({link["name"] for link in self.cluster.told(name, "links")["links"]} == names - {name}
                   for name in names)

    def wait_whole(self):
        wait_until(self.is_whole, self.cluster.network.patience, "all to be linked")
        return self.cluster.wait_for_master()

    def run(self):
        for i, kind in enumerate(self.kinds):
            self.talk.rate = self.random.choice((100.0, 200.0, 400.0, 1000.0))
            due = MESSAGES * (i + self.random.uniform(0.3, 1)) / (KILLS + 1)
            wait_until(lambda due=due: self.talk.count() >= due or self.talk.problems, self.cluster.network.patience +
                       MESSAGES / self.talk.rate, lambda due=due: f"{due} messages: {self.talk.count()}")
            assert not self.talk.problems, self.talk.problems
            master = self.wait_whole()
            name = master if kind == "master" else self.random.choice([one for one in self.cluster.names
                                                                       if one != master])
            self.told.append((kind, name, self.talk.count()))
            self.cluster.servers[name].send(signal.SIGKILL)
            self.cluster.servers[name].process.wait()
            self.talk.rate = 100.0
            ends = time.monotonic() + self.random.choice((0, self.random.uniform(0, 4)))
            while time.monotonic() < ends:
                time.sleep(0.02)  # so long it is away
            self.cluster.start(name)
            self.wait_whole()
        self.talk.rate = 400.0


def log_of(network, cluster, name):
    """{room: [(number, text)]} on that metaserver's disk."""
    path = network.folder / f".metaserver-{cluster.port(name)}" / "rooms.db"
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = reader.execute("SELECT room, number, text FROM log WHERE kind = 1 ORDER BY sequence").fetchall()
    finally:
        reader.close()
    found = {room: [] for room in ROOMS}
    for room, number, text in rows:
        found[room].append((number, text))
    return found


def shown_by(watcher, room):
    return [(event["number"], event["text"]) for event in watcher.of("message") if event["room"] == room]


def check_shown(watchers, talk, room):
    """Returns [(number, text)] as everybody was shown it."""
    shown = {name: shown_by(watcher, room) for name, watcher in watchers.items()}
    first = shown[talk.peers[0]]
    assert len(first) == len(set(text for _, text in first)), f"{room}: twice: {twice_in(first)}"
    for name, own in shown.items():
        assert own == first, f"{room}: {name} was shown another order: {difference(first, own)}"
    numbers = [number for number, _ in first]
    assert numbers == list(range(1, len(first) + 1)), f"{room}: {numbers}"
    by_text = {text: number for number, text in first}
    for text, number in talk.acknowledged[room].items():
        assert by_text.get(text) == number, f"{room}: {text!r} was number {number}, shown as {by_text.get(text)}"
    others = set(by_text) - set(talk.acknowledged[room]) - talk.open[room]
    assert not others, f"{room}: nobody has said {others}"
    return first


def twice_in(entries):
    return [text for text, count in collections.Counter(text for _, text in entries).items() if count > 1]


def difference(one, other):
    for i, (left, right) in enumerate(zip(one, other)):
        if left != right:
            return f"at {i}: {one[max(0, i - 2):i + 3]}, {other[max(0, i - 2):i + 3]}"
    return f"{len(one)} and {len(other)}: {(one + other)[min(len(one), len(other)):][:3]}"


def talk_and_kill(network, seed):
    print(f"        seed {seed}: ESPALIER_TEST_SEED={seed} {sys.argv[0]} replays it", flush=True)
    cluster = Cluster(network, 3, "--room-rate", "1000000").start()
    cluster.wait_for_master()
    names = cluster.start_peers(PEERS)
    for name in names:
        for room in ROOMS[1:]:
            join(network, name, room)
    watchers = {name: Watcher(network, name) for name in names}
    talk = Talk(network, names, seed)
    kills = Kills(cluster, talk, seed)
    talk.start()
    try:
        kills.run()
        talk.finish()
    except AssertionError as error:
        raise AssertionError(f"{error}; kills: {kills.told}; refused: {talk.refused}") from error
    assert talk.count() == MESSAGES, talk.count()
    check(network, cluster, watchers, talk, kills)
    print(f"        {talk.count()} acknowledged, {sum(map(len, talk.open.values()))} given up by their command, "
          f"{sum(talk.refused.values())} refusals; killed: "
          f"{', '.join(f'{name} ({kind})' for kind, name, _ in kills.told)}", flush=True)


def check(network, cluster, watchers, talk, kills):
    def is_shown(name):
        return all(set(talk.acknowledged[room]) <= {text for _, text in shown_by(watchers[name], room)}
                   for room in ROOMS)
    for name in talk.peers:
        wait_until(lambda name=name: is_shown(name), network.patience, lambda name=name: lacking(watchers, talk, name))
    # What was given up by its command may still come.
    def counts():
        return {name: tuple(len(shown_by(watcher, room)) for room in ROOMS) for name, watcher in watchers.items()}
    wait_until(lambda: len(set(counts().values())) == 1, network.patience, counts)
    for name, watcher in watchers.items():
        for kind in ("missing", "missed", "refused"):
            assert watcher.of(kind) == [], f"{name}: {watcher.of(kind)}"
    for room in ROOMS:
        shown = check_shown(watchers, talk, room)
        for name in cluster.names:  # the last one that was killed may be behind
            wait_until(lambda name=name, room=room, last=shown[-1:]: log_of(network, cluster, name)[room][-1:] == last,
                       network.patience, lambda name=name, room=room: f"{name} to have all of {room}")
        logs = {name: log_of(network, cluster, name) for name in cluster.names}
        for name, log in logs.items():
            assert log[room] == shown[-len(log[room]):] and len(log[room]) >= min(HISTORY, len(shown)), \
                f"{room}: {name} has another log: {difference(shown[-len(log[room]):], log[room])}; {kills.told}"
        for name in talk.peers:
            code, told = network.json(name, f"history {room} {HISTORY}")
            assert code == 0 and told[0]["missing"] == [], (name, room, code, told)
            history = [(each["number"], each["text"]) for each in told[0]["messages"] if "text" in each]
            assert history == shown[-HISTORY:], f"{room}: {name}: {difference(shown[-HISTORY:], history)}"


def lacking(watchers, talk, name):
    return {room: sorted(set(talk.acknowledged[room]) - {text for _, text in shown_by(watchers[name], room)})[:5]
            for room in ROOMS}


for each in range(SEEDS):
    @case(f"messages of eight peers in three rooms, kill -9 ten times: none is lost or twice (seed {SEED + each})")
    def _(network, seed=SEED + each):
        talk_and_kill(network, seed)


if __name__ == "__main__":
    main()
