#!/usr/bin/env python3
"""The programs as services: what they tell the service manager, and the sandbox of the units in contrib/."""
import re
import signal
import socket
import subprocess
import urllib.request

from dashboard import faults
from espalier_process import ROOT, case, main, wait_until

EXPOSURE_MOST = 2.0


class Manager:
    """A service manager's end of sd_notify(3)."""

    def __init__(self, network, watchdog_seconds=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(network.folder / "notify"))
        self.socket.settimeout(network.patience)
        network.env["NOTIFY_SOCKET"] = str(network.folder / "notify")
        if watchdog_seconds:
            network.env["WATCHDOG_USEC"] = str(int(watchdog_seconds * 1e6))
        self.told = []

    def expect(self, pattern):
        while True:
            self.told.append(self.socket.recv(4096).decode())
            if found := re.search(pattern, self.told[-1]):
                return found


@case("a metaserver says when it is ready, that its loop turns, and that it ends")
def _(network):
    manager = Manager(network, watchdog_seconds=0.2)
    network.start_metaserver()
    assert manager.expect(r"READY=1\nSTATUS=serving on (\S+)")[1] == network.address
    for _ in range(3):
        manager.expect("^WATCHDOG=1$")
    # A process that stands still says nothing.
    network.metaserver.send(signal.SIGSTOP)
    manager.socket.settimeout(0.5)
    try:
        for _ in range(10):
            manager.expect("WATCHDOG")
        raise AssertionError("a stopped program goes on telling")
    except TimeoutError:
        manager.socket.settimeout(network.patience)
    network.metaserver.send(signal.SIGCONT)
    manager.expect("^WATCHDOG=1$")
    network.metaserver.end()
    manager.expect("^STOPPING=1$")


@case("a peer is ready while it still looks for its metaserver; then it says where it has joined")
def _(network):
    network.start_metaserver()
    manager = Manager(network)
    network.start_peer("s1")
    manager.expect(r"READY=1\nSTATUS=joining$")
    manager.expect(r"STATUS=s1 joined on 127\.0\.0\.1:\d+")
    assert network.peers["s1"].end() == 0
    manager.expect("^STOPPING=1$")
    # Nobody who runs commands tells the manager anything.
    network.start_peer("s2")
    manager.expect("STATUS=s2 joined")
    assert network.command("s2", "status")[0] == 0
    manager.socket.settimeout(0.2)
    try:
        raise AssertionError(manager.socket.recv(4096))
    except TimeoutError:
        pass


@case("a notify socket that is gone, full or too long named stops nobody")
def _(network):
    for name in ["/nowhere/at/all", "x" * 300, "@" + "y" * 40]:
        network.env["NOTIFY_SOCKET"] = name
        network.start_metaserver()
        assert network.metaserver.end() == 0
    manager = Manager(network, watchdog_seconds=0.01)
    network.start_metaserver()
    wait_until(lambda: network.json_of(network.program("metaserver"), "--json", "-e", "status")[0] == 0,
               network.patience, "an answer")
    assert manager.socket and network.metaserver.end() == 0


@case("in systemd's journal a line has its level's number, and no time; elsewhere it is as ever")
def _(network):
    log = network.folder / "metaserver.log"
    log.touch()
    status = log.stat()
    network.env["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
    network.start_metaserver("--log-level", "debug")
    network.start_peer("s1")  # its log is another file
    network.peers["s1"].expect_log(r"(?m)^\d\d:\d\d:\d\d s1 joined")
    network.metaserver.expect_log("(?m)^<6>s1 joined on ")
    network.peers["s1"].kill()
    network.metaserver.end()
    lines = network.metaserver.log.splitlines()
    assert all(re.match("<[3467]>[^0-9<]", line) for line in lines), lines


@case("the units are understood by systemd, and exposed by at most two of ten")
def _(network):
    units = sorted((ROOT / "contrib" / "systemd").glob("*.service"))
    assert len(units) == 2
    for unit in units:
        done = subprocess.run(["systemd-analyze", "security", "--offline=yes", unit], capture_output=True, text=True,
                              check=False)
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
        assert found and float(found[1]) <= EXPOSURE_MOST, (unit, done.stdout[-300:], done.stderr)
        text = unit.read_text(encoding="utf-8")
        # With the programs and pages where they are not installed; systemd tells of every line that it does not know.
        here = re.sub(r"/usr/bin/(\w+)", lambda match: network.program(match[1]), text)
        copy = network.folder / unit.name
        copy.write_text(re.sub(r"Documentation=.*\n", "", here), encoding="utf-8")
        done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and unit.name.split("@")[0] not in done.stderr, done.stderr
        for line in ["Type=notify", "WatchdogSec=30", "DynamicUser=yes", "ProtectSystem=strict"]:
            assert f"\n{line}\n" in text, (unit, line)


def metrics_of(process):
    page = process.expect_log(r"page: (http://[^/]+)/")[1]
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{page}/metrics") as answer:
        return answer.read().decode()


def metric(process, name):
    return float(re.search(rf"^espalier_{name} (\S+)$", metrics_of(process), re.MULTILINE)[1])


@case("metrics count joins, deaths, heals, searches and chunks as they happen")
def _(network):
    network.start_metaserver("--web", "127.0.0.1:0")
    tree = network.start_peers(5, "--web", "127.0.0.1:0")
    server = network.metaserver
    assert (metric(server, "joins_total"), metric(server, "losses_total"), metric(server, "adrift")) == (5, 0, 0)
    assert metric(server, "member_heal_seconds_count") == 0 and "s4" in tree["s2"]
    network.peers["s2"].kill()
    network.wait_for_tree(["s1", "s3", "s4", "s5"])
    assert (metric(server, "losses_total"), metric(server, "adrift"), metric(server, "members")) == (1, 0, 4)
    # 0: it healed before the metaserver knew of the death.
    assert metric(server, "member_heal_seconds_count") in (0, 1)
    assert [metric(network.peers[name], "heal_seconds_count") for name in ["s1", "s4"]] == [0, 1]
    assert 0 < metric(network.peers["s4"], "heal_seconds_sum") < network.patience

    one = network.peers["s1"]
    for name in ["s1", "s3", "s4", "s5"]:
        network.wait_indexed(name)
    def searches():
        return [metric(one, name) for name in ["search_seconds_count", "searches_complete_total",
                                               "search_answers_missing_total", "verified_chunks_total"]]
    before = searches()
    assert network.command("s1", "find txt")[0] == 0
    assert [now - then for now, then in zip(searches(), before)] == [1, 1, 0, 0], metrics_of(one)
    name = next(path.name for path in sorted((network.folder / "s3").iterdir()) if path.is_file())
    assert network.command("s1", f"get {name} -o ./fetched")[0] == 0
    assert metric(one, "verified_chunks_total") > 0 and metric(one, "bad_chunks_total") == 0


@case("metrics are those that docs/operating.md names; alerts use no others, the dashboard all; none names a peer")
def _(network):
    network.start_metaserver("--web", "127.0.0.1:0")
    network.start_peer("s1", "--web", "127.0.0.1:0")
    network.wait_for_tree(["s1"])
    told = set()
    for process in [network.metaserver, network.peers["s1"]]:
        text = metrics_of(process)
        assert "s1" not in text, text
        assert set(re.findall(r"{(\w+)=", text)) == {"le"} and text.count("{") == text.count('{le="'), text
        told |= set(re.findall(r"^# TYPE (espalier_\w+) ", text, re.MULTILINE))
        for name in re.findall(r"^# TYPE (\S+) histogram$", text, re.MULTILINE):
            buckets = [float(count) for count in re.findall(rf"^{name}_bucket{{le=.*}} (\S+)$", text, re.MULTILINE)]
            assert len(buckets) > 8 and buckets == sorted(buckets), (name, buckets)
            assert f"{name}_count {buckets[-1]:g}\n" in text and f"\n{name}_sum " in text, text
    documented = set(re.findall(r"`(espalier_\w+)`", (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")))
    assert told == documented, told ^ documented
    alerts = (ROOT / "contrib" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"espalier_\w+", alerts)} <= told
    named = set(re.findall(r"`(Espalier\w+)`", (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")))
    assert set(re.findall(r"alert: (\w+)", alerts)) == named
    found = faults(ROOT / "contrib" / "grafana" / "espalier.json", told)
    assert not found, found


if __name__ == "__main__":
    main()
