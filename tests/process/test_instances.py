#!/usr/bin/env python3
"""`--instances N`: a metaserver starts others, hands peers on to them, starts one again that died, ends them all."""
import os
import signal

from cluster import Cluster, Entry
from espalier_process import case, main, wait_until


def is_there(id):
    """Whether that process runs; a zombie does not."""
    try:
        with open(f"/proc/{id}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def zombies_of(id):
    found = []
    for other in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{other}/stat", encoding="utf-8") as file:
                state, parent = file.read().rsplit(")", 1)[1].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state == "Z" and int(parent) == id:
            found.append(other)
    return found


def wait_for_ends(network, ids):
    wait_until(lambda: not any(map(is_there, ids)), network.patience,
               lambda: f"the end of {[id for id in ids if is_there(id)]}")


@case("an entry with three metaservers hands its peers on to them, in equal parts, and holds none itself")
def _(network):
    entry = Entry(network, 3, "--max-links", "3", "--placement", "classic").start().wait_for_all()
    network.max_links = 3
    network.address = entry.addresses[0]
    names = [f"s{i + 1}" for i in range(6)]
    for name in names:
        network.start_peer(name)
        network.peers[name].expect_log(f"{name} joined|joined on")
    entry.wait_for_tree(names)
    wait_until(lambda: sorted(each["peers"] for each in entry.rows().values()) == [0, 2, 2, 2], network.patience,
               lambda: f"two at each: {entry.rows()}")
    assert entry.rows()[entry.entry]["peers"] == 0
    for id in entry.ids().values():
        with open(f"/proc/{id}/comm", encoding="utf-8") as file:
            assert file.read() == "metaserver\n", "as ps and ss show it"
    assert entry.process.end() == 0


@case("an instance that is killed is started again and links; it keeps its state, and no zombie is left")
def _(network):
    entry = Entry(network, 2).start().wait_for_all()
    first = entry.ids()
    victim = entry.names[1]
    os.kill(first[victim], signal.SIGKILL)
    entry.process.expect_log(rf"{victim} died \(killed by signal 9\): it is started again in 0\.2 s")
    wait_until(lambda: entry.ids()[victim] != first[victim], network.patience, f"{victim} to be started again")
    entry.wait_for_all()
    wait_until(lambda: entry.told(victim, "servers")["servers"].__len__() == 3, network.patience, "it to be linked")
    assert zombies_of(entry.process.process.pid) == []
    assert entry.ids()[entry.names[2]] == first[entry.names[2]]
    # Again at once: the pause is longer.
    os.kill(entry.ids()[victim], signal.SIGKILL)
    entry.process.expect_log(rf"{victim} died \(killed by signal 9\): it is started again in 0\.4 s")
    entry.wait_for_all()


@case("an instance that was told to end is not started again, and the entry cannot be drained without --force")
def _(network):
    entry = Entry(network, 2).start().wait_for_all()
    code, out, log = entry.command(entry.names[1], "drain")
    assert code == 0, (out, log)
    entry.process.expect_log(rf"{entry.names[1]} has ended, as it was told to: it is not started again")
    wait_for_ends(network, [entry.ids()[entry.names[1]]])
    code, out, log = entry.command(entry.entry, "drain")
    assert code == 77 and "which end with it" in out + log, (code, out, log)


@case("they end with their entry: by SIGTERM, and when it is killed; one whose port is taken is tried again")
def _(network):
    entry = Entry(network, 2).start().wait_for_all()
    ids = list(entry.ids().values())
    assert len(ids) == 2 and all(map(is_there, ids))
    assert entry.process.end() == 0
    assert not any(map(is_there, ids)), "the entry waits for their end"
    entry.start().wait_for_all()
    ids = list(entry.ids().values())
    entry.process.kill()
    wait_for_ends(network, ids)
    other = Cluster(network, 1, first=9)  # on the port of the first instance
    other.start("m0")
    entry.start()
    entry.process.expect_log(rf"{entry.names[1]}: .*{entry.addresses[1]}")
    entry.process.expect_log(rf"{entry.names[1]} died \(exit code 69\)")
    assert other.servers["m0"].end() == 0
    entry.wait_for_all()
    assert entry.process.end() == 0


if __name__ == "__main__":
    main()
