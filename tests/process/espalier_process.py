"""Runs the real programs for tests: a metaserver and peers in a temporary folder, on free ports of 127.0.0.1.

  @case("a sentence")
  def _(network):                      # a Network; its programs are killed and its folder is removed after the case
      network.start_metaserver("--max-links", "3")
      network.start_peers(5)
      network.wait_for_tree(["s1", …])

  if __name__ == "__main__":
      main()

Nothing sleeps for a fixed time: every wait has a condition and a deadline (`network.patience`), and reports what it
saw when it fails. The last line is "cases: N passed, M failed".
"""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import traceback

import terminal

ROOT = pathlib.Path(__file__).resolve().parents[2]
CASES = []

# nohup, and `command &` in a shell's script, ignore some signals, and the programs would inherit that.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


def text_of(path):
    """The text of a file that a program writes; "" while it does not exist."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def files_below(folder, relative=False):
    """{path: status} of the regular files below a folder. Programs that run may change it meanwhile."""
    found = {}
    for inside, _, names in os.walk(folder):  # passes over a folder that has gone
        for name in names:
            path = pathlib.Path(inside, name)
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    found[path.relative_to(folder) if relative else path] = status
    return found


def case(sentence):
    def register(function):
        CASES.append((sentence, function))
        return function
    return register


class Process:
    """A running program. Its output is in the files NAME.out and NAME.log (standard error)."""

    def __init__(self, name, command, folder, env, patience):
        self.name, self.folder, self.patience, self.command = name, folder, patience, command
        self.out_path, self.log_path = folder / f"{name}.out", folder / f"{name}.log"
        self.started_at = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.out_path, "ab") as out, open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=log, start_new_session=True)

    @property
    def log(self):
        """What this run has written to standard error."""
        with open(self.log_path, "rb") as file:
            file.seek(self.started_at)
            return file.read().decode("utf-8", "replace")

    @property
    def alive(self):
        return self.process.poll() is None

    def peak_memory_bytes(self):
        """The most memory that the process has used so far."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def expect_log(self, pattern):
        def found():
            assert self.alive or re.search(pattern, self.log), f"{self.name} ended: {self.log[-2000:]}"
            return re.search(pattern, self.log)
        return wait_until(found, self.patience, lambda: f"{pattern!r} in the log of {self.name}:\n{self.log[-2000:]}")

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.send(signal.SIGKILL)
        self.process.wait()

    def end(self, number=signal.SIGTERM):
        """Sends the signal, waits for the end, and returns the exit code."""
        if self.alive:
            self.send(signal.SIGCONT)
            self.send(number)
        return self.process.wait(self.patience)


def wait_until(condition, patience, what):
    """Returns the first true value of condition(). `what`, a text or a function, describes what is waited for."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"gave up waiting for {what() if callable(what) else what}"
        time.sleep(0.02)  # between two checks of the condition


def parse_topo(text):
    """Returns {id: [neighbours]} in order of joining. Asserts the exact format of topo.txt."""
    links = {}
    assert text == "" or text.endswith("\n"), f"topo.txt has an unfinished line: {text!r}"
    for line in text.splitlines():
        match = re.fullmatch(r"([^\s:/]+):(?:  ([^\s:/]+(?: [^\s:/]+)*))?", line)
        assert match, f"topo.txt has the line {line!r}"
        assert match[1] not in links, f"topo.txt names {match[1]} twice"
        links[match[1]] = match[2].split(" ") if match[2] else []
    return links


def why_no_tree(links, ids, max_links):
    """None if `links` is one tree over exactly `ids`; else a sentence that says what is wrong."""
    if set(links) != set(ids):
        return f"the peers are {sorted(links)}, not {sorted(ids)}"
    for one, others in links.items():
        if len(others) > max_links:
            return f"{one} has {len(others)} links"
        for other in others:
            if other not in links or one not in links[other]:
                return f"{one} names {other}, but not the other way round"
    if sum(map(len, links.values())) != 2 * (len(links) - 1):
        return "the number of links is not that of a tree"
    reached, to_visit = set(), list(links)[:1]
    while to_visit:
        one = to_visit.pop()
        if one not in reached:
            reached.add(one)
            to_visit.extend(links[one])
    return None if reached == set(links) else f"only {sorted(reached)} are connected"


def file_root(data):
    """The root of a file: `pieces root` of BEP 52."""
    if not data:
        return "0" * 64
    layer = [hashlib.sha256(data[at:at + 16384]).digest() for at in range(0, len(data), 16384)]
    while len(layer) & (len(layer) - 1):
        layer.append(bytes(32))
    while len(layer) > 1:
        layer = [hashlib.sha256(layer[at] + layer[at + 1]).digest() for at in range(0, len(layer), 2)]
    return layer[0].hex()


def noise(size_bytes, seed=0):
    return hashlib.shake_128(str(seed).encode()).digest(size_bytes)


def free_port_range(count):
    """The first of `count` ports that are free now, below the range that the kernel assigns from."""
    start = 10000 + os.getpid() % 150 * 128  # another range for each test that runs at the same time
    for first in list(range(start, 30000, count)) + list(range(10000, start, count)):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                return first
            except OSError:
                continue
    raise AssertionError("no free ports")


class Network:
    def __init__(self, programs, patience):
        self.programs, self.patience = programs, patience
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="espalier-test-"))
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("ESPALIER_")}
        self.env.update(HOME=str(self.folder), LC_ALL="C.UTF-8")
        self.metaserver, self.peers, self.terminals = None, {}, []
        self.mounts, self.memory = [], []
        self.at_close = []  # functions
        self.states = {}  # peer -> its state folder, if that is not in its share
        self.address, self.max_links, self.metaserver_options = None, 2, []
        self.first_port = free_port_range(16)

    @property
    def memory_factor(self):
        """How many times as much memory a sanitizer needs: for shadows, and a quarantine of freed memory."""
        instrumented = any(word in pathlib.Path(self.program("peer")).read_bytes() for word in (b"__asan_", b"__tsan_"))
        return 16 if instrumented else 1

    def program(self, name):
        return str(self.programs / name / name)

    # --- the metaserver
    def start_metaserver(self, *options):
        self.metaserver_options = list(options)
        if "--max-links" in options:
            self.max_links = int(options[options.index("--max-links") + 1])
        return self.restart_metaserver("127.0.0.1:0")

    def restart_metaserver(self, listen=None):
        command = [self.program("metaserver"), "--listen", listen or self.address,
                   "--first-port", str(self.first_port), *self.metaserver_options]
        self.metaserver = Process("metaserver", command, self.folder, self.env, self.patience)
        self.address = self.metaserver.expect_log(r"metaserver ready on ([^,\s]+),")[1]
        return self.metaserver

    @property
    def topo_path(self):
        return self.folder / "topo.txt"

    def topo(self):
        return parse_topo(text_of(self.topo_path))

    def wait_for_tree(self, ids):
        """Waits until topo.txt is one tree over `ids` with at most `max_links` links each; returns it."""
        wait_until(lambda: why_no_tree(self.topo(), ids, self.max_links) is None, self.patience,
                   lambda: f"a tree: {why_no_tree(self.topo(), ids, self.max_links)}; topo.txt is\n"
                           + text_of(self.topo_path))
        return self.topo()

    # --- peers
    def fill_share(self, name, files=None):
        """Fills the share of peer `name` with the sample files, or with `files` {name: bytes}."""
        folder = self.folder / name
        sample = ROOT / "sample_files" / name
        if files is None and sample.is_dir():
            shutil.copytree(sample, folder, dirs_exist_ok=True)
        folder.mkdir(exist_ok=True)
        for path, data in (files or {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder

    def peer_command(self, name, *options):
        return [self.program("peer"), "--metaserver", self.address, "--id", name, "--share", f"./{name}", *options]

    def spawn(self, name, *command):
        self.peers[name] = Process(name, command, self.folder, self.env, self.patience)
        return self.peers[name]

    def start_peer(self, name, *options, files=None, may=None):
        """`may`: words before the command, as without_privileges() returns them."""
        self.fill_share(name, files)
        return self.spawn(name, *(may or []), *self.peer_command(name, "--headless", *options))

    def restart_peer(self, name):
        return self.spawn(name, *self.peers[name].command)

    def start_peers(self, count, *options):
        """Starts s1 … sN, which join in this order; returns their tree."""
        names = [f"s{number}" for number in range(1, count + 1)]
        for name in names:
            peer = self.start_peer(name, *options)
            wait_until(lambda: not peer.alive or name in self.topo(), self.patience, f"{name} in topo.txt")
            assert peer.alive, f"{name} ended: {peer.log[-2000:]}"
        return self.wait_for_tree(names)

    def run(self, *command, stdin=subprocess.DEVNULL, cwd=None):
        """Runs a program to its end; returns (exit code, standard output, standard error)."""
        done = subprocess.run(command, cwd=cwd or self.folder, env=self.env, stdin=stdin, capture_output=True,
                              timeout=self.patience, check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")

    def running(self, name):
        """The options that reach peer `name`."""
        return ["--state", self.states[name]] if name in self.states else ["--share", f"./{name}"]

    def command(self, name, *commands):
        """Runs commands in peer `name` as text; returns (exit code, standard output, standard error)."""
        return self.run(self.program("peer"), *self.running(name),
                        *[word for command in commands for word in ("-e", command)])

    def json(self, name, *commands):
        """The same with --json; returns (exit code, [objects]), without the progress events of a get."""
        return self.json_of(self.program("peer"), *self.running(name), "--json",
                            *[word for command in commands for word in ("-e", command)])

    def json_alone(self, name, *options):
        """The same by a peer that is started for it."""
        return self.json_of(*self.peer_command(name, "--json", *options))

    def json_of(self, *command):
        code, out, log = self.run(*command)
        try:
            told = [json.loads(line) for line in out.splitlines()]
        except ValueError as error:
            raise AssertionError(f"{command} printed what is not JSON: {out!r} ({log!r})") from error
        return code, [each for each in told if (each["command"], each.get("event")) != ("get", "progress")]

    def links_by_peers(self, names):
        """The links that the peers report: {id: [neighbours]}."""
        links = {}
        for name in names:
            code, told = self.json(name, "peers")
            links[name] = [link["id"] for link in told[0]["links"]] if code == 0 else []
        return links

    def wait_for_tree_by_peers(self, names):
        links = {}

        def is_tree():
            links.clear()
            links.update(self.links_by_peers(names))
            return why_no_tree(links, names, self.max_links) is None
        wait_until(is_tree, self.patience, lambda: f"a tree: {why_no_tree(links, names, self.max_links)}: {links}")
        return links

    def wait_indexed(self, name):
        """Waits until peer `name` lists every file of its share."""
        folder = self.folder / name
        def is_indexed():
            count = sum(".espalier" not in path.parts for path in files_below(folder))
            code, told = self.json(name, "list")
            return code == 0 and len(told[0]["files"]) == count
        wait_until(is_indexed, self.patience, f"{name} to list its whole share")

    def endpoint(self, name, asked="s1"):
        code, told = self.json(asked, "topo")
        assert code == 0, told
        return next(peer["endpoint"] for peer in told[0]["peers"] if peer["id"] == name)

    def terminal(self, *command, cwd=None):
        """Starts a program at a terminal. The environment has the metaserver's address."""
        env = dict(self.env)
        if self.address:
            env["ESPALIER_METASERVER"] = self.address
        self.terminals.append(terminal.Terminal(command, cwd or self.folder, env, self.patience))
        return self.terminals[-1]

    # --- the machine
    def without_privileges(self):
        """Words before a command, with which permissions of files hold for root, too."""
        caps = "-dac_override,-dac_read_search"
        return ["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}"] if os.geteuid() == 0 else []

    def small_disk(self, name, size):
        """Mounts a file system of that size; prints a line and returns None if that is not possible."""
        folder = self.folder / name
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "espalier-test", folder],
                              capture_output=True, check=False)
        if done.returncode != 0:
            print("        left out: no file system can be mounted here")
            return None
        self.mounts.append(folder)
        return folder

    def memory_disk(self, name, size_bytes):
        """The folder `name` in memory if possible: for a very large file. Needs the script's own mounts."""
        folder = self.fill_share(name, {})
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "espalier-test", folder],
                              capture_output=True, check=False)
        if done.returncode == 0:
            self.mounts.append(folder)
        return folder

    def memory_folder(self, name):
        """The folder `name`, in memory if possible: for very many files."""
        if not os.access("/dev/shm", os.W_OK):
            return self.fill_share(name, {})
        self.memory.append(tempfile.mkdtemp(prefix="espalier-test-", dir="/dev/shm"))
        (self.folder / name).symlink_to(self.memory[-1])
        return self.folder / name

    # --- the end
    def close(self):
        for one in self.terminals:
            one.close()
        for one in [*self.peers.values(), self.metaserver]:
            if one and one.alive:
                one.kill()
        for end in self.at_close:
            end()
        for folder in self.mounts:
            subprocess.run(["umount", "--lazy", folder], check=False)
        for folder in self.memory:
            shutil.rmtree(folder, ignore_errors=True)

    def logs(self):
        told = []
        for path in sorted(self.folder.glob("*.log")) + [self.topo_path]:
            if path.exists():
                told.append(f"--- the end of {path.name}\n" + "\n".join(
                    path.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]))
        return "\n".join(told)


def run_case(programs, sentence, function, patience):
    network = Network(programs, patience)
    started = time.monotonic()
    try:
        function(network)
        for one in [*network.peers.values(), network.metaserver]:
            if one is not None and not one.alive:
                code = one.process.returncode
                assert code in (0, -signal.SIGKILL), f"{one.name} ended with {code}: {one.log[-3000:]}"
        print(f"ok      {sentence} ({time.monotonic() - started:.1f} s)", flush=True)
        return True
    except Exception:  # any exception fails the case
        print(f"FAILED  {sentence} ({time.monotonic() - started:.1f} s)")
        print(traceback.format_exc(limit=-4))
        print(network.logs(), flush=True)
        return False
    finally:
        network.close()
        shutil.rmtree(network.folder, ignore_errors=True)


def main():
    """PROGRAM BUILD_FOLDER [PART OF A SENTENCE]"""
    if len(sys.argv) < 2:
        print(f"usage: {sys.argv[0]} BUILD_FOLDER [PART OF A CASE'S SENTENCE]", file=sys.stderr)
        sys.exit(64)
    programs = pathlib.Path(sys.argv[1]).resolve()
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    patience = float(os.environ.get("ESPALIER_TEST_PATIENCE", "30"))
    results = [run_case(programs, sentence, function, patience) for sentence, function in CASES if part in sentence]
    print(f"cases: {sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(0 if results and all(results) else 1)
