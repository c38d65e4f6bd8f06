#!/usr/bin/env python3
"""The rules of style that a program can check, over the whole repository.

  tidy.py ROOT            checks; prints "path:line: rule: what", then "cases: N passed, M failed" (a rule a case)
  tidy.py --self-test     checks planted violations of each rule: every one must be found

allowed.txt lists exceptions with their reasons.
"""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import planted  # noqa: E402  (the folder is not a package)
import rules  # noqa: E402

TEXT = {".h", ".cpp", ".proto", ".py", ".md", ".txt", ".sh", ".build", ""}


def files_of(root):
    """Paths relative to `root` of what is, or would be, committed."""
    listed = subprocess.run(["git", "-C", str(root), "-c", "safe.directory=*", "ls-files", "-z", "--cached",
                             "--others", "--exclude-standard"], capture_output=True, check=False)
    if listed.returncode == 0:
        names = {name for name in listed.stdout.decode().split("\0") if name}
    else:  # a source archive
        names = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
        names = {name for name in names if not name.startswith(("build", ".git/"))}
    data = ("sample_files/", "tests/fuzz/corpus/", "tests/fixtures/")
    return sorted(name for name in names if not name.startswith(data) and (root / name).is_file())


def sources_of(root):
    for name in files_of(root):
        if pathlib.PurePath(name).suffix in TEXT:
            data = (root / name).read_bytes()
            if b"\0" not in data:
                yield rules.Source(name, data.decode("utf-8", "replace"))


def allowed_of(root):
    """(rule, path) -> reason, from allowed.txt; and what is wrong with that file itself."""
    allowed, wrong = {}, []
    path = "tests/tidy/allowed.txt"
    for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split(maxsplit=2)
        if len(parts) < 3 or parts[0] not in rules.RULES:
            wrong.append(rules.Finding("allowed", path, number, "wants: RULE PATH REASON"))
        else:
            allowed[parts[0], parts[1]] = number
    return allowed, wrong


def check(sources, allowed):
    """Every finding that is not allowed, then every exception that is not needed."""
    files = {source.path: source for source in sources}
    found, used = [], set()
    for source in sources:
        for name, rule in rules.RULES.items():
            for line, message in rule(source, files):
                if (name, source.path) in allowed:
                    used.add((name, source.path))
                else:
                    found.append(rules.Finding(name, source.path, line, message))
    for (name, path), number in allowed.items():
        if (name, path) not in used:
            found.append(rules.Finding("allowed", "tests/tidy/allowed.txt", number,
                                       f"{path} no longer breaks {name}: take the line out"))
    return found


def report(found, names):
    for one in found:
        print(f"{one.path}:{one.line}: {one.rule}: {one.message}")
    failed = len({one.rule for one in found})
    print(f"cases: {len(names) - failed} passed, {failed} failed")
    return 1 if found else 0


def self_test():
    """Each planted file must break its expected rules, and no other."""
    passed = failed = 0
    for path, content, expected in planted.FILES:
        others = [rules.Source(other, text) for other, text in planted.OTHERS.items() if other != path]
        source = rules.Source(path, content)
        found = {one.rule for one in check([source] + others, {}) if one.path == path}
        if found == set(expected):
            passed += 1
        else:
            failed += 1
            print(f"planted {path}: expected {sorted(expected)}, found {sorted(found)}\n{content[:300]}")
    unplanted = set(rules.RULES) - {rule for _, _, expected in planted.FILES for rule in expected}
    for rule in sorted(unplanted):
        failed += 1
        print(f"{rule}: nothing is planted for it, so it may never fail")
    print(f"cases: {passed} passed, {failed} failed")
    return 1 if failed else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 64
    root = pathlib.Path(arguments[0]).resolve()
    allowed, wrong = allowed_of(root)
    return report(wrong + check(list(sources_of(root)), allowed), [*rules.RULES, "allowed"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
