"""Writes a C++ source that holds files: embed.py OUTPUT PATH=FILE…, PATH as a browser asks for it."""
import pathlib
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
LINE = 96  # bytes of a file in a line of the source


def literal(content):
    """Octal escapes have three digits, so that what follows never counts as one."""
    plain = set(range(0x20, 0x7f)) - set(b'"\\?')
    lines = []
    for start in range(0, len(content), LINE):
        part = content[start:start + LINE]
        lines.append('"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in part) + '"')
    return "\n    ".join(lines) or '""'


def main():
    output, *assets = sys.argv[1:]
    entries = []
    for asset in assets:
        path, _, name = asset.partition("=")
        content = pathlib.Path(name).read_bytes()
        kind = TYPES[pathlib.PurePath(path).suffix]
        entries.append(f'    {{"{path}", "{kind}", std::string_view(\n    {literal(content)},\n    {len(content)})}},')
    rows = "\n".join(entries)
    pathlib.Path(output).write_text(
        '#include "web/page.h"\n\nnamespace espalier::web {\nnamespace {\n\n'
        f"constexpr Asset kAssets[] = {{\n{rows}\n}};\n\n}}  // namespace\n\n"
        "std::span<const Asset> pageAssets() {\n  return kAssets;\n}\n\n}  // namespace espalier::web\n")


main()
