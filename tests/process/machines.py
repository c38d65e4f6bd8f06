"""Machines as network namespaces around a router, any two of which can be cut from each other, also one way.

  in_namespaces()                      # before main(): runs the script again in namespaces of its own
  machines = Machines(["m0", "p0"])
  machines.may("m0")                   # words before a command, with which it runs on that machine
  machines.cut(["m0"], ["p0"])         # each machine of the first list from each of the second
  machines.heal()

The script's own namespace is the router. It drops what goes over a cut, and tells nobody: a program sees silence, as
with a broken cable, and connections that go on when the cut ends. Files and control sockets are those of the script.
Needs `ip` of iproute2, and root or user namespaces; without them the script ends as left out, not as passed.
"""
import os
import subprocess
import sys

LEFT_OUT = 77  # meson's exit code for a test that was not run
INSIDE = "ESPALIER_TEST_NAMESPACES"

# Everything that the tests need of the kernel, in the namespaces in which they would run.
PROBE = """set -e
ip link set lo up
ip link add probe0 type veth peer name probe1
ip link del probe0
ip rule add pref 1 from 192.0.2.1 to 192.0.2.2 blackhole
ip rule del pref 1
echo 1 >/proc/sys/net/ipv4/ip_forward
[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]
mount -t tmpfs -o size=64k espalier-test /mnt
umount /mnt
unshare --net true
"""


def in_namespaces():
    """Runs this script again with a network and mounts of its own. Ends it with 77 where that is not possible."""
    if os.environ.get(INSIDE):
        return
    words = ["unshare", "--net", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        words += ["--user", "--map-root-user"]
    try:
        probe = subprocess.run([*words, "sh", "-c", PROBE], capture_output=True, check=False, text=True)
        why = probe.stderr.strip().replace("\n", "; ") or f"exit code {probe.returncode}"
        possible = probe.returncode == 0
    except OSError as error:
        why, possible = str(error), False
    if not possible:
        print(f"left out: no network namespaces can be made and cut from each other here: {why}")
        print("cases: 0 passed, 0 failed", flush=True)
        sys.exit(LEFT_OUT)
    os.environ[INSIDE] = "1"
    command = [*words, "sh", "-c", 'ip link set lo up && echo 1 >/proc/sys/net/ipv4/ip_forward && exec "$@"', "sh"]
    os.execvp(command[0], [*command, sys.executable, *sys.argv])


def ip(*words, may=()):
    done = subprocess.run([*may, "ip", *words], capture_output=True, check=False, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


class Machines:
    """Each machine has one address, 10.77.N.2, and is linked to the router, 10.77.N.1."""

    def __init__(self, names):
        self.numbers = {name: i + 1 for i, name in enumerate(names)}
        self.holders = {}  # name -> the process that keeps the namespace
        self.cuts = []     # the rules' priorities
        for name in names:
            self._make(name)

    def _make(self, name):
        number = self.numbers[name]
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && echo && exec cat"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holders[name] = holder
        assert holder.stdout.readline() == b"\n", f"no namespace for {name}"
        ip("link", "add", f"r{number}", "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        ip("address", "add", f"10.77.{number}.1/24", "dev", f"r{number}")
        ip("link", "set", f"r{number}", "up")
        for words in (["address", "add", f"10.77.{number}.2/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
                      ["route", "add", "default", "via", f"10.77.{number}.1"]):
            ip(*words, may=self.may(name))

    def address(self, name):
        return f"10.77.{self.numbers[name]}.2"

    def may(self, name):
        return ["nsenter", f"--net=/proc/{self.holders[name].pid}/ns/net", "--"]

    def cut(self, ones, others, one_way=False):
        """Nothing of `ones` reaches `others` any more, nor the other way round."""
        for one in ones:
            for other in others:
                for source, target in [(one, other)] if one_way else [(one, other), (other, one)]:
                    self.cuts.append(len(self.cuts) + 1)
                    ip("rule", "add", "pref", str(self.cuts[-1]), "from", self.address(source), "to",
                       self.address(target), "blackhole")

    def isolate(self, ones):
        """Cuts them from all others, not from each other."""
        self.cut(ones, [name for name in self.numbers if name not in ones])

    def heal(self):
        while self.cuts:
            ip("rule", "del", "pref", str(self.cuts.pop()))

    def close(self):
        self.heal()
        for name, holder in self.holders.items():
            ip("link", "del", f"r{self.numbers[name]}")  # the kernel removes a namespace later than its processes
            holder.stdin.close()
            holder.wait()
            holder.stdout.close()
