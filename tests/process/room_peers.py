"""What the tests of rooms do with real peers: they say, join, ask for the history, and watch."""
import json
import signal
import subprocess
import threading

from espalier_process import wait_until


def said(network, peer, text):
    """Says it, and returns the number that it got."""
    code, told = network.json(peer, f"say {text}")
    assert code == 0, (peer, text, told)
    return told[0]["number"]


def texts(network, peer, room="lobby", count=1000):
    code, told = network.json(peer, f"history {room} {count}")
    assert code == 0, (peer, room, told)
    return [each["text"] for each in told[0]["messages"] if "text" in each]


def room_of(network, peer, room):
    code, told = network.json(peer, "rooms")
    assert code == 0, told
    return next((each for each in told[0]["rooms"] if each["room"] == room), None)


def join(network, peer, *words):
    code, told = network.json(peer, " ".join(("join", *words)))
    assert code == 0, (peer, words, told)
    return told[0]


def start_peers(network, *names):
    network.start_metaserver()
    for name in names:
        network.start_peer(name, files={})
    network.wait_for_tree(list(names))


def cluster_terminal(network, cluster, name, server):
    """A peer with a prompt at that metaserver."""
    network.fill_share(name, {})
    network.address = cluster.address(server)
    prompt = network.terminal(network.program("peer"), "--id", name, "--share", f"./{name}")
    prompt.wait(lambda: f"{name}>" in prompt.text(), "the prompt")
    return prompt


class Watcher:
    """What `watch` of a peer prints, as it comes."""

    def __init__(self, network, peer, *rooms):
        self.network, self.events = network, []
        self.process = subprocess.Popen(
            [network.program("peer"), *network.running(peer), "--json", "-e", " ".join(("watch", *rooms))],
            cwd=network.folder, env=network.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        network.at_close.append(self.kill)
        wait_until(lambda: self.of("watching"), network.patience, f"{peer} to watch")

    def read(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def of(self, kind):
        return [event for event in list(self.events) if event.get("event") == kind]

    def texts(self, room="lobby"):
        return [event["text"] for event in self.of("message") if event["room"] == room]

    def wait_texts(self, expected, room="lobby"):
        wait_until(lambda: self.texts(room) == expected, self.network.patience,
                   lambda: f"{expected}, not {self.texts(room)}")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(self.network.patience)
