"""Parts of the benchmarks of transfers: other servers, a proxy with a delay, processor time, tables.

Everything runs on 127.0.0.1 or on hosts of hosts.py, in one temporary folder of /dev/shm. Each context manager ends
what it started.
"""
import collections, contextlib, json, os, pathlib, resource, shutil, signal, socket, statistics, subprocess, sys
import tempfile, threading, time

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 5;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen {address}:{port}; root {root}; }}
}}
"""
RSYNC = """
use chroot = no
pid file = {folder}/rsyncd.pid
log file = {folder}/rsyncd.log
[files]
path = {root}
read only = yes
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_until(what, condition):
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"gave up waiting for {what}")
        time.sleep(0.01)


def wait_for(port):
    def listens():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    wait_until(f"somebody who listens on port {port}", listens)


def random_file(path, mebibytes):
    with open(path, "wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1 << 20))


@contextlib.contextmanager
def folder():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # as Ctrl-C: leaves all context managers
    path = pathlib.Path(tempfile.mkdtemp(prefix="espalier-bench-", dir="/dev/shm"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def process(*command, **options):
    started = subprocess.Popen([str(word) for word in command], **options)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(5)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextlib.contextmanager
def nginx(below, root, host=None):
    """On 127.0.0.1, or a host of hosts.py."""
    port = host.free_port() if host else free_port()
    address, start = (host.address, host.process) if host else ("127.0.0.1", process)
    (below / "nginx.conf").write_text(NGINX.format(folder=below, address=address, port=port, root=root))
    with start("/usr/sbin/nginx", "-e", below / "nginx.log", "-c", below / "nginx.conf") as started:
        wait_until("nginx", lambda: host.answers(port)) if host else wait_for(port)
        yield started, port


@contextlib.contextmanager
def rsyncd(below, root):
    port = free_port()
    (below / "rsyncd.conf").write_text(RSYNC.format(folder=below, root=root))
    with process("rsync", "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={port}",
                 f"--config={below}/rsyncd.conf") as started:
        wait_for(port)
        yield started, port


class DelayedLine:
    """A proxy in front of a port: forwards bytes in both directions, `seconds` after they came."""

    def __init__(self, port, seconds):
        self.to, self.seconds = port, seconds
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            asker, _ = self.listener.accept()
            holder = socket.create_connection(("127.0.0.1", self.to))
            for one, other in ((asker, holder), (holder, asker)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                queue, ready = collections.deque(), threading.Semaphore(0)
                threading.Thread(target=self.take, args=(one, queue, ready), daemon=True).start()
                threading.Thread(target=self.give, args=(other, queue, ready), daemon=True).start()

    def take(self, source, queue, ready):
        while True:
            try:
                data = source.recv(1 << 20)
            except OSError:
                data = b""
            queue.append((time.monotonic() + self.seconds, data))
            ready.release()
            if not data:
                return

    @staticmethod
    def give(target, queue, ready):
        while True:
            ready.acquire()
            due, data = queue.popleft()
            time.sleep(max(0, due - time.monotonic()))
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                return


def cpu_of(pid):
    """User and system seconds of a running process, all threads together."""
    total = 0
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Bench:
    """Subjects that take turns. The first round warms up; the result is the median of the others."""

    def __init__(self, name, runs, **parameters):
        self.name, self.runs, self.parameters = name, runs, parameters
        self.subjects, self.results, self.load = {}, {}, os.getloadavg()[0]

    def subject(self, name, run, server=None, before=lambda: None):
        """run() fetches once, and may return seconds that it measured. `server`: a pid; adds its processor time."""
        self.subjects[name] = (run, server, before)
        self.results[name] = {"seconds": [], "cpu": []}

    def run(self):
        for turn in range(self.runs + 1):
            for name, (run, server, before) in self.subjects.items():
                before()
                cpu = cpu_of_children() + (cpu_of(server) if server else 0)
                began = time.monotonic()
                own = run()
                seconds = time.monotonic() - began
                cpu = cpu_of_children() + (cpu_of(server) if server else 0) - cpu
                if turn > 0:
                    self.results[name]["seconds"].append(seconds if own is None else own)
                    self.results[name]["cpu"].append(cpu)

    def seconds(self, name):
        return statistics.median(self.results[name]["seconds"])

    def cpu(self, name):
        return statistics.median(self.results[name]["cpu"])

    def told(self):
        return {"bench": self.name, **self.parameters, "runs": self.runs, "load_before": self.load,
                "load_after": os.getloadavg()[0], "results": self.results, "targets": []}

    def row(self, name, gibibytes):
        seconds = self.results[name]["seconds"]
        return (f"{name:44} {self.seconds(name):8.3f} {min(seconds):7.3f}-{max(seconds):7.3f}"
                f" {self.cpu(name) / gibibytes:10.2f}")

    def finish(self, told):
        print(f"load average {self.load:.1f} before, {os.getloadavg()[0]:.1f} after", file=sys.stderr)
        print(json.dumps(told))

    def report(self, ours, targets, gibibytes):
        """`targets`: name -> how many times as fast as that subject ours must be."""
        print(f"{self.name:44} {'seconds':>8} {'spread':>15} {'cpu s/GiB':>10} {'ours is':>9} {'wanted':>7}",
              file=sys.stderr)
        told = self.told()
        for name in self.results:
            ratio, wanted = self.seconds(name) / self.seconds(ours), targets.get(name)
            verdict = "" if wanted is None else f"{wanted:6.2f}x {'met' if ratio >= wanted else 'MISSED'}"
            print(f"{self.row(name, gibibytes)} {ratio:8.2f}x {verdict}", file=sys.stderr)
            if wanted is not None:
                told["targets"].append({"against": name, "ratio": ratio, "wanted": wanted, "met": ratio >= wanted})
        self.finish(told)

    def report_limits(self, limits, targets, gibibytes):
        """`limits`: name -> the least possible seconds; `targets`: name -> how many times as many are allowed."""
        print(f"{self.name:44} {'seconds':>8} {'spread':>15} {'cpu s/GiB':>10} {'limit':>8} {'takes':>7} {'wanted':>7}",
              file=sys.stderr)
        told = self.told()
        told["limits"] = limits
        for name in self.results:
            if name not in limits:
                print(self.row(name, gibibytes), file=sys.stderr)
                continue
            ratio, wanted = self.seconds(name) / limits[name], targets.get(name)
            verdict = "" if wanted is None else f"{wanted:6.3f}x {'met' if ratio <= wanted else 'MISSED'}"
            print(f"{self.row(name, gibibytes)} {limits[name]:8.3f} {ratio:6.3f}x {verdict}", file=sys.stderr)
            if wanted is not None:
                told["targets"].append({"subject": name, "ratio": ratio, "wanted": wanted, "met": ratio <= wanted})
        self.finish(told)
