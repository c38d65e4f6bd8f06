"""A program at a pseudo-terminal, and the screen that its user would see.

The screen supports what a line editor uses: carriage return, backspace, cursor left, right and to a column, erase,
insert and delete. Nothing scrolls away: `lines` has everything since the start.
"""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

COLUMNS = 200
SEQUENCE = re.compile(r"\x1b(?:\[([?0-9;]*)([A-Za-z@])|[()][A-Z0-9]|[=>78])")
PROMPT = re.compile(r"(.*?>)(?: (.*))?")


class Screen:
    def __init__(self):
        self.lines = [""]
        self.row = 0
        self.column = 0
        self.pending = ""

    def feed(self, text):
        text, self.pending = self.pending + text, ""
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                match = SEQUENCE.match(text, at)
                if match:
                    self.control(match[2], match[1])
                    at = match.end()
                    continue
                if len(text) - at < 16:  # the rest of the sequence has not arrived
                    self.pending = text[at:]
                    return
            self.letter(text[at])
            at += 1

    def letter(self, letter):
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self.down(1)
        elif letter == "\b":
            self.column = max(0, self.column - 1)
        elif letter >= " ":
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[:self.column] + letter + line[self.column + 1:]
            self.column += 1

    def down(self, count):
        self.row += count
        while len(self.lines) <= self.row:
            self.lines.append("")

    def control(self, kind, argument):
        count = int(argument) if argument and argument.isdigit() else 1
        line = self.lines[self.row]
        if kind == "A":
            self.row = max(0, self.row - count)
        elif kind == "B":
            self.down(count)
        elif kind == "C":
            self.column += count
        elif kind == "D":
            self.column = max(0, self.column - count)
        elif kind == "G":
            self.column = count - 1
        elif kind == "K":
            self.lines[self.row] = line[:self.column] if argument in ("", "0") else ""
        elif kind == "J":
            self.lines[self.row] = line[:self.column]
            del self.lines[self.row + 1:]
        elif kind == "P":
            self.lines[self.row] = line[:self.column] + line[self.column + count:]
        elif kind == "@":
            self.lines[self.row] = line[:self.column] + " " * count + line[self.column:]


class Terminal:
    """Starts `command` with a new terminal as standard input, output and error."""

    def __init__(self, command, cwd, env, patience):
        self.patience = patience
        self.screen = Screen()
        self.seen = 0  # lines of the screen that an expect() has passed
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        self.process = subprocess.Popen(command, cwd=cwd, env={**env, "TERM": "xterm"}, stdin=theirs, stdout=theirs,
                                        stderr=theirs, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)
        self.ours = ours
        self.closed = False

    def pump(self, seconds):
        """Reads what has arrived; waits at most `seconds` for it."""
        if self.closed or not select.select([self.ours], [], [], seconds)[0]:
            return
        try:
            data = os.read(self.ours, 65536)
        except OSError:  # EIO: the other side is closed
            data = b""
        if data:
            self.screen.feed(data.decode("utf-8", "replace"))
        else:
            self.closed = True

    def type(self, line):
        self.keys(line + "\r")

    def keys(self, text):
        os.write(self.ours, text.encode())

    def prompt(self, text):
        """Waits until the cursor is on the last line, and that is the prompt `text` with nothing behind it."""
        self.wait(lambda: self.screen.lines[-1].rstrip() == text.rstrip() and self.screen.row == len(
            self.screen.lines) - 1 and self.screen.column >= len(text.rstrip()), f"the prompt {text!r}")

    def expect(self, pattern):
        """Waits for a line that matches as a whole, below the lines that earlier calls matched; returns the match."""
        found = []

        def matches():
            for number in range(self.seen, len(self.screen.lines)):
                match = re.fullmatch(pattern, self.screen.lines[number].rstrip())
                if match:
                    found.append(match)
                    self.seen = number + 1
                    return True
            return False

        self.wait(matches, f"a line like {pattern!r}")
        return found[0]

    def wait(self, condition, what):
        deadline = time.monotonic() + self.patience
        while not condition():
            assert not self.closed, f"ended before {what}; the screen:\n{self.text()}"
            assert time.monotonic() < deadline, f"gave up waiting for {what}; the screen:\n{self.text()}"
            self.pump(0.1)

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.lines)

    def end(self):
        """Waits for the program's end; returns its exit code."""
        deadline = time.monotonic() + self.patience
        while self.process.poll() is None or not self.closed:
            self.pump(0.05)
            assert time.monotonic() < deadline, f"does not end; the screen:\n{self.text()}"
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if not self.closed:
            self.closed = True
        os.close(self.ours)


def talk(terminal, dialogue, **values):
    """Types the text behind each prompt of the dialogue, and expects every other line literally."""
    for line in dialogue.strip("\n").splitlines():
        for name, value in values.items():
            line = line.replace(f"<{name}>", value)
        prompt = PROMPT.fullmatch(line)
        if prompt:
            terminal.prompt(prompt[1])
            terminal.type(prompt[2] or "")
            terminal.expect(re.escape(line.rstrip()))
        else:
            terminal.expect(re.escape(line))
