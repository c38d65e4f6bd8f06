#!/usr/bin/env python3
"""Makes the source of a manual page in scdoc(5)'s form, on standard output.

  manual.py program TABLES NAME TEMPLATE    the page of a program: TEMPLATE, in which {{options}} and the like stand
                                            for what its tables say
  manual.py protocol TABLES MARKDOWN        espalier-protocol(7) from docs/protocol.md
"""
import json
import pathlib
import re
import sys


def escaped(text):
    """Text that scdoc prints as it is, also at the beginning of a line."""
    text = re.sub(r"([\\*_~<>])", r"\\\1", text)
    return "\\" + text if text[:1] in "-.#|[]:;+`" and text else text


def bold(text):
    return f"*{escaped(text)}*" if text else ""


def prose(text):
    """Lines that were wrapped for a terminal become one; lines that are indented are kept."""
    lines = []
    for line in text.splitlines():
        if lines and not line.startswith(" "):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line.strip())
    return [escaped(line) for line in lines if line]


def indented(lines):
    return "\t" + " ++\n".join(lines) + "\n"  # behind ++ the indentation goes on


def option_text(option):
    value = underlined(option["value"])  # [VALUE], if the option may stand without it
    text = f"{bold(option['flag'])} {value}".strip() + "\n" + indented(prose(option["help"]))
    notes = []
    if option["default"]:
        notes.append(f"Default: {escaped(option['default'])}.")
    if "environment" in option:
        notes.append(f"Environment: {escaped(option['environment'])}.")
    return text + ("\n\t" + " ".join(notes) + "\n" if notes else "")


def underlined(value):
    return f"_{escaped(value)}_" if value else ""


def command_text(command, shorthands):
    summary = command["summary"]
    text = bold(command["usage"]) + "\n" + indented(prose(summary[:1].upper() + summary[1:] + "."))
    if command["details"]:
        text += "\n" + indented(prose(command["details"]))
    others = [name for name in command["aliases"] if name not in command["summary"]]
    others += [name for name, words in shorthands.items() if words.split()[0] == command["name"]]
    if others:
        text += "\n\tAlso: " + ", ".join(bold(name) for name in others) + ".\n"
    return text


def literal(text):
    return "```\n" + text.rstrip("\n").replace("\\", "\\\\") + "\n```\n"


def program_page(tables, name, template):
    program = tables[name]
    options = program["options"]
    argument = program["argument"]
    exits = program["notes"][program["notes"].index("Exit codes:"):].removeprefix("Exit codes:")
    values = {
        "version": tables["version"],
        "argument": underlined(argument["name"]) + "\n" + indented(prose(argument["help"])),
        "examples": literal("\n".join(line.removeprefix("  ") for line in program["examples"].splitlines())),
        "options": "\n".join(option_text(option) for option in options),
        "commands": "\n".join(command_text(command, program["shorthands"]) for command in program["commands"]),
        "exit codes": "\n".join(prose(exits.strip())),
    }
    return re.sub(r"\{\{([a-z ]+)\}\}", lambda match: values[match[1]].rstrip("\n"), template)


# ----------------------------------------------------------------------------------- Markdown to scdoc
def inline(text):
    """A part of a line: code becomes bold, a link its text."""
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    parts = re.split(r"`([^`]+)`|\*\*([^*]+)\*\*|(?<![\w*])\*([^*\s][^*]*)\*", text)
    told = ""
    for at in range(0, len(parts), 4):
        told += re.sub(r"([\\*_~<>])", r"\\\1", parts[at])
        if at + 3 < len(parts):
            strong, light = parts[at + 1] or parts[at + 2], parts[at + 3]
            told += f"*{escaped(strong)}*" if strong else underlined(light)
    return "\\" + told if told[:1] and told[0] in "-.#|[]:;+`" else told


def definitions(rows):
    """The rows of a table as definitions: those of tbl(1) can't be cut between pages."""
    heads, _dashes, *cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))] for row in rows]
    lines = []
    for first, *others in cells:
        lines.append(inline(first) if "`" in first else bold(first))
        told = [(f"{underlined(head)}: " if len(heads) > 2 else "") + inline(cell)
                for head, cell in zip(heads[1:], others) if cell]
        lines += indented(told).splitlines() if told else []
        lines.append("")
    return lines


def body(markdown):
    """Blocks of Markdown; a heading of level two begins a section."""
    lines, found, at = markdown.splitlines(), [], 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("```"):
            end = lines.index("```", at + 1)
            found += ["", "```", *(each.replace("\\", "\\\\") for each in lines[at + 1:end]), "```", ""]
            at = end
        elif line.startswith("|"):
            end = next((n for n in range(at, len(lines)) if not lines[n].startswith("|")), len(lines))
            found += ["", *definitions(lines[at:end])]
            at = end - 1
        elif match := re.match(r"#(#+) (.*)", line):
            title = match[2] if len(match[1]) > 1 else match[2].upper()
            found += ["", f"{match[1][:2]} {inline(title)}", ""]
        elif match := re.match(r"( *)(-|\d+\.) (.*)", line):
            found.append("\t" * (len(match[1]) // 2) + ("- " if match[2] == "-" else ". ") + inline(match[3]))
        elif line.startswith("  ") and found and found[-1].strip():
            found[-1] += " " + inline(line.strip())
        else:
            found.append(inline(line))
        at += 1
    return "\n".join(found)


def protocol_page(tables, markdown):
    start = markdown.index("\n## ")
    text = body(markdown[start:])
    return (f'espalier-protocol(7) "Espalier {tables["version"]}"\n\n# NAME\n\n'
            "espalier-protocol - the messages between peers and metaservers of Espalier\n\n# DESCRIPTION\n\n"
            "For each message: what it is for, which values are valid, and how the receiver answers. An example shows\n"
            "a message as protobuf text and as the bytes that it encodes to.\n\n"
            + re.sub(r"\n{3,}", "\n\n", text).strip()
            + "\n\n# SEE ALSO\n\n*metaserver*(1), *peer*(1)\n")


def main(kind, tables, *rest):
    known = json.loads(pathlib.Path(tables).read_text(encoding="utf-8"))
    if kind == "program":
        text = program_page(known, rest[0], pathlib.Path(rest[1]).read_text(encoding="utf-8"))
    else:
        text = protocol_page(known, pathlib.Path(rest[0]).read_text(encoding="utf-8"))
    sys.stdout.reconfigure(encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
