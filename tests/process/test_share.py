#!/usr/bin/env python3
"""What is shared and what is not: dot files, state folders, folders that come back, names, sparse files."""
import os
import pathlib
import shutil
import subprocess
import sys

from espalier_process import case, file_root, files_below, main, noise, wait_until


def names(network, peer):
    code, told = network.json(peer, "list")
    return sorted(file["name"] for file in told[0].get("files", []))


def wait_names(network, peer, expected):
    wait_until(lambda: names(network, peer) == sorted(expected), network.patience,
               lambda: f"{peer} to share {expected}: {names(network, peer)}")


def two_peers(network, files, *options):
    network.start_metaserver()
    network.start_peer("s1", *options, files=files)
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])


@case("what begins with a dot is shared only if it is named or with --share-hidden")
def _(network):
    two_peers(network, {".profile": b"p\n", ".config/x": b"x\n", ".config/.y": b"y\n", "d/.git/head": b"h\n",
                        "d/f": b"f\n"})
    wait_names(network, "s1", ["d/f"])
    network.peers["s1"].expect_log(r"begins with a dot.*--share-hidden")
    assert network.json("s2", "find '*'")[1][0]["hits"][0]["name"] == "d/f"
    assert network.command("s1", "share s1/.config")[0] == 0
    wait_names(network, "s1", [".config/x", "d/f"])
    assert network.peers["s1"].end() == 0
    network.restart_peer("s1")
    wait_names(network, "s1", [".config/x", "d/f"])
    assert network.command("s1", "unshare .config")[0] == 0
    assert names(network, "s1") == ["d/f"]
    assert network.peers["s1"].end() == 0
    network.start_peer("s1", "--share-hidden", files={".profile": b"p\n"})
    wait_names(network, "s1", [".profile", "d/.git/head", "d/f"])


@case("what begins with a dot is written only if it was typed, or with -o")
def _(network):
    two_peers(network, {".profile": b"p\n", ".config/x": b"x\n", ".config/.y": b"y\n", "d/.git/head": b"h\n",
                        "d/f": b"f\n"}, "--share-hidden")
    own = network.folder / "s2"
    wait_names(network, "s1", [".profile", ".config/x", ".config/.y", "d/.git/head", "d/f"])

    def saved():
        return sorted(path for path in map(str, files_below(own, relative=True)) if not path.startswith(".espalier/"))
    code, out, log = network.command("s2", "get '*'")
    assert code == 3 and "begins with a dot" in out + log, (code, out, log)
    assert saved() == ["d/f"]
    code, out, log = network.command("s2", "get d/")
    assert code == 3 and saved() == ["d/f"], (code, out, log)
    skipped, nameless = "begins with a dot", "no holder has a usable name for it"
    for pattern, expected, why in (("'.*'", 1, skipped), ("'[.]profile'", 1, skipped), (file_root(b"p\n"), 1, nameless),
                                   ("'*rofile'", 1, skipped)):
        code, out, log = network.command("s2", f"get {pattern}")
        assert code == expected and why in out + log, (pattern, code, out, log)
        assert ".profile" not in saved(), pattern
    assert network.command("s2", "get .config/")[0] == 3
    assert saved() == [".config/x", "d/f"]
    assert network.command("s2", "get .config/.y .profile 'd/.git/*'")[0] == 0
    assert saved() == [".config/.y", ".config/x", ".profile", "d/.git/head", "d/f"]
    assert network.command("s2", f"get {file_root(b'p' + bytes([10]))} -o {network.folder}/.other")[0] == 0
    assert (network.folder / ".other").read_bytes() == b"p\n"
    # A dot file that was fetched is still not shared.
    wait_names(network, "s2", ["d/f"])


@case("a push brings nothing that begins with a dot")
def _(network):
    two_peers(network, {"a": b"a\n"})
    wait_names(network, "s1", ["a"])
    network.start_peer("s3", "--accept-push", "all", files={})
    network.wait_for_tree(["s1", "s2", "s3"])
    (network.folder / "out/.git").mkdir(parents=True)
    (network.folder / "out/.git/head").write_bytes(b"h\n")
    (network.folder / "out/f").write_bytes(b"f\n")
    code, out, log = network.command("s1", f"push {network.folder}/out")
    assert code == 1 and "begins with a dot" in out + log, (code, out, log)
    assert not (network.folder / "s3/out").exists()
    shutil.rmtree(network.folder / "out/.git")
    assert network.command("s1", f"push {network.folder}/out --to s3")[0] == 0
    assert (network.folder / "s3/out/f").read_bytes() == b"f\n"


@case("the state of a metaserver that starts in a shared folder is neither shared nor written")
def _(network):
    network.start_metaserver()
    network.start_peer("s1", files={"meta/notes.txt": b"notes\n", "f": b"f\n"})
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])
    wait_names(network, "s1", ["f", "meta/notes.txt"])
    for i, state in enumerate(("s1/.metaserver", "s1/meta", "s2/keys")):
        (network.folder / state).mkdir(exist_ok=True)
        os.chmod(network.folder / state, 0o700)
        second = network.spawn(f"m{i}", network.program("metaserver"), "--listen", "127.0.0.1:0", "--state", state,
                               "--topo", "t.txt", "--count-file", "c.txt")
        second.expect_log("metaserver ready on")
    wait_names(network, "s1", ["f"])
    code, out, log = network.command("s2", "get meta/network")
    assert code == 1, (code, out, log)
    network.fill_share("s1", {"keys/new": b"new\n"})
    wait_names(network, "s1", ["f", "keys/new"])
    code, out, log = network.command("s2", "get keys/new")
    assert code == 1 and "state folder" in out + log, (code, out, log)
    assert not (network.folder / "s2/keys/new").exists()


@case("a folder that cannot be read for a moment is reported, and shared again after it")
def _(network):
    network.start_metaserver()
    network.fill_share("s1", {"d/f": b"f\n", "g": b"g\n"})
    network.start_peer("s1", files={}, may=network.without_privileges())
    network.wait_for_tree(["s1"])
    wait_names(network, "s1", ["d/f", "g"])
    for mode in (0o600, 0o300, 0):
        os.chmod(network.folder / "s1/d", mode)
        wait_names(network, "s1", ["g"])
        os.chmod(network.folder / "s1/d", 0o755)
        wait_names(network, "s1", ["d/f", "g"])
    network.peers["s1"].expect_log(r"d: not shared, because it cannot be read \(Permission denied\)")
    network.peers["s1"].expect_log(r"d: can be read again")


@case("another disk at the same place, with equal names, sizes, times and inodes, is another version")
def _(network):
    disks = [network.small_disk("s1", "1m")]
    if disks[0] is None:
        return
    def fill(text):
        path = network.folder / "s1/f"
        path.write_bytes(text)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        return path.stat().st_ino
    network.start_metaserver()
    network.states["s1"] = "state1"
    first = fill(b"first\n")
    network.start_peer("s1", "--state", "state1", files={})
    network.start_peer("s2", files={})
    network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s1")
    for restart in (False, True):
        if restart:
            assert network.peers["s1"].end() == 0
        subprocess.run(["umount", "-l", network.folder / "s1"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "espalier-test", network.folder / "s1"], check=True)
        text = b"again\n" if restart else b"other\n"
        assert fill(text) == first
        if restart:
            network.restart_peer("s1")
        wait_until(lambda: [file["root"] for file in network.json("s1", "list")[1][0].get("files", [])]
                   == [file_root(text)], network.patience, "the root of the other disk")
        code, out, log = network.command("s2", "get f --force")
        assert code == 0 and (network.folder / "s2/f").read_bytes() == text, (code, out, log)


@case("without inotify instances a peer names the setting, scans at an interval, and watches again later")
def _(network):
    inside = ["unshare", "-U", "-r", "sh", "-c",
              'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"', "sh"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode != 0:
        print("        left out: no user namespace can be made here")
        return
    network.start_metaserver()
    peer = network.start_peer("s1", files={"f": b"f\n"}, may=inside)
    network.wait_for_tree(["s1"])
    peer.expect_log(r"inotify instances are used up \(fs\.inotify\.max_user_instances")
    assert "No space left" not in peer.log
    wait_names(network, "s1", ["f"])


@case("names that cannot be asked for are not announced, and reported; those at the limit can be fetched")
def _(network):
    def deep(count):
        return "/".join(["d"] * (count - 1) + ["f"])

    def long(size):
        parts = []
        while size > 250:
            parts.append("l" * 199)
            size -= 200
        return "/".join([*parts, "e" * size])
    wanted = {deep(64): b"deep\n", long(1024): b"long\n", "w" * 255: b"wide\n", "[a] (b) *?.txt": b"glob\n"}
    two_peers(network, {**wanted, deep(65).replace("d/", "x/"): b"1\n", long(1025): b"2\n", "a\nb": b"3\n",
                        "right\u202eleft": b"4\n", ".ESPALIER": b"5\n"}, "--share-hidden")
    wait_names(network, "s1", wanted)
    for reason in ("too many folders", "too long", "control characters"):
        network.peers["s1"].expect_log(f"because the .* {reason}|{reason}")
    for name, data in wanted.items():
        code, out, log = network.command("s2", f"get '{name}'")
        assert code == 0 and (network.folder / "s2" / name).read_bytes() == data, (name, code, out, log)


@case("sparse files arrive as sparse files, small ones and pushed ones too")
def _(network):
    mebi = 1024 * 1024
    network.start_metaserver()
    network.start_peer("s2", "--accept-push", "all", files={})
    share = network.fill_share("s1", {"solid": noise(3 * mebi)})
    for name, size in (("large", 40 * mebi), ("small", 900 * 1024), ("hole", 8 * mebi)):
        with open(share / name, "wb") as file:
            if name != "hole":
                file.seek(size // 2 + 1234)
                file.write(noise(5000))
            file.truncate(size)
    network.start_peer("s1", files={})
    network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s1")
    out = network.folder / "out"
    out.mkdir()
    shutil.copy(share / "large", out / "pushed")
    assert network.command("s2", "get large small hole solid")[0] == 0
    assert network.command("s1", f"push {out}/pushed --to s2")[0] == 0
    for name, most in (("large", 200_000), ("small", 100_000), ("hole", 50_000), ("pushed", 200_000),
                       ("solid", 4 * mebi)):
        source = out / name if name == "pushed" else share / name
        saved = network.folder / "s2" / name
        assert saved.read_bytes() == source.read_bytes(), name
        assert saved.stat().st_blocks * 512 <= most, (name, saved.stat().st_blocks * 512)


if __name__ == "__main__":
    sys.exit(main())
