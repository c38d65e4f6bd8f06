"""Our programs on the hosts of a benchmark: a metaserver on the first one, a peer on each of the others.

  with network.Network(programs, folder, hosts) as ours:
      ours.start_peer("s1", hosts[1], "--accept-push", "all")
      ours.wait_for_peers()
      ours.ask("s1", "find *.bin")              # the objects that `peer --json -e` prints
"""
import contextlib, json, os, pathlib, shutil, signal, subprocess

import servers

PORT = 5000


def programs(build):
    """The programs that a Network runs."""
    return [pathlib.Path(build, name, name).absolute() for name in ("metaserver", "peer")]


class Network:
    def __init__(self, build, folder, hosts):
        self.build, self.folder, self.registry, self.peers = pathlib.Path(build).absolute(), folder, hosts[0], {}
        self.hosts, self.ending = hosts, contextlib.ExitStack()

    def program(self, name):
        return self.build / name / name

    def __enter__(self):
        self.folder.mkdir(exist_ok=True)
        shutil.rmtree(self.folder / ".metaserver", ignore_errors=True)  # forgets the peers of the network before
        self.log = self.ending.enter_context(open(self.folder / "log", "a"))
        self.ending.enter_context(self.registry.process(
            self.program("metaserver"), "--listen", f"{self.registry.address}:{PORT}", cwd=self.folder,
            stdout=subprocess.DEVNULL, stderr=self.log))
        servers.wait_until("the metaserver", lambda: self.registry.answers(PORT))
        return self

    def __exit__(self, *_):
        for peer in self.peers.values():  # ends all of them before it waits for the first
            with contextlib.suppress(ProcessLookupError):
                os.kill(peer.pid, signal.SIGCONT)
                os.kill(peer.pid, signal.SIGTERM)
        self.ending.close()

    def start_peer(self, name, host, *options):
        (self.folder / name).mkdir(exist_ok=True)
        self.peers[name] = self.ending.enter_context(host.process(
            self.program("peer"), "--id", name, "--share", f"./{name}", "--metaserver",
            f"{self.registry.address}:{PORT}", "--listen", host.address, "--headless", *options, cwd=self.folder,
            stdout=subprocess.DEVNULL, stderr=self.log))

    def command(self, name, command):
        return [self.program("peer"), "--share", f"./{name}", "--json", "-e", command]

    def ask(self, name, command):
        done = subprocess.run(self.command(name, command), cwd=self.folder, capture_output=True, text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def wait_for_peers(self):
        """Waits until all peers are linked and have indexed their shares."""
        first = next(iter(self.peers))
        def linked():
            told = self.ask(first, "topo")
            peers = told[0].get("peers", []) if told else []
            return sum(len(peer["links"]) for peer in peers) == 2 * (len(self.peers) - 1) > 0
        servers.wait_until("the tree", linked)

    def order(self, sender):
        """The ids in depth-first order from that peer: the order of a push."""
        links = {peer["id"]: peer["links"] for peer in self.ask(sender, "topo")[0]["peers"]}
        order, stack = [], [sender]
        while stack:
            order.append(stack.pop())
            stack.extend(reversed([one for one in links[order[-1]] if one not in order]))
        return order
