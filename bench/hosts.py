"""Hosts for benchmarks: network namespaces on one bridge, each with an outgoing link of its own.

  with hosts.Hosts([None, 100, 100, 10]) as (registry, fast, other, slow):      # Mbit/s that each sends at most
      with fast.process("nginx", …):
          seconds = hosts.plain_tcp(fast, other, 100 << 20)                     # the goodput of the link itself

A token bucket shapes what a host sends, with segmentation offload off, because the bucket counts packets. What it
receives is not shaped. Compare with the goodput that plain_tcp() measures. Needs root, ip and tc. Namespaces have no
name in the system: they exist as long as a process of this program is in them, and all of these processes are killed
when the program ends, however it ends.
"""
import contextlib, ctypes, fcntl, os, pathlib, socket, struct, subprocess, sys, threading, time

import servers

SUBNET = "10.77.0"
HEADER_BYTES = 14 + 20 + 32  # TCP with time stamps
SIOCETHTOOL, SETS_OFF = 0x8946, {"tso": 0x1F, "gso": 0x24, "gro": 0x2C}  # linux/sockios.h, linux/ethtool.h
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"]
libc = ctypes.CDLL(None, use_errno=True)


def run(*command):
    subprocess.run([str(word) for word in command], check=True)


class Namespace:
    """A network namespace, kept alive by a process that sleeps in it."""

    def __init__(self, stack):
        keeper = stack.enter_context(servers.process(*DIES_WITH_US, "unshare", "--net", "sleep", "infinity"))
        self.pid, self.path = keeper.pid, f"/proc/{keeper.pid}/ns/net"
        servers.wait_until("a network namespace", lambda: os.readlink(self.path) != os.readlink("/proc/self/ns/net")
                           and pathlib.Path(f"/proc/{self.pid}/comm").read_text() == "sleep\n")
        self.enter = [*DIES_WITH_US, "nsenter", f"--net={self.path}"]

    @contextlib.contextmanager
    def entered(self):
        """A context manager: sockets that this thread opens in it belong to the namespace for good."""
        with open("/proc/thread-self/ns/net") as ours, open(self.path) as theirs:
            if libc.setns(theirs.fileno(), 0) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                libc.setns(ours.fileno(), 0)


class Host(Namespace):
    def __init__(self, stack, number, switch, megabits, mtu):
        super().__init__(stack)
        self.address = f"{SUBNET}.{number + 1}"
        run(*switch.enter, "ip", "link", "add", f"port{number}", "mtu", mtu, "type", "veth", "peer", "name", "eth0",
            "mtu", mtu, "netns", self.pid)
        run(*switch.enter, "ip", "link", "set", f"port{number}", "master", "bridge", "up")
        run(*self.enter, "ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            run(*self.enter, "ip", "link", "set", device, "up")
        self.no_offload()
        if megabits:
            run(*self.enter, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", f"{megabits}mbit",
                "burst", "32k", "latency", "50ms")

    def no_offload(self):
        with self.socket() as any_socket:
            for command in SETS_OFF.values():
                value = ctypes.create_string_buffer(struct.pack("II", command, 0))
                fcntl.ioctl(any_socket, SIOCETHTOOL, struct.pack("16sP16x", b"eth0", ctypes.addressof(value)))

    def socket(self):
        with self.entered():
            return socket.socket()

    def process(self, *command, **options):
        """A context manager; the process has the pid of the command itself."""
        return servers.process(*self.enter, *command, **options)

    def run(self, *command, **options):
        return subprocess.run([*self.enter, *(str(word) for word in command)], **options)

    def free_port(self):
        with self.socket() as any_socket:
            any_socket.bind((self.address, 0))
            return any_socket.getsockname()[1]

    def answers(self, port):
        with self.socket() as probe:
            return probe.connect_ex((self.address, port)) == 0

    def counters(self):
        for line in pathlib.Path(f"/proc/{self.pid}/net/dev").read_text().splitlines():
            if line.strip().startswith("eth0:"):
                return [int(word) for word in line.split(":")[1].split()]

    def received(self):
        """Bytes received so far, without the headers of Ethernet, IP and TCP."""
        size, packets = self.counters()[:2]
        return size - packets * HEADER_BYTES

    def sent(self):
        size, packets = self.counters()[8:10]
        return size - packets * HEADER_BYTES


class Hosts:
    """As many hosts as there are rates, in Mbit/s; None: no limit. `mtu`: bytes of a packet."""

    def __init__(self, rates, mtu=1500):
        self.rates, self.mtu, self.stack = rates, mtu, contextlib.ExitStack()

    def __enter__(self):
        if os.geteuid() != 0:
            sys.exit("network namespaces want root")
        with contextlib.ExitStack() as stack:
            switch = Namespace(stack)
            run(*switch.enter, "ip", "link", "add", "bridge", "type", "bridge", "nf_call_iptables", 0,
                "nf_call_ip6tables", 0, "nf_call_arptables", 0)  # packet filters are not used
            run(*switch.enter, "ip", "link", "set", "bridge", "up")
            all_hosts = [Host(stack, number, switch, rate, self.mtu) for number, rate in enumerate(self.rates)]
            self.stack = stack.pop_all()
        return all_hosts

    def __exit__(self, *_):
        self.stack.close()


def plain_tcp(sender, receiver, size):
    """Seconds from connecting to the last byte of one plain connection: nothing is read, written or checked."""
    with receiver.socket() as listener, sender.socket() as out:
        listener.bind((receiver.address, 0))
        listener.listen()
        began = time.monotonic()
        out.connect(listener.getsockname())
        def send():
            block, left = bytes(1 << 18), size
            while left > 0:
                left -= out.send(block[:left])
        thread = threading.Thread(target=send)
        thread.start()
        with listener.accept()[0] as taken:
            buffer, left = bytearray(1 << 18), size
            while left > 0:
                left -= taken.recv_into(buffer)
        seconds = time.monotonic() - began
        thread.join()
        return seconds


def plain_tcp_at_once(hosts, size):
    """The same from each host to the next, all at the same time: what the machine can carry."""
    began = time.monotonic()
    threads = [threading.Thread(target=plain_tcp, args=(*pair, size)) for pair in zip(hosts, hosts[1:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - began
