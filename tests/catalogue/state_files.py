"""State files that are damaged: of a peer before its start, and of the metaserver before its restart.

A program either refuses the folder with 78, or starts and tells of the damage. It never crashes, and never serves what
it should not.
"""
import json
import os
import pathlib
import shutil
import subprocess

from arena import espalier_process
from catalogue import Must, Place
from session import seen

STARTED, CONFIGURATION = 0, 78
DATA = espalier_process.noise(3 << 20, 8)
ROOT = espalier_process.file_root(DATA)
CODES = {0, 1, 3, 64, 69, 74, 75, 76, 77, 78}


def start(arena):
    """Honest peers, and the state folder of a peer that has run once: the model of all damaged ones."""
    arena.start_network(2)
    network = arena.network
    model = pathlib.Path(network.folder / "hostile" / "model")
    model.mkdir(parents=True)
    (model / "own.txt").write_bytes(b"own\n")
    (model / "large.bin").write_bytes(DATA)
    code, _, log = network.run(*command(network, "model", "list"))
    assert code == 0, log
    (model / ".espalier" / "incoming").mkdir(exist_ok=True)
    (model / ".espalier" / "share.json").write_text('{"version":1,"added":[],"removed":["/tmp/none"],"names":[]}')


def command(network, name, line):
    return [network.program("peer"), "--metaserver", network.address, "--id", name, "--share",
            str(network.folder / "hostile" / name), "--json", "-e", line]


def damaged(random, data):
    """`data` in any way that a disk, an editor or an older version may leave it."""
    def flipped():
        copy = bytearray(data or b"x")
        for _ in range(random.randrange(1, 20)):
            copy[random.randrange(len(copy))] ^= 1 << random.randrange(8)
        return bytes(copy)
    return random.choice([
        lambda: b"", lambda: data[:random.randrange(len(data) + 1)], flipped, lambda: data * 2, lambda: data[::-1],
        lambda: bytes(len(data)), lambda: random.randbytes(len(data)),
                          lambda: data + random.randbytes(random.randrange(1, 5000)),
        lambda: b"\xff" * random.randrange(1, 100_000), lambda: b"[" * random.randrange(1, 100_000)])()


def deliver(arena, given):
    """Starts a peer on a copy of the model's state folder with the files of `given`, and lets it list its share."""
    name = f"d{os.urandom(5).hex()}"
    folder = arena.network.folder / "hostile" / name
    shutil.copytree(arena.network.folder / "hostile" / "model", folder, symlinks=True)
    for path, change in given.items():
        target = folder / ".espalier" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        before = target.read_bytes() if target.is_file() else b""
        data = change(before) if callable(change) else change
        if data is None:
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
            target.mkdir()
        else:
            target.write_bytes(data)
    try:
        code, out, log = arena.network.run(*command(arena.network, name, "list"))
    except subprocess.TimeoutExpired:
        return seen(code=None, out="", log="it did not end", state=False)
    shutil.rmtree(folder)
    return seen(code=code, out=out, log=log, state=lists_state(out))


def lists_state(out):
    """Whether a file of the state folder is in a list."""
    names = [each["name"] for line in out.splitlines() for each in json.loads(line).get("files", [])]
    return any(".espalier" in name or name == "espalier-state" for name in names)


def example(code=0, log="", state=False):
    return seen(code=code, out="", log=log, state=state)


def sane(result):
    return result.code in CODES and not result.state and "\x1b" not in result.log and "Sanitizer" not in result.log


INSANE = ((None, example(-11)), (None, example(134)), (None, example(None)), (None, example(state=True)),
          (None, example(log="\x1b[2J")))
starts_or_refuses = Must("the peer starts or says why not, and shares nothing of its state",
                         lambda given, result: sane(result), INSANE)
starts = Must("the peer starts, and shares nothing of its state",
              lambda given, result: sane(result) and result.code == STARTED, (*INSANE, (None, example(78))))
refuses = Must("the peer refuses the folder with 78", lambda given, result: sane(result)
               and result.code == CONFIGURATION,
               (*INSANE, (None, example(0))))

state_files = Place("state files", start, deliver)


def change(random):
    """A damage that does not depend on the order of calls."""
    import random as module
    seed = random.getrandbits(64)
    return lambda data: damaged(module.Random(seed), data)


@state_files.inputs("a damaged index", starts)
def _(random):
    return {"index": change(random)}


@state_files.inputs("a damaged key", starts_or_refuses)
def _(random):
    return {"instance.key": change(random)}


@state_files.inputs("a key that is no hexadecimal number", refuses)
def _(random):
    return {"instance.key": random.choice([b"g" * 32 + b"\n", b"0" * 31 + b"\n", b"0" * 33 + b"\n", b"\n", b"\x00" * 33,
                                           b"espalier-key 99\n", b"\xff" * 32])}


@state_files.inputs("a damaged marker", starts_or_refuses)
def _(random):
    return {"espalier-state": change(random)}


@state_files.inputs("a marker of a later version", refuses)
def _(random):
    return {"espalier-state": b"espalier-state %d\n" % random.randrange(2, 1 << 40)}


@state_files.inputs("a damaged share.json", starts_or_refuses)
def _(random):
    return {"share.json": change(random)}


@state_files.inputs("a share.json with values that cannot be", starts_or_refuses)
def _(random):
    value = random.choice([b"7", b"null", b'"x"', b"[7]", b'["\\u0000"]', b'["../../etc"]', b"{}", b"[[[[]]]]",
                           b"1e999",
                           b'["' + b"x" * 5000 + b'"]', b"true"])
    field = random.choice([b"version", b"added", b"removed", b"names", b"hidden", b"unknown"])
    return {"share.json": b'{"version":1,"' + field + b'":' + value + b"}"}


@state_files.inputs("lists of chunks that are damaged", starts)
def _(random):
    return {f"chunks/{ROOT[:2]}/{ROOT[2:] if random.random() < 0.5 else ROOT}": change(random)}


@state_files.inputs("parts and journals that are damaged", starts)
def _(random):
    name = random.choice([ROOT, "%064x" % random.getrandbits(256), "x", "0" * 64])
    journal = b"ESPJRNL" + random.randbytes(random.randrange(0, 3000))
    return {f"incoming/{name}.part": random.randbytes(random.randrange(0, 70_000)),
            f"incoming/{name}.journal": random.choice([journal, b"ESPJRNL1" + bytes(100), b"",
                                                       journal[:random.randrange(9)]])}


@state_files.inputs("a folder where a file should be", starts_or_refuses)
def _(random):
    return {random.choice(["index", "instance.key", "share.json", "espalier-state", "control.lock",
                           "control.sock"]): None}


@state_files.inputs("a file where a socket should be, and other files besides", starts_or_refuses)
def _(random):
    return {"control.sock": random.randbytes(random.randrange(100)),
            "control.lock": random.randbytes(random.randrange(100)),
            "index.tmp": b"x", ".index.1": b"x", "unknown": random.randbytes(100)}


# --- the metaserver
def deliver_metaserver(arena, given):
    """Starts a metaserver of its own on a state folder whose `network` is damaged, then asks it for its topology."""
    folder = arena.network.folder / "hostile" / f"m{os.urandom(5).hex()}"
    (folder / ".metaserver").mkdir(parents=True, mode=0o700)
    (folder / ".metaserver" / "espalier-state").write_text("espalier-state 1\n")
    (folder / ".metaserver" / "network").write_bytes(given)
    name = folder.name
    one = espalier_process.Process(name, [arena.network.program("metaserver"), "--listen", "127.0.0.1:0"], folder,
                                   arena.network.env, arena.patience)
    try:
        espalier_process.wait_until(lambda: not one.alive or "metaserver ready" in one.log, arena.patience,
                                    "the metaserver")
        if one.alive:
            code, out, log = arena.network.run(arena.network.program("metaserver"), "-e", "topo", cwd=folder)
            code = code if code else one.end()
        else:
            code, out, log = one.process.returncode, "", one.log
        return seen(code=code, out=out, log=log + one.log, state=False)
    finally:
        if one.alive:
            one.kill()
        shutil.rmtree(folder)


metaserver_starts = Must("the metaserver starts and tells of the damage, or says why not",
                         lambda given, result: sane(result), INSANE)


def network_file(random, *lines):
    return b"espalier-network 1 %032x %d\n" % (random.getrandbits(128), 9) + b"".join(line + b"\n" for line in lines)


def right_line(random, order):
    return b"%d 127.0.0.1:%d %032x s%d" % (order, 5000 + order, random.getrandbits(128), order)


@state_files.inputs("a network file that is damaged", metaserver_starts, deliver_metaserver)
def _(random):
    return damaged(random, network_file(random, *[right_line(random, order) for order in range(1, 8)]))


@state_files.inputs("a network file with lines that cannot be", metaserver_starts, deliver_metaserver)
def _(random):
    key = b"%032x" % random.getrandbits(128)
    bad = [b"", b"x", b"0 127.0.0.1:9 " + key + b" s1", b"1 [x:9 " + key + b" s1", b"1 127.0.0.1:0 " + key + b" s1",
           b"1 127.0.0.1:99999 " + key + b" s1", b"1 127.0.0.1:9 xyz s1", b"1 127.0.0.1:9 " + key + b" a b",
           b"1 127.0.0.1:9 " + key + b" \x1b[2J", b"-1 127.0.0.1:9 " + key + b" s1", b"1 127.0.0.1:9 " + key,
           b"%d 127.0.0.1:9 " % (1 << 60) + key + b" s1", b"1 127.0.0.1:9 " + key + b" " + b"x" * 100, b"\xff" * 50]
    return network_file(random, *[random.choice([random.choice(bad), right_line(random, order)])
                                  for order in range(1, 20)])


@state_files.inputs("a network file whose first line is wrong", metaserver_starts, deliver_metaserver)
def _(random):
    return random.choice([b"espalier-network 99 x 1\n", b"espalier-network\n", b"espalier-network 1 zz 1\n", b"\n",
                          b"espalier-network 1 %032x -1\n" % 7, b"espalier-network 1 %032x %d\n" % (7, 1 << 63),
                          b"espalier-network 1 %032x 99999999999999999999999999\n" % 7]) + right_line(random, 1) + b"\n"


@state_files.inputs("a network file that names one peer or one address often", metaserver_starts, deliver_metaserver)
def _(random):
    same = right_line(random, random.randrange(1, 9))
    return network_file(random, *[random.choice([same, right_line(random, random.randrange(1, 4))])
                                  for _ in range(random.randrange(2, 300))])
