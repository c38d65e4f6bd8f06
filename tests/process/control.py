"""Commands in a running peer over its control socket, one after the other, without a process for each.

  with Control(network, "s1") as control:
      code, told = control.json("say hello")      # as network.json()

It says what `peer -e` says (common/command/control_server.h). Not for several threads.
"""
import json
import os
import socket


class Control:
    def __init__(self, network, peer):
        self.folder = network.folder
        state = network.folder / network.states.get(peer, f"{peer}/.espalier")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(network.patience)
        folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)  # the address of a socket is short
        try:
            self.socket.connect(f"/proc/self/fd/{folder}/control.sock")
        finally:
            os.close(folder)
        self.reader = self.socket.makefile("rb")

    def json(self, line):
        """The exit code, and the objects."""
        request = {"run": line, "json": True, "progress": False, "ask": False, "directory": str(self.folder),
                   "home": str(self.folder)}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        out = ""
        while True:
            answer = self.reader.readline()
            assert answer, f"the peer ended while it ran {line!r}"
            message = json.loads(answer)
            out += message.get("out", "")
            if "exit" in message:
                return message["exit"], [json.loads(one) for one in out.splitlines()]

    def close(self):
        self.reader.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
