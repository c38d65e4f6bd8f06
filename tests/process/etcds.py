"""Real etcds for tests of a cluster."""
import shutil
import urllib.request

from espalier_process import Process, wait_until


class Etcds:
    """Real etcds on ports of `network`, with their data in its folder."""

    def __init__(self, network, count=3, first=0):
        assert shutil.which("etcd"), "etcd is not installed: packages.txt"
        self.network = network
        ports = [network.first_port + first + 2 * i for i in range(count)]
        peers = ",".join(f"e{i}=http://127.0.0.1:{port + 1}" for i, port in enumerate(ports))
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.processes = []
        for i, port in enumerate(ports):
            command = ["etcd", "--name", f"e{i}", "--data-dir", f"./e{i}", "--initial-cluster", peers,
                       "--listen-client-urls", self.urls[i], "--advertise-client-urls", self.urls[i],
                       "--listen-peer-urls", f"http://127.0.0.1:{port + 1}",
                       "--initial-advertise-peer-urls", f"http://127.0.0.1:{port + 1}",
                       "--heartbeat-interval", "50", "--election-timeout", "500", "--unsafe-no-fsync"]
            process = Process(f"etcd e{i}", command, network.folder, network.env, network.patience)
            network.peers[process.name] = process
            self.processes.append(process)
        wait_until(self.answers, network.patience, "etcd")

    def answers(self):
        try:
            with urllib.request.urlopen(self.urls[0] + "/health", timeout=1) as reply:
                return b"true" in reply.read()
        except OSError:
            return False

    def send(self, number):
        for process in self.processes:
            process.send(number)

    @property
    def option(self):
        return ["--coordination", "etcd:" + ",".join(self.urls)]
