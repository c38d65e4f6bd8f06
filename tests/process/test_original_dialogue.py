#!/usr/bin/env python3
"""The instructions of the original program, typed by a user: five peers at terminals, the word P2P, topo, 2, stop."""
import re
import sys

from espalier_process import case, main, text_of, wait_until
from terminal import talk

def join(network, name, links=None, look="", seen=""):
    """Starts a peer and joins by hand, as in the original; returns its terminal."""
    network.fill_share(name)
    terminal = network.terminal(network.program("peer"))
    talk(terminal, f"""
1  add this peer to the network
2  share files, once it is in the network
> 1
peer id> {name}
topo to see the network, Enter to go on> {look}
{seen}
P2P to join> P2P
""".replace("\n\n", "\n"))
    linked = f", linked to {links}" if links else ", the first of the network"
    terminal.expect(rf"{name} joined on 127\.0\.0\.1:\d+{linked}; sharing \d+ files \(.*\) from \./{name}")
    return terminal


@case("the dialogue of the design is what a user sees, to the letter")
def _(network):
    network.start_metaserver()
    first = join(network, "s1", look="topo", seen="empty network")
    network.fill_share("s2")
    second = network.terminal(network.program("peer"))
    talk(second, """
1  add this peer to the network
2  share files, once it is in the network
> 2
2 comes after 1: this peer is not in the network yet
> 1
peer id> s2
topo to see the network, Enter to go on> topo
s1:
P2P to join> yes
the metaserver refused the word "yes": type P2P to join
P2P to join> P2P
""")
    port = second.expect(r"s2 joined on 127\.0\.0\.1:(\d+), linked to s1; sharing 4 files \(3\.1 MB\) from \./s2")[1]
    assert int(port) == network.first_port + 1, f"s2 listens on {port}, the first port is {network.first_port}"
    network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s1")
    network.wait_indexed("s2")
    talk(second, """
s2> topo
s1:  s2
s2:  s1
s2> 2
file to download (Enter for none)> f3.txt
f3.txt: 12 B from s1, verified, saved as ./s2/f3.txt
s2> 2
file to download (Enter for none)> f9.txt
f9.txt: not found (searched 2 of 2 peers)
""")
    network.wait_indexed("s2")
    talk(second, """
s2> 2
file to download (Enter for none)>
others can fetch your 5 files at any time
s2> stop
""")
    assert second.end() == 0
    assert (network.folder / "s2/f3.txt").read_bytes() == b"ripe quince\n"
    network.wait_for_tree(["s1"])
    talk(first, "s1> stop")
    assert first.end() == 0
    wait_until(lambda: network.topo() == {}, network.patience, "an empty topo.txt")


@case("five peers that join by hand are in topo.txt as in the original, and all can search")
def _(network):
    network.start_metaserver()
    terminals = {"s1": join(network, "s1")}
    terminals["s2"] = join(network, "s2", links="s1")
    terminals["s3"] = join(network, "s3", links="s1")
    terminals["s4"] = join(network, "s4", links="s2")
    terminals["s5"] = join(network, "s5", links="s3")
    names = list(terminals)
    wanted = "s1:  s2 s3\ns2:  s1 s4\ns3:  s1 s5\ns4:  s2\ns5:  s3\n"
    wait_until(lambda: text_of(network.topo_path) == wanted, network.patience,
               lambda: f"{wanted}in topo.txt, which is\n{text_of(network.topo_path)}")
    count_file = network.folder / "NumberOfServers.txt"
    wait_until(lambda: text_of(count_file).strip() == "5", network.patience, "5 in NumberOfServers.txt")
    for name in names:
        network.wait_indexed(name)
    # In the original the third peer could never share. The fourth and the fifth are the ends of the line.
    talk(terminals["s4"], """
s4> 2
file to download (Enter for none)> f7.txt
f7.txt: 51 B from s5, verified, saved as ./s4/f7.txt
s4> 2
file to download (Enter for none)> f5.txt
f5.txt: 53 B from s3, verified, saved as ./s4/f5.txt
s4> topo
s1:  s2 s3
s2:  s1 s4
s3:  s1 s5
s4:  s2
s5:  s3
""")
    for name in reversed(names):
        talk(terminals[name], f"{name}> stop")
        assert terminals[name].end() == 0
    wait_until(lambda: text_of(network.topo_path) == "", network.patience, "an empty topo.txt")


@case("a name that stands for two files is asked about, and the answer is fetched")
def _(network):
    network.start_metaserver()
    network.start_peers(5)
    for name in ("s3", "s5"):
        network.wait_indexed(name)
    network.fill_share("you", {})
    terminal = network.terminal(*network.peer_command("you"))
    talk(terminal, "you> get notes.txt")
    wait_until(lambda: (terminal.pump(0.05) or all(name in terminal.text() for name in ("s3", "s5"))),
               network.patience, lambda: f"both holders to be shown:\n{terminal.text()}")
    terminal.type("1")
    wait_until(lambda: terminal.pump(0.05) or (network.folder / "you/notes.txt").exists(), network.patience,
               lambda: f"the first of both to be fetched:\n{terminal.text()}")
    talk(terminal, "you> stop")
    assert terminal.end() == 0


@case("with TOTAL a peer's own downloads wait until so many have joined")
def _(network):
    network.start_metaserver()
    network.start_peer("s1")
    network.wait_for_tree(["s1"])
    network.wait_indexed("s1")
    network.fill_share("s2")
    terminal = network.terminal(*network.peer_command("s2", "3"))
    terminal.prompt("s2>")
    terminal.type("get f3.txt")
    network.wait_for_tree(["s1", "s2"])
    for _ in range(20):
        terminal.pump(0.05)
    assert not (network.folder / "s2/f3.txt").exists(), "fetched before three had joined"
    network.start_peer("s3")
    wait_until(lambda: terminal.pump(0.05) or (network.folder / "s2/f3.txt").exists(), network.patience,
               lambda: f"the download once three are there:\n{terminal.text()}")


@case("without a metaserver the prompt says what to do, and Enter tries again")
def _(network):
    network.start_metaserver()
    network.metaserver.end()
    network.fill_share("s1")
    terminal = network.terminal(*network.peer_command("s1"))
    terminal.expect(re.escape(f'no metaserver at {network.address}: start "metaserver", then press Enter to try again')
                    + ".*")
    network.restart_metaserver()
    terminal.type("")
    terminal.expect(r"s1 joined on 127\.0\.0\.1:\d+, the first of the network; sharing 2 files \(119 B\) from \./s1")
    talk(terminal, "s1> stop")
    assert terminal.end() == 0


@case("Ctrl-C clears the line, Ctrl-D leaves")
def _(network):
    network.start_metaserver()
    network.fill_share("s1")
    terminal = network.terminal(*network.peer_command("s1"))
    terminal.prompt("s1>")
    terminal.keys("get nons")
    terminal.wait(lambda: terminal.screen.lines[-1] == "s1> get nons", "what was typed")
    terminal.keys("\x03")
    terminal.prompt("s1>")
    assert terminal.process.poll() is None
    terminal.keys("\x04")
    assert terminal.end() == 0


@case("notices are shown above the line that is being typed")
def _(network):
    network.start_metaserver()
    network.fill_share("s1")
    terminal = network.terminal(*network.peer_command("s1"))
    terminal.prompt("s1>")
    terminal.keys("find f")
    terminal.wait(lambda: terminal.screen.lines[-1] == "s1> find f", "what was typed")
    network.start_peer("s2")
    network.wait_for_tree(["s1", "s2"])
    terminal.expect(r".*\bs2\b.*")
    terminal.wait(lambda: terminal.screen.lines[-1] == "s1> find f", "the line to stand below the notice")


if __name__ == "__main__":
    sys.exit(main())
