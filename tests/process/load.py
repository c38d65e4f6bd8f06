"""What goes on at the peers of a cluster while its metaservers fail: a transfer, a push and a search a second.

  load = Load(cluster, 20)         # starts the peers, s1 … s20, in turns at the metaservers
  with load.running():
      with load.fault("…"): …      # checks before its end that transfer and push went on meanwhile
      load.finish()                # lets transfer and push go at full speed, and checks how they end
  load.check_all()                 # the searches, who is registered, the tree

Each search has to be answered, and has to say what is true: complete, or who is missing. It has to be complete unless
load.is_cut says that peers cannot reach each other. The transfer is from s1 to s2, the push from s4 to everybody.
"""
import contextlib
import json
import signal
import sqlite3
import subprocess
import threading
import time

from espalier_process import noise, wait_until

MIB = 1 << 20
SIZE_BYTES = 1024 * MIB
PUSH_BYTES = 48 * MIB


def stands_still(process, seconds):
    """Sends SIGSTOP, and SIGCONT so many seconds later: a context, for what is done meanwhile."""
    @contextlib.contextmanager
    def stopped():
        process.send(signal.SIGSTOP)
        ends = time.monotonic() + seconds
        yield
        while time.monotonic() < ends:
            time.sleep(0.02)  # this long is the fault
        process.send(signal.SIGCONT)
    return stopped()


def registered_once(cluster, names):
    """Waits until each directory.db has each peer once, with an order and an endpoint of its own, and all the same."""
    def rows(server):
        path = cluster.network.folder / f".metaserver-{cluster.port(server)}" / "directory.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return sorted(database.execute("SELECT id, joined, host, port FROM user_names"))
    def problem():
        tables = [rows(server) for server in cluster.names]
        if any(table != tables[0] for table in tables):
            return f"they differ: {tables}"
        if [row[0] for row in tables[0]] != sorted(names):
            return f"other peers than {sorted(names)}: {tables[0]}"
        orders, endpoints = {row[1] for row in tables[0]}, {row[2:] for row in tables[0]}
        return None if len(orders) == len(endpoints) == len(names) else f"given twice: {tables[0]}"
    wait_until(lambda: problem() is None, cluster.network.patience, problem)


def own_file(name):
    return f"of {name}.txt"


def count_of(missing):
    """Of how many peers an entry of "missing" tells: "s1", "s1 and 3 below it", "3 below s1", "3 more"."""
    numbers = [int(word) for word in missing.split() if word.isdigit()]
    return sum(numbers) + (" " not in missing or " and " in missing)


def problem_of(code, told, names, was_cut):
    """None, or what is wrong with the answer to a search for each peer's own file. `names`: who is to be among it."""
    if "searched" not in told:
        return f"failed: {told}"
    holders = {holder for hit in told["hits"] for holder in hit["holders"]}
    if len(holders) + len(told.get("indexing", [])) < told["searched"]:
        return f"only {len(holders)} of {told['searched']} searched peers have told their file: {told}"
    missing = sum(map(count_of, told["missing"]))
    if code != 0 or told["searched"] + missing != told["peers"]:
        return f"exit code {code}, {told['searched']} searched and {missing} missing of {told['peers']}: {told}"
    if not was_cut and (missing or names - holders):
        return f"incomplete, without {sorted(names - holders)}: {told['searched']} of {told['peers']}, " + \
            f"missing {told['missing']}"
    return None


class Search:
    """One search, in a thread of its own."""

    def __init__(self, load, asker):
        self.load, self.asker, self.answer, self.error = load, asker, None, None
        self.was_cut = load.is_cut
        self.names = set(load.names)  # who is a member for certain
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            code, told = self.load.network.json(self.asker, "find 'of *.txt'")
            self.was_cut = self.was_cut or self.load.is_cut
            self.answer = (code, told[0])
        except Exception as error:  # it is told by problem()
            self.error = error

    def problem(self):
        return f"no answer: {self.error}" if self.error else problem_of(*self.answer, self.names, self.was_cut)


class Load:
    def __init__(self, cluster, count):
        self.cluster, self.network = cluster, cluster.network
        self.is_cut, self.names, self.searches = False, [], []
        self.site = {}  # peer -> the metaserver at which it started
        self.has_ended = threading.Event()
        self.fault_name = "the start"
        share = self.network.fill_share("s1", {})
        with open(share / "film.bin", "wb") as film:  # mostly holes
            film.truncate(SIZE_BYTES)
            for at in range(0, SIZE_BYTES, 16 * MIB):
                film.seek(at + 12345)
                film.write(b"at %d" % at)
        self.network.memory_disk("s2", SIZE_BYTES + 64 * MIB)
        self.network.fill_share("out", {"news.bin": noise(PUSH_BYTES, 1)})
        for i in range(count):
            self.join(f"s{i + 1}", f"m{i % 3}")

    def join(self, name, server):
        peer = self.cluster.start_peer(name, server, "--accept-push", "all", "--upload-rate",
                                       "10M" if name == "s1" else "400K",
                                       files={own_file(name): f"the file of {name}\n".encode()})
        peer.expect_log(f"{name} joined|joined on")
        self.network.wait_indexed(name)
        self.site[name] = server
        self.names.append(name)

    # --- what goes on
    def background(self, name, command):
        return subprocess.Popen([self.network.program("peer"), *self.network.running(name), "--json", "-e", command],
                                cwd=self.network.folder, env=self.network.env, stdin=subprocess.DEVNULL,
                                stdout=open(self.network.folder / f"{command.split()[0]}.out", "wb"),
                                stderr=subprocess.STDOUT)

    @contextlib.contextmanager
    def running(self):
        self.get = self.background("s2", "get film.bin")
        self.push = self.background("s4", "push out/news.bin --wait")
        searcher = threading.Thread(target=self.search_each_second)
        searcher.start()
        try:
            self.wait_for_progress(self.progress())
            yield
        finally:
            self.has_ended.set()
            searcher.join()
            for process in (self.get, self.push):
                if process.poll() is None:
                    process.kill()
                process.wait()

    def search_each_second(self):
        askers = list(self.names)
        while not self.has_ended.wait(1):
            self.searches.append(Search(self, askers[7 * len(self.searches) % len(askers)]))
        for search in self.searches:
            search.thread.join()

    def progress(self):
        """Bytes that the transfer has, and that some peers have received of the push."""
        def status(name):
            return self.network.json(name, "status")[1][0]
        transfer = sum(each["done"] for each in status("s2")["transfers"] if each["name"] == "film.bin")
        return transfer, sum(status(name)["received"] for name in ("s5", "s7", "s8"))

    def wait_for_progress(self, before):
        self.check()
        def went_on():
            return all(now > then for now, then in zip(self.progress(), before))
        wait_until(went_on, self.network.patience, lambda: f"progress beyond {before}: {self.progress()}")
        self.check()

    def wait_for_homes(self):
        """Every peer is at a metaserver that lives."""
        def missing():
            addresses = [self.cluster.address(server) for server in self.cluster.living]
            homes = {name: self.cluster.home(name) for name in self.names}
            return {name: home for name, home in homes.items() if home not in addresses}
        wait_until(lambda: not missing(), self.network.patience, lambda: f"homes in {self.fault_name}: {missing()}")

    def check(self):
        for process, name in ((self.get, "get"), (self.push, "push")):
            assert process.poll() is None, f"{name} ended in {self.fault_name} with {process.returncode}: " + \
                self.output(name)[-2000:]

    def output(self, name):
        return (self.network.folder / f"{name}.out").read_text(encoding="utf-8")

    # --- what fails
    @contextlib.contextmanager
    def fault(self, name, cuts_peers=False):
        self.fault_name = name
        self.is_cut = cuts_peers
        begun, before = time.monotonic(), self.progress()
        yield
        self.wait_for_homes()
        self.wait_for_progress(before)
        if not cuts_peers:
            broken = [name for name in self.names if "the link to" in self.network.peers[name].log]
            assert not broken, f"{name} broke links of {broken}"
        self.is_cut = False
        print(f"        {name} ({time.monotonic() - begun:.1f} s)", flush=True)

    # --- the end
    def finish(self):
        self.cluster.wait_for_master()
        self.fault_name = "the end"
        for name in self.names:
            code, told = self.network.json(name, "limit upload none")
            assert code == 0, told
        for process, name in ((self.get, "get"), (self.push, "push")):
            process.wait(4 * self.network.patience)
            assert process.returncode == 0, f"{name}: {self.output(name)[-2000:]}"
        told = json.loads(self.output("get").splitlines()[-1])
        assert told["files"][0]["size"] == SIZE_BYTES, told
        subprocess.run(["cmp", "s1/film.bin", "s2/film.bin"], check=True, cwd=self.network.folder)
        told = json.loads(self.output("push").splitlines()[-1])
        states = {entry["peer"]: entry["state"] for entry in told["ledger"]}
        assert states == {name: "verified" for name in self.names if name != "s4"}, states
        for name in self.names:
            if name != "s4":
                subprocess.run(["cmp", "out/news.bin", f"{name}/news.bin"], check=True, cwd=self.network.folder)
        before = len(self.searches)
        wait_until(lambda: len(self.searches) > before, self.network.patience, "a last search")

    def check_all(self):
        """After running(): who searched, who is registered where, and the tree."""
        problems = [f"search {i} from {each.asker}: {each.problem()}" for i, each in enumerate(self.searches)
                    if each.problem()]
        complete = sum(not each.error and not each.answer[1]["missing"] for each in self.searches)
        print(f"        {complete} of {len(self.searches)} searches were complete", flush=True)
        assert not problems, "\n".join(problems)
        self.cluster.wait_for_tree(self.names)
        registered_once(self.cluster, self.names)
