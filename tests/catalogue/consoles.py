"""The control socket, the command line and the configuration file: what another process of the user gives a program."""
import contextlib
import os
import socket
import subprocess

from arena import Console
from catalogue import Must, Place
from session import seen
from wire import BAD_TEXTS

# Not pause, cancel and limit: with them a peer's own user stops what the honest fetch.
COMMANDS = ["topo", "find", "get", "list", "push", "share", "unshare", "peers", "status", "whatif", "help", "resume"]
CODES = {0, 1, 3, 64, 69, 74, 75, 76, 77, 78}


def state_of(arena, who):
    return arena.network.folder / (".metaserver" if who == "metaserver" else f"{who}/.espalier")


def deliver(arena, given):
    """Sends bytes to a control socket until its end; then a command is answered in a session of its own."""
    who, data = given
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(arena.patience)
        one.connect(str(state_of(arena, who) / "control.sock"))
        with contextlib.suppress(OSError):
            one.sendall(data)
            one.shutdown(socket.SHUT_WR)
            while one.recv(65536):
                pass
    console = Console(state_of(arena, who), arena.patience)
    code, _ = console.ask("topo", arena.network.folder)
    console.close()
    return seen(code=code)


def deliver_command(arena, given):
    """A command with any words; the session goes on."""
    who, line = given
    console = Console(state_of(arena, who), arena.patience)
    code, told = console.ask(line, arena.network.folder / "hostile")
    after, _ = console.ask("topo", arena.network.folder)
    console.close()
    return seen(code=after, own=code, told=told)


def deliver_sessions(arena, given):
    """Opens sessions that stay, and then ends them; a session afterwards is answered."""
    held = []
    for who, data in given:
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(arena.patience)
        held.append(one)
        with contextlib.suppress(OSError):  # the backlog has an end
            one.connect(str(state_of(arena, who) / "control.sock"))
            one.sendall(data)
    for one in held:
        one.close()
    while True:  # a session ends a moment after its socket
        with contextlib.suppress(OSError, ValueError):
            console = Console(state_of(arena, "s1"), arena.patience)
            code, told = console.ask("topo", arena.network.folder)
            console.close()
            if code == 0:
                return seen(code=code)


def deliver_options(arena, given):
    """Runs a program with options and a configuration file; it ends by itself or says that it has joined."""
    program, options, config = given
    folder = arena.network.folder / "hostile"
    name = f"c{os.urandom(5).hex()}"
    (folder / name).write_bytes(config)
    command = [arena.network.program(program), *options, "--config", name, "--version" if program == "metaserver"
               else "--help"]
    try:
        code, out, log = arena.network.run(*command, cwd=folder)
    except (subprocess.TimeoutExpired, ValueError) as error:
        return seen(code=0, own=None if isinstance(error, subprocess.TimeoutExpired) else 64, out="", log="")
    (folder / name).unlink()
    return seen(code=0, own=code, out=out, log=log)


answered = Must("the next command is answered", lambda given, result: result.code == 0, ((None, seen(code=75)),))
sane = Must("it ends with a code of the table, and the session goes on",
            lambda given, result: result.code == 0 and result.own in CODES,
            ((None, seen(code=0, own=139)), (None, seen(code=1, own=0)), (None, seen(code=0, own=None))))
clean = Must("it ends with a code of the table, and prints no control character",
             lambda given, result: result.own in CODES and "\x1b" not in result.out + result.log,
             ((None, seen(own=-6, out="", log="")), (None, seen(own=64, out="", log="\x1b[2J"))))


def start(arena):
    arena.start_network(2)
    (arena.network.folder / "hostile").mkdir()


consoles = Place("consoles", start, deliver)


def who(random):
    return random.choice(["s1", "s2", "metaserver"])


@consoles.inputs("noise at the control socket", answered)
def _(random):
    return who(random), random.choice([random.randbytes(random.randrange(1, 9000)), b"\n" * random.randrange(1, 5000),
                                       b"\x00" * 500 + b"\n"])


@consoles.inputs("JSON that is no request", answered)
def _(random):
    return who(random), random.choice([b"{}", b"[]", b"null", b"7", b'"x"', b'{"run":7}', b'{"run":null}',
                                       b'{"run":[]}',
                                       b'{"run":"topo","json":7}', b'{"answer":1}', b'{"cancel":true}', b"{" * 9,
                                       b'{"run":{"hex":"zz"}}', b'{"run":"topo","directory":7}']) + b"\n"


@consoles.inputs("JSON that is deep, or cut off, or very long", answered)
def _(random):
    return who(random), random.choice([b"[" * random.randrange(1000, 400_000) + b"\n",
                                       b'{"a":' * random.randrange(1000, 90_000),
                                       b'{"run":"' + b"x" * random.randrange(100_000, 900_000),
                                       b'{"run":"topo"' + b" " * 9000])


@consoles.inputs("many requests at once, and none of their answers read", answered)
def _(random):
    return who(random), b'{"run":"topo","json":true}\n' * random.randrange(10, 500)


@consoles.inputs("sessions that stay", answered, deliver_sessions)
def _(random):
    return [("s1", random.choice([b"", b'{"run":"', b'{"run":"topo"}\n'])) for _ in range(random.randrange(2, 40))]


@consoles.inputs("commands with any words", sane, deliver_command)
def _(random):
    words = [one.decode("latin-1") for one in BAD_TEXTS if b"\x00" not in one]
    words += ["--", "-o", "--json", "--wait", "--to", "*", "''", "\"", "\\", "99999999999999999999"]
    at = who(random)
    command = random.choice(["topo", "whatif", "help"] if at == "metaserver" else COMMANDS)
    return at, " ".join([command, *[random.choice(words) for _ in range(random.randrange(0, 5))]])


@consoles.inputs("commands that nobody knows", sane, deliver_command)
def _(random):
    return who(random), random.choice(["", " ", "nosuch", "FIND x", "\x1b[A", "find\x00x", "x" * 60_000, "2", "-e topo",
                                       "get " + "a " * 5000, "find " + "x" * 2000])


@consoles.inputs("options and configuration files of any kind", clean, deliver_options)
def _(random):
    program = random.choice(["peer", "metaserver"])
    lines = [b"id = x", b"share = /nonexistent", b"join-word = \"", b"max-links = 99999999999", b"= x", b"x",
             b"\xff\xfe = 1",
             b"listen = [::1", b"metaserver = :::", b"upload-rate = 1e99", b"log-level = \x1b[2J", b"config = x",
             b"\x00",
             b"accept-push-limit = -1", b"first-port = 70000", b"include = x", b"a" * 5000 + b" = 1",
             b"state = \"x\" y"]
    options = random.choice([[], ["--id", "a:b"], ["--listen", "x:y:z"], ["--max-links", "0"], ["--nosuch"],
                             ["--metaserver"],
                             ["--id", "x" * 65], ["--listen", "127.0.0.1:99999"], ["--log-level", "loud"],
                             ["--share", "\x1b[2J"]])
    return program, options, b"\n".join(random.choice(lines) for _ in range(random.randrange(0, 6))) + b"\n"
