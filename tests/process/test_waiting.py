"""Headless peers as services: started before the metaserver, and at one that is restarted several times."""
import re
import signal
import socket
import time

from espalier_process import case, free_port_range, main, text_of, wait_until

NOBODY = "no metaserver at"


def has_joined(peer):
    return peer.expect_log(r"joined on \S+, (linked to|the first)")


@case("a headless peer that starts before its metaserver says so once, and joins when there is one")
def _(network):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        nobody.settimeout(network.patience)
        network.address = "127.0.0.1:%d" % nobody.getsockname()[1]
        early = network.start_peer("s1")
        for _ in range(3):
            nobody.accept()[0].close()
    early.expect_log(f"{NOBODY} {network.address}")
    network.restart_metaserver()
    has_joined(early)
    assert early.log.count(NOBODY) == 1, early.log
    network.start_peer("s2")
    network.wait_for_tree(["s1", "s2"])


@case("a headless peer that waits at a restarted metaserver joins although it is killed twice meanwhile")
def _(network):
    network.start_metaserver()
    network.start_peers(1)
    state = network.folder / ".metaserver/network"
    wait_until(lambda: text_of(state).endswith(" s1\n"), network.patience, "s1 in the state of the metaserver")
    network.peers["s1"].send(signal.SIGSTOP)  # it listens and does not rejoin, so joiners wait
    network.metaserver.kill()
    network.restart_metaserver()
    waiting = [network.start_peer(name) for name in ("s2", "s3")]
    for again in range(2):
        for peer in waiting:
            wait_until(lambda: peer.log.count("the metaserver was restarted and waits for 1 peer of before") > again,
                       network.patience, f"{peer.name} to wait: {peer.log}")
        network.metaserver.kill()
        network.restart_metaserver()
    network.peers["s1"].send(signal.SIGCONT)
    for peer in waiting:
        has_joined(peer)
    network.wait_for_tree(["s1", "s2", "s3"])
    assert all(peer.log.count(NOBODY) <= 1 for peer in waiting), [peer.log for peer in waiting]


@case("a headless peer without a metaserver ends with 0 at SIGTERM, at once")
def _(network):
    network.address = f"127.0.0.1:{free_port_range(1)}"
    for number in (signal.SIGTERM, signal.SIGHUP):
        peer = network.start_peer("s1")
        peer.expect_log(NOBODY)
        begun = time.monotonic()
        assert peer.end(number) == 0, peer.log
        assert time.monotonic() - begun < 5, peer.log


@case("a headless peer also waits until the name of its metaserver can be looked up")
def _(network):
    network.address = "metaserver.invalid:5000"
    peer = network.start_peer("s1")
    peer.expect_log(f"{NOBODY} {re.escape(network.address)}")
    assert peer.end() == 0, peer.log


@case("commands without a terminal do not wait for a metaserver: exit code 69, headless or not")
def _(network):
    network.address = f"127.0.0.1:{free_port_range(1)}"
    network.fill_share("s1", {})
    for options in ([], ["--headless"]):
        code, out, log = network.run(*network.peer_command("s1", *options, "-e", "topo"))
        assert code == 69 and f"{NOBODY} {network.address}" in log, (code, out, log)
    code, out, log = network.run(*network.peer_command("s1"))
    assert code == 69, (code, out, log)


@case("a headless peer that is refused ends with 77, also when it had to wait for the metaserver")
def _(network):
    network.address = f"127.0.0.1:{free_port_range(1)}"
    wrong = network.start_peer("s1", "--join-word", "quince")
    wrong.expect_log(NOBODY)
    network.restart_metaserver()
    assert network.peers.pop("s1").process.wait(network.patience) == 77, wrong.log


if __name__ == "__main__":
    main()
