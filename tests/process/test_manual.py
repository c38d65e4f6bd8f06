#!/usr/bin/env python3
"""Manual pages and completions are what the programs say of themselves; and shells complete with them."""
import json
import pathlib
import re
import shutil
import subprocess
import sys

from espalier_process import case, main

MADE = pathlib.Path(sys.argv[1]).resolve() / "contrib" / "manual"
PROGRAMS = ["metaserver", "peer"]


def plain_page(name):
    """The text of a page as troff has it, without its requests, fonts and escapes."""
    text = (MADE / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith(".")]
    text = re.sub(r"\\f[BIR]|\\&", "", "\n".join(lines))
    return re.sub(r"\\(.)", r"\1", text)


def words(text):
    return " ".join(text.split())


def told_by(network, name):
    """Flags of --help; usages, summaries and details of `help`."""
    done = subprocess.run([network.program(name), "--help"], capture_output=True, text=True, check=True)
    flags = re.findall(r"^  (--?[a-z][a-z-]*)", done.stdout, re.MULTILINE)
    if name == "metaserver":
        network.start_metaserver()
        _, told = network.json_of(network.program(name), "--json", "-e", "help")
    else:
        network.start_peer("s1")
        network.wait_for_tree(["s1"])
        _, told = network.json("s1", "help")
    return flags, (told[0] if isinstance(told, list) else told)["commands"]


@case("each page has every option of --help and every command of help, with what they say")
def _(network):
    for name in PROGRAMS:
        flags, commands = told_by(network, name)
        assert len(flags) > 15 and "--help" in flags and "-e" in flags, flags
        page = plain_page(f"{name}.1")
        on_page = re.findall(r"^(--?[a-z][a-z-]*)(?: |$)", page, re.MULTILINE)
        assert on_page == flags, (name, set(flags) ^ set(on_page))
        for command in commands:
            assert f"\n{command['usage']}\n" in page, (name, command)
            assert command["summary"][1:] in words(page), (name, command)
        version = json.loads((MADE / "tables.json").read_text(encoding="utf-8"))["version"]
        assert f"Espalier {version}" in (MADE / f"{name}.1").read_text(encoding="utf-8")


@case("groff has nothing to say about the pages, and the protocol's page has each message")
def _(_network):
    for page in ["metaserver.1", "peer.1", "espalier-protocol.7"]:
        groff = shutil.which("groff")
        assert groff, "groff is not installed"
        done = subprocess.run([groff, "-man", "-t", "-Kutf8", "-Tutf8", "-ww", "-rLL=78n", MADE / page],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr
    protocol = plain_page("espalier-protocol.7")
    for name in ["Hello", "Join", "PushOffer", "ChunkRequest", "PrivateMessage", "RoomSay"]:
        assert re.search(rf"^\.SS {name}$", (MADE / "espalier-protocol.7").read_text(), re.MULTILINE), name
    assert "08 01 10 01 18 02" in protocol


def by_bash(program, *typed):
    done = subprocess.run(
        ["bash", "-euc", 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
         '"_espalier_$1"; printf "%s\\n" "${COMPREPLY[@]}"', "bash", MADE / program, program, *typed],
        capture_output=True, text=True, check=True, cwd=MADE.parent)
    return done.stdout.split()


def by_fish(program, line):
    done = subprocess.run(["fish", "--no-config", "-c", f"source {MADE / program}.fish; complete -C '{line}'"],
                          capture_output=True, text=True, check=True, cwd=MADE.parent)
    return sorted(each.split("\t")[0] for each in done.stdout.splitlines())


@case("bash completes options, values, folders and commands")
def _(_network):
    assert by_bash("peer", "--sh") == ["--share", "--share-hidden"]
    assert by_bash("metaserver", "--placement", "") == ["shallowest", "classic", "nearest"]
    assert by_bash("metaserver", "--placement", "=", "cl") == ["classic"]
    assert by_bash("metaserver", "--placement", "=") == ["shallowest", "classic", "nearest"]
    assert by_bash("peer", "--state", "man") == ["manual"]
    assert by_bash("peer", "--config", "meson") == []
    assert by_bash("peer", "--max-links", "") != []  # not the peer's
    assert by_bash("peer", "--id", "") == []
    assert by_bash("metaserver", "--web", "--js") == ["--json"]
    assert {"get", "find", "quit"} < set(by_bash("peer", "-e", ""))
    assert by_bash("metaserver", "-e", "wha") == ["whatif"]


@case("fish completes, too, and zsh understands its file")
def _(_network):
    assert by_fish("peer", "peer --sh") == ["--share", "--share-hidden"]
    assert by_fish("metaserver", "metaserver --placement ") == ["classic", "nearest", "shallowest"]
    assert by_fish("metaserver", "metaserver -e wha") == ["whatif"]
    for program in PROGRAMS:
        zsh = MADE / f"_{program}"
        subprocess.run(["zsh", "-fn", zsh], check=True)
        assert zsh.read_text(encoding="utf-8").startswith(f"#compdef {program}\n")
        # What each entry says to _arguments: --option[text] or --option=[text]:VALUE:action.
        specs = re.findall(r"^  '\*?(--?[a-z-]+)=?\[", zsh.read_text(encoding="utf-8"), re.MULTILINE)
        table = json.loads((MADE / "tables.json").read_text(encoding="utf-8"))[program]["options"]
        assert specs == [option["flag"] for option in table], specs


if __name__ == "__main__":
    main()
