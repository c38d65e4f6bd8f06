"""The programs that hostile inputs are put into: a metaserver and honest peers, and what must stay true of them.

An honest peer finds and fetches files all the time (Probe), in a thread of its own. At the end of each class the arena
checks that nobody ended, grew by more than 64 MiB, has a file that it should not have, or wrote a control character.
"""
import json
import pathlib
import random
import re
import shutil
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "process"))
import espalier_process
from espalier_process import files_below

GROWTH_BYTES = 64 << 20
# What a terminal takes as a command: control characters of ASCII but the line feed, and those of ISO 8859-1 as UTF-8.
CONTROLS = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")


class Console:
    """The control socket of a running program, as `-e` uses it: one connection for many commands."""

    def __init__(self, state, patience):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(patience)
        self.socket.connect(str(state / "control.sock"))
        self.rest = b""

    def line(self):
        while b"\n" not in self.rest:
            more = self.socket.recv(1 << 16)
            if not more:
                raise ConnectionError("the control socket was closed")
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def begin(self, command, directory):
        request = {"run": command, "json": True, "directory": str(directory), "home": None}
        self.socket.sendall(json.dumps(request).encode() + b"\n")

    def ask(self, command, directory):
        """Returns (exit code, [objects]) as `--json -e` prints them, without events."""
        self.begin(command, directory)
        out = ""
        while True:
            told = self.line()
            out += told.get("out", "")
            if "exit" in told:
                return told["exit"], [json.loads(each) for each in out.splitlines()]

    def close(self):
        self.socket.close()


class Probe:
    """Searches and fetches of the honest peers, without a pause that matters: how many, and which were incomplete."""

    def __init__(self, arena):
        self.arena, self.ending, self.lock = arena, threading.Event(), threading.Lock()
        self.asked, self.failures, self.number = 0, [], 0
        self.random = random.Random(1)
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ending.wait(0.05):
            if self.arena.honest:
                self.once()

    def once(self, what=None):
        """One find or fetch; returns why it is not complete, else None. A thread's turn at a time."""
        with self.lock:
            self.number += 1
            asker = self.random.choice(self.arena.honest)
            began = time.monotonic()
            try:
                why = (what or (self.fetch if self.number % 2 else self.find))(asker)
            except (OSError, ValueError, KeyError, IndexError) as error:
                why = f"{type(error).__name__}: {error}"
            self.asked += 1
            if why:
                self.failures.append(f"{asker}, {time.monotonic() - began:.1f} s: {why}")
            return why

    def find(self, asker):
        told = self.arena.ask(asker, "find honest-*.txt")
        hits = {(hit["name"], holder) for hit in told[1][0].get("hits", []) for holder in hit["holders"]}
        lacking = [name for name in self.arena.honest if (f"honest-{name}.txt", name) not in hits]
        return f"no hit of {lacking}: {json.dumps(told)[:600]}" if lacking else None

    def fetch(self, asker):
        name = self.random.choice(self.arena.honest)
        taken = self.arena.network.folder / "taken" / f"{self.number}"
        told = self.arena.ask(asker, f"get honest-{name}.txt -o {taken} --force")
        data = taken.read_bytes() if taken.exists() else None
        taken.unlink(missing_ok=True)
        # 3: a member did not answer, so there may be other files of this name.
        right = told[0] in (0, 3) and data == self.arena.honest_data(name)
        return None if right else f"get of {name}'s: {json.dumps(told)[:600]}"

    def close(self):
        self.ending.set()
        if self.thread.is_alive():
            self.thread.join()


class Arena:
    """`start(arena)` starts the programs; see Place in catalogue.py."""

    def __init__(self, programs, patience, start):
        self.network = espalier_process.Network(pathlib.Path(programs).resolve(), patience)
        self.patience, self.honest, self.consoles, self.closing = patience, [], threading.local(), []
        self.kept, self.before, self.read_logs = {}, {}, {}
        self.growth_bytes = GROWTH_BYTES * self.network.memory_factor
        self.expected_ends = set()  # processes that may end
        (self.network.folder / "taken").mkdir()
        self.probe = Probe(self)
        try:
            start(self)
            self.remember()
        except BaseException:
            self.close()
            raise
        self.probe.thread.start()

    # --- the programs
    def honest_data(self, name):
        return b"of " + name.encode() + b", an honest peer\n"

    def start_network(self, count=3, max_links=8, options=(), files=None, metaserver=()):
        """A metaserver and the honest peers s1 …, each with honest-sN.txt."""
        self.network.start_metaserver("--max-links", str(max_links), *metaserver)
        names = [f"s{number}" for number in range(1, count + 1)]
        for name in names:
            shared = {f"honest-{name}.txt": self.honest_data(name), **(files or {}).get(name, {})}
            self.network.start_peer(name, *options, files=shared)
            self.network.peers[name].expect_log("joined on")
        self.network.wait_for_tree(names)
        for name in names:
            self.network.wait_indexed(name)
        self.honest = names

    def processes(self):
        running = dict(self.network.peers)
        if self.network.metaserver:
            running["metaserver"] = self.network.metaserver
        return running

    def console(self, name):
        """This thread's connection to the control socket of `name`, a peer or "metaserver"."""
        mine = vars(self.consoles)
        if name not in mine:
            state = self.network.folder / (".metaserver" if name == "metaserver" else f"{name}/.espalier")
            mine[name] = Console(state, self.patience)
            self.closing.append(mine[name])
        return mine[name]

    def ask(self, name, command):
        try:
            return self.console(name).ask(command, self.network.folder)
        except (OSError, ValueError):
            vars(self.consoles).pop(name).close()
            raise

    def endpoint(self, name):
        if ("endpoint", name) not in self.kept:
            self.kept["endpoint", name] = self.ask(name, "status")[1][0]["endpoint"]
        return self.kept["endpoint", name]

    def keep(self, key, make):
        """What inputs of a class share, such as a member: made once; close() closes it."""
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def drop(self, key):
        kept = self.kept.pop(key, None)
        if hasattr(kept, "close"):
            kept.close()

    # --- what must stay true
    def shared_files(self):
        """{path: (size, time of change)} of all shares and of the folder itself, without states and outputs."""
        found = {}
        for inside, status in files_below(self.network.folder, relative=True).items():
            if inside.parts[0] in ("taken", "hostile") or {".espalier", ".metaserver"} & set(inside.parts):
                continue
            if not (len(inside.parts) == 1 and (inside.name.startswith(("topo.txt", "NumberOfServers.txt")) or
                                                inside.suffix in (".out", ".log"))):
                found[str(inside)] = (status.st_size, status.st_mtime_ns)
        return found

    def new_files(self, remove=True):
        """{path: bytes} of files that appeared or changed since the start, which are then removed."""
        found = {}
        for path, status in self.shared_files().items():
            if self.before_files.get(path) != status:
                found[path] = (self.network.folder / path).read_bytes()
                if remove:
                    (self.network.folder / path).unlink()
        return found

    def remember(self):
        self.before = {name: one.peak_memory_bytes() for name, one in self.processes().items()}
        self.before_files = self.shared_files()

    def ended(self):
        """A sentence for each process that ended."""
        return [f"{name} ended with {one.process.returncode}: {one.log[-1500:]}"
                for name, one in self.processes().items() if not one.alive and name not in self.expected_ends]

    def grown_bytes(self):
        """How much more memory than at the start each process has used, at most."""
        return {name: one.peak_memory_bytes() - self.before[name] for name, one in self.processes().items()
                if one.alive and name in self.before}

    def new_output(self):
        """{file: what the programs have written to it since the last call}"""
        new = {}
        for path in [*self.network.folder.glob("*.log"), *self.network.folder.glob("*.out")]:
            with open(path, "rb") as file:
                file.seek(self.read_logs.get(path, 0))
                new[path.name] = file.read()
                self.read_logs[path] = file.tell()
        return new

    def troubles(self):
        """What is wrong after a class: a list of sentences."""
        wrong = self.ended()
        wrong += [f"{name} has grown by {grown >> 20} MiB" for name, grown in self.grown_bytes().items()
                  if grown > self.growth_bytes]
        for name, output in self.new_output().items():
            found = CONTROLS.search(output)
            if found:
                around = output[max(0, found.start() - 200):found.end() + 40]
                wrong.append(f"{name} has a control character: {around!r}")
        wrong += [f"a file appeared or changed: {path} ({len(data)} bytes)" for path, data in self.new_files().items()]
        wrong += [f"{path} is gone" for path in self.before_files if not (self.network.folder / path).exists()]
        return wrong

    def served(self):
        """Why an honest search and fetch are not answered now, within patience; else None."""
        if not self.honest:
            return None
        deadline = time.monotonic() + self.patience
        for what in (self.probe.find, self.probe.fetch):
            why = self.probe.once(what)
            while why and time.monotonic() < deadline:
                why = self.probe.once(what)
            if why:
                return why
        return None

    def close(self):
        self.probe.close()
        for key in list(self.kept):
            try:
                self.drop(key)
            except OSError:
                pass
        for one in self.closing:
            one.close()
        self.network.close()
        shutil.rmtree(self.network.folder, ignore_errors=True)
