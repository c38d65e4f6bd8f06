#!/usr/bin/env python3
"""Tests of the harness: its checks of trees, topo.txt, roots and screens must pass what is right and fail the rest."""
import sys

from espalier_process import file_root, parse_topo, why_no_tree
from load import count_of, problem_of
from terminal import Screen


def refused(text):
    try:
        parse_topo(text)
    except AssertionError:
        return True
    return False


def screen(text):
    one = Screen()
    for letter in text:  # in the smallest pieces
        one.feed(letter)
    return one.lines


def found(holders, searched, peers, missing, names="ab", was_cut=False, code=0):
    """Whether an answer to a search passes."""
    told = {"hits": [{"holders": [holder]} for holder in holders], "searched": searched, "peers": peers,
            "missing": missing}
    return problem_of(code, told, set(names), was_cut) is None


LINE = {"a": ["b"], "b": ["a", "c"], "c": ["b"]}
CASES = {
    "a topo.txt of the original is read": parse_topo("s1:  s2 s3\ns2:  s1\ns3:  s1\n")["s1"] == ["s2", "s3"],
    "a lone peer has nothing after the colon": parse_topo("s1:\n") == {"s1": []},
    "one space after the colon is refused": refused("s1: s2\n"),
    "space after a lone peer's colon is refused": refused("s1: \n"),
    "an unfinished line is refused": refused("s1:  s2"),
    "a peer twice is refused": refused("s1:\ns1:\n"),
    "a line is a tree": why_no_tree(LINE, "abc", 2) is None,
    "a missing peer is noticed": why_no_tree(LINE, "abcd", 2) is not None,
    "too many links are noticed": why_no_tree({"a": ["b", "c"], "b": ["a"], "c": ["a"]}, "abc", 1) is not None,
    "a link of one side is noticed": why_no_tree({"a": ["b"], "b": []}, "ab", 2) is not None,
    "two trees are noticed": why_no_tree({"a": [], "b": []}, "ab", 2) is not None,
    "a cycle beside a lone peer is noticed": why_no_tree(
        {"a": ["b", "c"], "b": ["a", "c"], "c": ["a", "b"], "d": []}, "abcd", 2) is not None,
    "an empty file has 64 zeros": file_root(b"") == "0" * 64,
    "a block's root is its digest": file_root(b"abc").startswith("ba7816bf8f01cfea"),
    "peers that a search misses are counted": [count_of(text) for text in (
        "s1", "s1 and 3 below it", "3 below s1", "12 more")] == [1, 4, 3, 12],
    "a complete search passes": found("ab", 2, 2, []) and found("abc", 3, 3, []),
    "a search that misses a peer passes in a cut only": not found("a", 1, 2, ["b"]) and found(
        "a", 1, 2, ["b"], was_cut=True),
    "a search of fewer peers passes in a cut only": not found("a", 1, 1, []) and found("a", 1, 1, [], was_cut=True),
    "a search that does not say what it misses is refused": not found("a", 2, 2, [], was_cut=True) and not found(
        "a", 1, 2, [], was_cut=True) and not found("a", 1, 3, ["b"], was_cut=True),
    "a search that fails is refused": not found("ab", 2, 2, [], code=75) and problem_of(
        75, {"error": {}}, set(), True) is not None,
    "the screen knows returns and erasing": screen("old line\rnew\x1b[K\r\nb") == ["new", "b"],
    "the screen knows inserting and deleting": screen("acd\x1b[2D\x1b[@b\x1b[C\x1b[P") == ["abc"],
    "the screen knows colours and titles' plain letters": screen("\x1b[1;31mred\x1b[0m") == ["red"],
}

failed = [name for name, holds in CASES.items() if not holds]
for name in failed:
    print(f"failed: {name}")
print(f"cases: {len(CASES) - len(failed)} passed, {len(failed)} failed")
sys.exit(1 if failed else 0)
