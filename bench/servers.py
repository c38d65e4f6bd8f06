"""What the benchmarks of transfers share: servers to compare with, a line with a delay, processor time, tables.

Everything runs on 127.0.0.1 and lies in one temporary folder of /dev/shm; a context manager ends what it started.
"""
import collections, contextlib, json, os, pathlib, resource, shutil, socket, statistics, subprocess, sys, tempfile
import threading, time

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 5;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
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


def wait_for(port):
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.01)
    sys.exit(f"nothing listens on port {port}")


@contextlib.contextmanager
def folder():
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
def nginx(below, root):
    port = free_port()
    (below / "nginx.conf").write_text(NGINX.format(folder=below, port=port, root=root))
    with process("/usr/sbin/nginx", "-e", below / "nginx.log", "-c", below / "nginx.conf") as started:
        wait_for(port)
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
    """Passes bytes both ways between whoever connects and a port, each `seconds` after it came."""

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
    """User and system seconds of a process that runs, all of its threads."""
    total = 0
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Bench:
    """Subjects that take turns: the first round warms up, medians of the others count."""

    def __init__(self, name, runs, **parameters):
        self.name, self.runs, self.parameters = name, runs, parameters
        self.subjects, self.results, self.load = {}, {}, os.getloadavg()[0]

    def subject(self, name, run, server=None, before=lambda: None):
        """run() fetches once; it may return seconds of its own measuring. `server`: a pid, its time counts too."""
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

    def report(self, ours, targets, gibibytes):
        """`targets`: name -> how many times as fast as that one ours is to be."""
        print(f"{self.name:44} {'seconds':>8} {'spread':>15} {'cpu s/GiB':>10} {'ours is':>9} {'wanted':>7}",
              file=sys.stderr)
        told = {"bench": self.name, **self.parameters, "runs": self.runs, "load_before": self.load,
                "load_after": os.getloadavg()[0], "results": self.results, "targets": []}
        for name, result in self.results.items():
            median, ratio = self.seconds(name), self.seconds(name) / self.seconds(ours)
            wanted = targets.get(name)
            verdict = "" if wanted is None else f"{wanted:6.2f}x {'met' if ratio >= wanted else 'MISSED'}"
            print(f"{name:44} {median:8.3f} {min(result['seconds']):7.3f}-{max(result['seconds']):7.3f}"
                  f" {self.cpu(name) / gibibytes:10.2f} {ratio:8.2f}x {verdict}", file=sys.stderr)
            if wanted is not None:
                told["targets"].append({"against": name, "ratio": ratio, "wanted": wanted, "met": ratio >= wanted})
        print(f"load average {self.load:.1f} before, {os.getloadavg()[0]:.1f} after", file=sys.stderr)
        print(json.dumps(told))
