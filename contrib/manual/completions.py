#!/usr/bin/env python3
"""Prints a shell's completion of a program's options and commands.

  completions.py TABLES NAME bash|zsh|fish

An option's value is completed if it is a folder (DIR), a file (FILE), one of a few words, or a command (-e).
"""
import json
import pathlib
import sys

HEAD = "Completion of {name} of Espalier. Made from its tables of options and commands.\n"


def kind_of(option):
    """none: it takes no value; folders, files, words; any: a value that nobody can guess."""
    if not option["value"]:
        return "none"
    if option["flag"] == "-e":
        return "commands"
    if option["isPath"]:
        return "folders" if option["value"] == "DIR" else "files"
    return "words" if option["offered"] else "any"


def command_words(program):
    """What the text behind -e may begin with. $private is left out: shells would expand it."""
    names = [name for command in program["commands"] for name in [command["name"], *command["aliases"]]]
    return sorted(name for name in names if name.isalnum())


def summary(text):
    return " ".join(text.split())


# --------------------------------------------------------------------------------------------- bash
BASH = """\
_espalier_{function}() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
  # --option=value is three words, because = is in COMP_WORDBREAKS.
  if [[ $word == '=' ]]; then
    word=''
  elif [[ $before == '=' ]] && ((COMP_CWORD > 1)); then
    before=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  COMPREPLY=()
  case $before in
{cases}  esac
  mapfile -t COMPREPLY < <(compgen -W '{flags}' -- "$word")
}}
complete -F _espalier_{function} {name}
"""


def bash(program):
    cases = {}
    for option in program["options"]:
        kind = kind_of(option)
        words = command_words(program) if kind == "commands" else option["offered"]
        if kind in ("folders", "files"):
            act = ("compopt -o filenames 2>/dev/null || true; mapfile -t COMPREPLY < <(compgen "
                   f"-{'d' if kind == 'folders' else 'f'} -- \"$word\")")
        elif kind in ("words", "commands"):
            act = f"mapfile -t COMPREPLY < <(compgen -W '{' '.join(words)}' -- \"$word\")"
        else:
            act = ""
        if kind != "none" and not option["optional"]:
            cases.setdefault(act, []).append(option["flag"])
    text = "".join(f"    {' | '.join(flags)})\n" + (f"      {act}\n" if act else "") + "      return ;;\n"
                   for act, flags in cases.items())
    return "# " + HEAD.format(**program) + BASH.format(
        name=program["name"], function=program["name"], cases=text,
        flags=" ".join(option["flag"] for option in program["options"]))


# ---------------------------------------------------------------------------------------------- zsh
def zsh_quoted(text, special):
    for character in "\\" + special:
        text = text.replace(character, "\\" + character)
    return text.replace("'", "'\\''")


def zsh(program):
    lines = [f"#compdef {program['name']}", "# " + HEAD.format(**program)]
    specs = []
    for option in program["options"]:
        kind = kind_of(option)
        value = zsh_quoted(option["value"][1:-1] if option["optional"] else option["value"], ":[]")
        action = {"folders": "_files -/", "files": "_files", "any": " ",
                  "words": f"({' '.join(option['offered'])})",
                  "commands": f"({' '.join(command_words(program))})"}.get(kind, "")
        flag = option["flag"]
        # An option with a long name may have its value behind a =. -e may be repeated.
        name = ("*" if option["flag"] == "-e" else "") + flag + ("=" if kind not in ("none", "commands") else "")
        described = f"[{zsh_quoted(summary(option['help']), '[]:')}]"
        colons = "::" if option["optional"] else ":"
        specs.append(f"  '{name}{described}" + ("" if kind == "none" else f"{colons}{value}:{action}") + "'")
    specs.append("  '*: :'")
    return "\n".join(lines) + "\n_arguments -s -S \\\n" + " \\\n".join(specs) + "\n"


# --------------------------------------------------------------------------------------------- fish
def fish_quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish(program):
    name = program["name"]
    lines = ["# " + HEAD.format(**program), f"complete -c {name} -f"]
    for option in program["options"]:
        kind = kind_of(option)
        flag = option["flag"].lstrip("-")
        words = [f"complete -c {name} {'-s' if len(flag) == 1 else '-l'} {flag}",
                 "-d", fish_quoted(summary(option["help"]))]
        if kind in ("words", "commands"):
            offered = command_words(program) if kind == "commands" else option["offered"]
            words += ["-x", "-a", fish_quoted(" ".join(offered))]
        elif kind == "folders":
            words += ["-x", "-a", "'(__fish_complete_directories)'"]
        elif kind == "files":
            words += ["-r", "-F"]
        elif kind == "any" and not option["optional"]:
            words.append("-x")
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def main(tables, name, shell):
    program = json.loads(pathlib.Path(tables).read_text(encoding="utf-8"))[name]
    sys.stdout.reconfigure(encoding="utf-8")
    print({"bash": bash, "zsh": zsh, "fish": fish}[shell](program), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
