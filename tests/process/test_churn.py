#!/usr/bin/env python3
"""Peers join, leave, are killed and are stopped all the time, while the metaserver is killed and started again.

ESPALIER_TEST_SEED=N replays a seed; ESPALIER_TEST_SEEDS=K runs K of them, ESPALIER_TEST_PEERS=N with more or fewer
peers. The seed determines which peer does what and when. The timing of the machine varies, so a seed that failed may
have to be run more than once.
"""
import os
import random
import signal
import sys
import time

from espalier_process import case, main, parse_topo, text_of, wait_until, why_no_tree

PEERS = int(os.environ.get("ESPALIER_TEST_PEERS", "60"))
SEEDS = int(os.environ.get("ESPALIER_TEST_SEEDS", "1"))
SEED = int(os.environ.get("ESPALIER_TEST_SEED", random.SystemRandom().randrange(1_000_000)))
CHURN_SECONDS = 20
SEARCHES = 5


class Churn:
    """Which peers live, which are stopped, and what happens next."""

    def __init__(self, network, seed):
        self.network, self.random = network, random.Random(seed)
        self.living, self.stopped = [], {}
        self.count = 0
        self.before_restart = None  # topo.txt when the metaserver was killed

    def start(self):
        self.count += 1
        name = f"s{self.count}"
        self.network.start_peer(name, "--quiet", files={f"file of {name}.txt": name.encode()})
        self.living.append(name)

    def kill(self):
        name = self.living.pop(self.random.randrange(len(self.living)))
        self.stopped.pop(name, None)
        self.network.peers[name].kill()

    def stop(self, now):
        name = self.random.choice(self.living)
        if name in self.stopped:
            return
        self.network.peers[name].send(signal.SIGSTOP)
        self.stopped[name] = now + self.random.uniform(0.5, 3)

    def resume(self, now):
        for name, until in list(self.stopped.items()):
            if now >= until:
                del self.stopped[name]
                self.network.peers[name].send(signal.SIGCONT)

    def come_or_go(self):
        """Keeps the number of peers near that at the start, and above zero."""
        more = len(self.living) < PEERS if self.random.random() < 0.3 else self.random.random() < 0.5
        if more or len(self.living) < PEERS // 2:
            self.start()
        else:
            self.kill()

    def check_ended(self):
        ended = {name: self.network.peers[name] for name in self.living if not self.network.peers[name].alive}
        told = [f"{name} with {peer.process.returncode}: {peer.log[-500:]}" for name, peer in ended.items()]
        assert not told, "peers ended by themselves: " + "; ".join(told)

    def check_topo(self, links):
        """What holds of topo.txt at any moment: peers of one time, within their slots, both ends of links agreeing."""
        for one, others in links.items():
            assert len(others) <= self.network.max_links, f"{one} has {len(others)} links"
            for other in others:
                assert one in links.get(other, ()), f"{one} names {other}, but not the other way round: {links}"

    def run(self):
        begun = time.monotonic()
        restarts = sorted(self.random.uniform(2, CHURN_SECONDS - 2) for _ in range(self.random.choice((2, 3))))
        starts_again = None
        next_change = next_stop = begun
        while (now := time.monotonic()) - begun < CHURN_SECONDS or starts_again:
            if now >= next_change:
                self.come_or_go()
                next_change = now + self.random.uniform(0.05, 0.3)
            if now >= next_stop:
                self.stop(now)
                next_stop = now + self.random.uniform(0.3, 1.5)
            self.resume(now)
            if starts_again and now >= starts_again:
                self.network.restart_metaserver()
                starts_again = None
            elif not starts_again and restarts and now - begun >= restarts[0]:
                restarts.pop(0)
                self.network.metaserver.kill()
                self.before_restart = text_of(self.network.topo_path)
                starts_again = now + self.random.uniform(0.2, 2)
            if starts_again:  # no process writes it meanwhile
                assert text_of(self.network.topo_path) == self.before_restart
            self.check_topo(self.network.topo())
            self.check_ended()
            time.sleep(0.02)  # between two checks

    def calm(self):
        for name in self.stopped:
            self.network.peers[name].send(signal.SIGCONT)
        self.stopped.clear()
        begun = time.monotonic()
        self.network.wait_for_tree(self.living)
        tree = time.monotonic() - begun
        self.network.wait_for_tree_by_peers(self.living)
        self.check_ended()
        return tree

    def search(self):
        """Searches by some peers find every peer's file, and all peers have answered."""
        wanted = {f"file of {name}.txt" for name in self.living}
        told = []

        def is_complete(name):
            told[:] = self.network.json(name, "find 'file of'")[1]
            found = {hit["name"] for hit in told[0].get("hits", ())}
            return told[0].get("searched") == told[0].get("peers") == len(self.living) and found == wanted
        for name in self.random.sample(self.living, min(SEARCHES, len(self.living))):
            # Again if a share was not indexed yet.
            wait_until(lambda asked=name: is_complete(asked), self.network.patience,
                       lambda asked=name: f"a complete search from {asked}: {told}")


def churn(network, seed):
    print(f"        seed {seed}: ESPALIER_TEST_SEED={seed} {sys.argv[0]} replays it", flush=True)
    network.start_metaserver()
    one = Churn(network, seed)
    for _ in range(PEERS):
        one.start()
    network.wait_for_tree(one.living)
    one.run()
    tree = one.calm()
    one.search()
    print(f"        {one.count} peers came, {len(one.living)} live; one tree after {tree:.1f} s", flush=True)


for each in range(SEEDS):
    @case(f"peers come, die and stand still, the metaserver is killed: then it is one tree (seed {SEED + each})")
    def _(network, seed=SEED + each):
        churn(network, seed)


@case("while a restarted metaserver waits for a peer that has died, topo.txt is unchanged by joiners")
def _(network):
    network.start_metaserver()
    network.start_peers(6)
    before = network.topo()
    # A stopped peer: its port is taken, so the metaserver waits for it, and no other peer reports it as gone.
    network.peers["s6"].send(signal.SIGSTOP)
    network.metaserver.kill()
    network.restart_metaserver()
    network.start_peer("s7")
    network.peers["s7"].expect_log("waits for")
    seen = []

    def is_over():
        seen.append(network.topo())
        return "s7" in seen[-1]
    wait_until(is_over, network.patience, "the newcomer in topo.txt")
    while_waiting = [links for links in seen if "s7" not in links]
    assert while_waiting, "it did not wait"
    wrong = [links for links in while_waiting if set(links) != set(before)]
    assert not wrong, f"topo.txt had other peers than {sorted(before)}: {wrong[0]}"
    network.peers["s6"].send(signal.SIGCONT)
    network.wait_for_tree([f"s{number}" for number in range(1, 8)])


if __name__ == "__main__":
    main()
