#!/usr/bin/env python3
"""Writes sample_files/s1 … s5: always the same bytes.

  scripts/make_samples.py           writes them
  scripts/make_samples.py --check   compares them, and exits with 1 if a file differs

Their content, for a network of five peers:
  f3.txt     12 bytes, at s1 only            f9.txt  nowhere
  f2.txt     the same at s2 and s4           notes.txt  two different ones, at s3 and s5
  big.bin    3 MiB, at s2                    empty.txt  empty, at s4
  a name with spaces and letters beyond ASCII, at s5
"""
import hashlib
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "sample_files"


def noise(size_bytes, seed):
    """Bytes that do not compress, from SHA-256 in counter mode."""
    blocks = (hashlib.sha256(f"{seed} {i}".encode()).digest() for i in range(size_bytes // 32 + 1))
    return b"".join(blocks)[:size_bytes]


def text(*lines):
    return "".join(line + "\n" for line in lines).encode()


def samples():
    fan = text("Fan: the branches leave a short trunk like fingers.",
               "Good for plums, cherries and peaches.")
    return {
        "s1/f1.txt": text("An espalier is a tree trained to grow on few branches,",
                          "flat against a wall, so that each leaf has its sun."),
        "s1/f3.txt": text("ripe quince"),
        "s2/f2.txt": fan,
        "s2/f4.txt": text("Cordon: one branch, no forks. A network of two links a peer."),
        "s2/f8.txt": text("Prune in late winter, tie in summer."),
        "s2/big.bin": noise(3 * 1024 * 1024, "espalier big.bin"),
        "s3/f5.txt": text("Palmette verrier: the arms go out, then straight up."),
        "s3/notes.txt": text("Monday: tied in the lowest tier."),
        "s4/f2.txt": fan,
        "s4/f6.txt": text("Belgian fence: neighbours cross their branches and hold each other."),
        "s4/empty.txt": b"",
        "s5/f7.txt": text("Step-over: a single tier, knee high, along a path."),
        "s5/notes.txt": text("Thursday: picked eleven pears, left one for the blackbird."),
        "s5/Äpfel und Birnen.txt": text("Äpfel für Zoë, Birnen für Łukasz, 梨 für alle."),
    }


def main():
    wanted = samples()
    if sys.argv[1:] == ["--check"]:
        there = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
        wrong = [name for name, data in wanted.items()
                 if name not in there or (FOLDER / name).read_bytes() != data]
        wrong += sorted(there - set(wanted))
        for name in wrong:
            print(f"sample_files/{name}: not what scripts/make_samples.py makes")
        return 1 if wrong else 0
    if sys.argv[1:]:
        print(__doc__)
        return 64
    for name, data in wanted.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
