"""Several metaservers and their peers, as processes. Used by the tests of a cluster."""
import re

from espalier_process import Process, parse_topo, text_of, wait_until, why_no_tree
from machines import Machines


class Cluster:
    """Metaservers m0, m1, … on ports of `network`, in its folder; each has its own files."""

    def __init__(self, network, count, *options, first=8):
        self.network, self.options = network, list(options)
        self.servers = {}
        self.addresses = [f"127.0.0.1:{network.first_port + first + i}" for i in range(count)]
        self.names = [f"m{i}" for i in range(count)]

    def may(self, name):
        """Words before a command, with which it runs where that metaserver does."""
        return []

    def address(self, name):
        return self.addresses[self.names.index(name)]

    def port(self, name):
        return self.address(name).rsplit(":", 1)[1]

    def start(self, *names, options=()):
        """Starts these (all, without names), each knowing all addresses, one after the other."""
        for name in names or self.names:
            others = [word for address in self.addresses for word in ("--cluster", address)]
            command = [*self.may(name), self.network.program("metaserver"), "--listen", self.address(name),
                       "--name", name, "--first-port", str(self.network.first_port), *others, *self.options, *options]
            self.servers[name] = Process(name, command, self.network.folder, self.network.env, self.network.patience)
            self.servers[name].expect_log("metaserver ready on")
            self.network.peers[f"metaserver {name}"] = self.servers[name]  # it is ended and shown with them
        return self

    def command(self, name, *commands):
        return self.network.run(self.network.program("metaserver"), "--state", f"./.metaserver-{self.port(name)}",
                                *[word for command in commands for word in ("-e", command)])

    def json(self, name, command):
        code, told = self.network.json_of(self.network.program("metaserver"), "--state",
                                          f"./.metaserver-{self.port(name)}", "--json", "-e", command)
        return code, told[0]

    def told(self, name, command):
        code, told = self.json(name, command)
        assert code == 0, (name, command, told)
        return told

    @property
    def living(self):
        return [name for name, process in self.servers.items() if process.alive]

    def masters(self, among=None):
        """{name: the master that it names, or None}, of the living ones (or `among`)."""
        return {name: self.told(name, "master")["master"] for name in among or self.living}

    def wait_for_master(self, name=None, among=None):
        """Waits until all (or `among`) name the same living master, `name` if given; returns it."""
        def agreed():
            named = set(self.masters(among).values())
            return len(named) == 1 and named <= set(self.living) and name in (None, *named) and named.pop()
        return wait_until(agreed, self.network.patience, lambda: f"one master ({name}): {self.masters(among)}")

    def topo(self, name):
        return parse_topo(text_of(self.network.folder / f"topo-{self.port(name)}.txt"))

    def wait_for_tree(self, ids, among=None):
        """Waits until the topo.txt of all living ones (or `among`) is the same tree over `ids`; returns it."""
        def problem():
            trees = [self.topo(name) for name in among or self.living]
            if any(tree != trees[0] for tree in trees):
                return f"they differ: {trees}"
            return why_no_tree(trees[0], ids, self.network.max_links)
        wait_until(lambda: problem() is None, self.network.patience, lambda: f"a tree everywhere: {problem()}")
        return self.topo((among or self.living)[0])

    def start_peer(self, peer, server, *options, files=None):
        """At that metaserver; it is told the others by it."""
        self.network.address = self.address(server)
        return self.network.start_peer(peer, *options, files=files)

    def start_peers(self, count, *options):
        """s1 … sN, in turns at all living ones, joining in this order."""
        living = self.living
        names = [f"s{i + 1}" for i in range(count)]
        for i, name in enumerate(names):
            self.start_peer(name, living[i % len(living)], *options)
            self.network.peers[name].expect_log(f"{name} joined|joined on")
        self.wait_for_tree(names)
        return names

    def home(self, peer):
        code, told = self.network.json(peer, "status")
        assert code == 0, told
        return told[0]["metaserver"] if told[0]["metaserverReachable"] else None


class Entry(Cluster):
    """The names are those of the ports: m5000 is the entry."""

    def __init__(self, network, count, *options):
        super().__init__(network, count + 1, *options)
        self.names = [f"m{self.port(name)}" for name in self.names]
        self.entry = self.names[0]

    def port(self, name):
        return self.addresses[self.names.index(name)].rsplit(":", 1)[1]

    def start(self, *options):
        command = [self.network.program("metaserver"), "--listen", self.addresses[0], "--instances",
                   str(len(self.names) - 1), "--first-port", str(self.network.first_port), *self.options, *options]
        self.process = Process("entry", command, self.network.folder, self.network.env, self.network.patience)
        self.network.peers["the entry"] = self.process
        self.process.expect_log("metaserver ready on")
        return self

    def ids(self):
        """{name: process id} of the latest start of each instance, as the entry logs them."""
        return {name: int(id) for name, id in re.findall(r"(\S+) is started on \S+ \(process (\d+)\)",
                                                         self.process.log)}

    @property
    def living(self):
        return self.names

    def rows(self):
        code, told = self.json(self.entry, "servers")
        return {server["name"]: server for server in told["servers"] if not server["dead"]} if code == 0 else {}

    def wait_for_all(self):
        wait_until(lambda: set(self.rows()) == set(self.names), self.network.patience,
                   lambda: f"{self.names}: {self.rows()}")
        return self


class CutCluster(Cluster):
    """Three sites, each with a machine mI for its metaserver and a machine pI for the peers that start there."""

    def __init__(self, network, *options):
        secret = network.folder / "secret"
        secret.write_text("a secret of all metaservers\n", encoding="ascii")
        secret.chmod(0o600)
        super().__init__(network, 3, "--cluster-secret-file", "secret", *options)
        self.machines = Machines([f"{kind}{i}" for kind in "mp" for i in range(3)])
        network.at_close.append(self.machines.close)
        self.addresses = [f"{self.machines.address(name)}:{self.port(name)}" for name in self.names]

    def may(self, name):
        return self.machines.may(name)

    def start_peer(self, peer, server, *options, files=None):
        machine = f"p{server[1:]}"
        self.network.address = self.address(server)
        return self.network.start_peer(peer, "--listen", self.machines.address(machine), *options, files=files,
                                       may=self.machines.may(machine))
