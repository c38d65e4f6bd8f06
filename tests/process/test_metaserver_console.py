#!/usr/bin/env python3
"""A metaserver's prompt, the originals' commands there and with -e, their command lines, several in one folder."""
import os
import pty
import re
import signal
import subprocess
import sys
import time

from espalier_process import Process, case, free_port_range, main, text_of, wait_until
from terminal import talk


def at_terminal(network, *options):
    """A metaserver at a terminal, and its prompt."""
    terminal = network.terminal(network.program("metaserver"), "--first-port", str(network.first_port), *options)
    ready = terminal.expect(r".* metaserver ready on 127\.0\.0\.1:(\d+), network in (\S+); now start peers")
    terminal.prompt(f"m{ready[1]}>")
    return terminal, f"m{ready[1]}"


def ask(network, *words):
    code, out, log = network.run(network.program("metaserver"), *words)
    return code, out.strip(), log.strip()


def start(network, name, *words):
    process = Process(name, [network.program("metaserver"), *words], network.folder, network.env, network.patience)
    network.at_close.append(lambda: process.alive and process.kill())
    process.expect_log(r"metaserver ready on ")
    return process


@case("at a terminal a metaserver has a prompt, and the originals' words work there")
def _(network):
    terminal, name = at_terminal(network, "--listen", "127.0.0.1:0")
    talk(terminal, f"""
{name}> topo
empty network
{name}> -m
no master: {name} is alone
{name}> master
no master: {name} is alone
{name}> -cl
no links
{name}> -cn
0
{name}> links --count
0
{name}> -c 127.0.0.1
"127.0.0.1" is no HOST:PORT: the port is missing
{name}> whatif kill nobody
nobody is neither a peer of this network nor a metaserver of this cluster
""")
    terminal.prompt(f"{name}>")
    terminal.type("-t")
    terminal.expect(rf"{name} was started on \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d and has run for .* s")
    terminal.prompt(f"{name}>")
    terminal.type("servers")
    terminal.expect(rf"{name}  127\.0\.0\.1:{name[1:]}  this one  0 peers  since .*  \d+\.\d+\.\d+  up to date")
    for word in ("help", "-h"):
        terminal.prompt(f"{name}>")
        terminal.type(word)
        for command in ("topo", "status", "whatif", "link", "master", "uptime", "links", "servers", "drain", "migrate",
                        "forget", "rooms", "history", "help", "stop"):
            terminal.expect(rf"{command}\b.*  \w.*")
    talk(terminal, f"{name}> stop")
    assert terminal.end() == 0
    assert not (network.folder / ".metaserver/control.sock").exists()


@case("its prompt edits lines as a peer's: Tab completes, Ctrl-C clears, log lines come above it, Ctrl-D ends it")
def _(network):
    terminal, name = at_terminal(network, "--listen", "127.0.0.1:0")
    network.address = f"127.0.0.1:{name[1:]}"
    terminal.keys("serv\t")
    terminal.wait(lambda: terminal.screen.lines[-1].rstrip() == f"{name}> servers", "the completed word")
    for line in (f"{name}> servers ^C", f"{name}> ^C"):  # with nothing typed, too
        terminal.keys("\x03")
        terminal.expect(re.escape(line))
        terminal.prompt(f"{name}>")
    terminal.keys("top")
    terminal.wait(lambda: terminal.screen.lines[-1].rstrip() == f"{name}> top", "what was typed")
    network.start_peer("s1")
    terminal.expect(r"\d\d:\d\d:\d\d s1 joined .*")
    terminal.wait(lambda: terminal.screen.lines[-1].rstrip() == f"{name}> top", "the line to stand below the log")
    terminal.keys("o\r")
    terminal.expect("s1:")
    terminal.prompt(f"{name}>")
    terminal.keys("whatif kill s\t")
    terminal.wait(lambda: terminal.screen.lines[-1].rstrip() == f"{name}> whatif kill s1", "the completed id")
    terminal.keys("\x03")
    terminal.prompt(f"{name}>")
    terminal.keys("\x04")
    assert terminal.end() == 0


@case("signals end it at its prompt, and a log that is no terminal stays where it was sent")
def _(network):
    for number in (signal.SIGTERM, signal.SIGHUP):
        terminal, _ = at_terminal(network, "--listen", "127.0.0.1:0")
        terminal.process.send_signal(number)
        assert terminal.end() == 0, number
    command = f"exec {network.program('metaserver')} --listen 127.0.0.1:0 2> sent.log"
    terminal = network.terminal("bash", "-c", command)
    log = network.folder / "sent.log"
    port = wait_until(lambda: re.search(r"ready on 127\.0\.0\.1:(\d+)", text_of(log)), network.patience,
                      "the log in its file")[1]
    terminal.prompt(f"m{port}>")
    assert "ready" not in terminal.text(), terminal.text()
    terminal.type("quit")
    assert terminal.end() == 0


@case("without a terminal there is no prompt, and standard input is not read")
def _(network):
    command = [network.program("metaserver"), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, cwd=network.folder, env=network.env, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b"ready" in process.stderr.readline()
    process.stdin.write(b"stop\n")
    process.stdin.flush()
    code, out, _ = ask(network, "-e", "topo")
    assert (code, out) == (0, "empty network") and process.poll() is None
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=network.patience)
    assert process.returncode == 0 and out == b"", out


@case("in the background of a shell there is no prompt, and it is not stopped")
def _(network):
    ours, theirs = pty.openpty()
    script = f"set -m; {network.program('metaserver')} --listen 127.0.0.1:0 & wait"
    shell = subprocess.Popen(["setsid", "--ctty", "--wait", "bash", "-c", script], cwd=network.folder, env=network.env,
                             stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        wait_until(lambda: (network.folder / ".metaserver/control.sock").exists(), network.patience, "the metaserver")
        os.write(ours, b"stop\r")
        assert ask(network, "-e", "topo") == (0, "empty network", "")
        assert ask(network, "-e", "stop")[0] == 0
        assert shell.wait(network.patience) == 0
    finally:
        shell.kill()
        os.close(ours)


@case("moved to the background by Ctrl-Z and bg it goes on, and has its prompt again in the foreground")
def _(network):
    shell = network.terminal("env", "PS1=shell> ", "bash", "--norc", "--noediting", "-i")
    shell.prompt("shell>")
    shell.type(f"{network.program('metaserver')} --listen 127.0.0.1:0 --first-port {network.first_port}")
    ready = shell.expect(r".* metaserver ready on (127\.0\.0\.1:(\d+)), .*")
    network.address, name = ready[1], f"m{ready[2]}"
    shell.prompt(f"{name}>")
    shell.keys("\x1a")
    shell.prompt("shell>")
    shell.type("bg")
    shell.expect(r"\[1\]\+ .* &")
    shell.prompt("shell>")
    shell.type("echo typed to the $((1))st program")
    shell.expect("typed to the 1st program")
    assert ask(network, "-e", "topo") == (0, "empty network", "")
    network.start_peer("s1")
    shell.expect(r"(shell> )?\d\d:\d\d:\d\d s1 joined .*")
    shell.type("jobs")
    shell.expect(r".*Running.*metaserver.*")
    shell.type("fg")
    shell.prompt(f"{name}>")
    shell.type("topo")
    shell.expect("s1:")
    shell.prompt(f"{name}>")
    shell.keys("\x1a")
    shell.prompt("shell>")
    shell.type("bg")
    shell.expect(r"\[1\]\+ .* &")
    shell.prompt("shell>")
    assert ask(network, "-e", "stop")[0] == 0
    wait_until(lambda: ask(network, "-e", "topo")[0] == 69, network.patience, "its end in the background")
    shell.type("wait; jobs; exit")
    assert shell.end() == 0


@case("a peer in the background of a shell gets its prompt in the foreground, and is not stopped before")
def _(network):
    network.start_metaserver()
    network.fill_share("s1")
    shell = network.terminal("env", "PS1=shell> ", "bash", "--norc", "--noediting", "-i")
    shell.prompt("shell>")
    shell.type(" ".join(network.peer_command("s1")) + " &")
    network.wait_for_tree(["s1"])
    shell.type("jobs")
    shell.expect(r".*Running.*peer.*")
    shell.type("fg")
    shell.expect(".*peer .*")
    shell.prompt("s1>")
    shell.type("topo")
    shell.expect("s1:")
    shell.prompt("s1>")
    shell.type("stop")
    shell.prompt("shell>")
    shell.type("exit")
    assert shell.end() == 0


@case("the originals' command lines start metaservers with files of their own, and -e finds the right one")
def _(network):
    first = free_port_range(4)
    assert ask(network, "-e", "topo")[0] == 69
    start(network, "a", str(first), str(first + 1))
    assert (network.folder / f"topo-{first}.txt").exists()
    assert (network.folder / f"NumberOfServers-{first}.txt").exists()
    assert ask(network, "-e", "-m") == (0, f"no master: m{first} is alone", "")
    start(network, "b", "127.0.0.1", str(first + 2), "--name", "paris")
    for process_words, name in (((f"--name=m{first}",), f"m{first}"), (("--name", "paris"), "paris"),
                                ((str(first),), f"m{first}"), (("--state", f"./.metaserver-{first + 2}"), "paris")):
        assert ask(network, *process_words, "-e", "-m") == (0, f"no master: {name} is alone", "")
    code, out, log = ask(network, "-e", "topo")
    assert (code, out) == (64, "") and log == f"metaserver: m{first} and paris run here: choose one by --name NAME", log
    code, told = network.json_of(network.program("metaserver"), "--json", "-e", "topo")
    assert code == 64 and told[0]["command"] == "topo", told
    code, _, log = ask(network, "--name", "rome", "-e", "topo")
    assert code == 69 and log == f"metaserver: no metaserver rome runs here: m{first} and paris do", log
    assert ask(network, "--name", "paris", "-e", "stop")[0] == 0
    wait_until(lambda: ask(network, "-e", "-m") == (0, f"no master: m{first} is alone", ""), network.patience,
               "the only one that runs to be found")
    code, out, _ = ask(network, "-e", "help")
    assert code == 0 and "(also -m)" in out
    assert ask(network, "-e", "stop")[0] == 0


@case("-e finds a metaserver by its name beside stopped ones, and asks all at once; a stopped one has 3 s")
def _(network):
    first = free_port_range(4)
    servers = [start(network, f"m{first + i}", str(first + i)) for i in range(4)]
    for server in servers[:3]:
        server.send(signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert ask(network, "--name", f"m{first + 3}", "-e", "-m") == (0, f"no master: m{first + 3} is alone", "")
        took = time.monotonic() - started
        assert took < 6, f"{took:.1f} s: each of three stopped ones takes 3 s"
        code, _, log = ask(network, "--name", "rome", "-e", "-m")
        assert code == 69 and f"the one on ./.metaserver-{first}" in log, log
    finally:
        for server in servers:
            server.send(signal.SIGCONT)
    assert ask(network, "--name", f"m{first}", "-e", "-m")[0] == 0


@case("status names the metaserver itself, the master and the cluster; whatif kill of the last one and of nobody")
def _(network):
    first = free_port_range(2)
    start(network, "a", str(first))
    status = ask(network, "-e", "status")[1]
    assert f"name         m{first}\n" in status, status
    assert f"cluster      1 metaserver; no master: m{first} is alone\n" in status, status
    code, out, log = ask(network, "-e", f"whatif kill m{first}")
    assert code == 0 and out == f"m{first} is the only metaserver: until it is started again nobody could join", log
    for words in ("nobody", "--server nobody"):
        code, out, log = ask(network, "-e", f"whatif kill {words}")
        assert (code, out) == (1, "") and log.startswith("nobody is n"), (code, out, log)
        assert "metaserver of this cluster" in log, log
    start(network, "b", "--listen", f"127.0.0.1:{first + 1}", "--cluster", f"127.0.0.1:{first}")
    wait_until(lambda: f"the master is m{first} on" in ask(network, "--name", f"m{first + 1}", "-e", "-m")[1],
               network.patience, "a master")
    code, told = network.json_of(network.program("metaserver"), "--name", f"m{first + 1}", "--json", "-e", "status",
                                 "-e", "servers")
    assert code == 0, told
    status, servers = told
    assert status["self"] == f"m{first + 1}" and status["master"] == f"m{first}" and status["epoch"] >= 1, status
    assert sorted(status["metaservers"]) == [f"m{first}", f"m{first + 1}"], status
    versions = [server["version"] for server in servers["servers"]]
    assert len(set(versions)) == 1 and re.fullmatch(r"(\d+\.\d+\.\d+ ){2}", " ".join(versions) + " "), servers
    out = ask(network, "--name", f"m{first + 1}", "-e", "status")[1]
    assert f"cluster      2 metaservers; the master is m{first} on 127.0.0.1:{first}\n" in out, out
    seen = network.folder / f".metaserver-{first}/metaservers"
    wait_until(lambda: seen.exists() and f"m{first + 1}" in text_of(seen), network.patience, "it to be written down")
    assert ask(network, "--name", f"m{first + 1}", "-e", "drain")[0] == 0
    wait_until(lambda: ask(network, "-e", f"whatif kill m{first + 1}")[2] == f"m{first + 1} is dead already",
               network.patience, "it to be gone")


if __name__ == "__main__":
    sys.exit(main())
