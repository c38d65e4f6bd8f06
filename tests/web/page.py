"""Requests to the page of a program, byte by byte, and its way in."""
import json
import re
import socket
import time


class Page:
    """The page of a program of the test that was started with --web 127.0.0.1:0."""

    def __init__(self, process, link):
        found = process.expect_log(r"page: (http://127\.0\.0\.1:(\d+)/#([0-9a-f]{64}))")
        self.port, self.secret = int(found[2]), found[3]
        self.host = f"127.0.0.1:{self.port}"
        self.link = link  # a function: another link, by the command `web`

    def connect(self, receive_bytes=None):
        one = socket.socket()
        if receive_bytes:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        one.settimeout(20)
        one.connect(("127.0.0.1", self.port))
        return one

    def raw(self, request):
        """What comes back until the end of the connection; what came before a reset."""
        deadline = time.monotonic() + 30
        with self.connect() as one:
            answer = b""
            try:
                one.sendall(request)
                while part := one.recv(65536):
                    answer += part
                    assert time.monotonic() < deadline, f"an answer without end: {answer[:200]}"
            except (ConnectionResetError, BrokenPipeError):
                pass
            return answer

    def request(self, method, path, headers=None, body=b""):
        fields = {"Host": self.host, **(headers or {})}
        if body:
            fields.setdefault("Content-Type", "application/json")
            fields.setdefault("Content-Length", str(len(body)))
        return "".join([f"{method} {path} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in fields.items()
                                                           if value is not None), "\r\n"]).encode() + body

    def ask(self, method, path, headers=None, body=b""):
        """(status, fields with small letters, body)"""
        return parsed(self.raw(self.request(method, path, headers, body)))

    def exchange(self, secret):
        return self.ask("POST", "/api/token", body=json.dumps({"secret": secret}).encode())

    def token(self):
        status, _, body = self.exchange(self.secret)
        assert status == 200, body
        return {"X-Espalier-Token": json.loads(body)["token"]}

    def run(self, token, line):
        status, _, body = self.ask("POST", "/api/command", token, json.dumps({"line": line}).encode())
        assert status == 200, (status, body)
        return json.loads(body)


def parsed(answer):
    if not answer:
        return 0, {}, b""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if fields.get("transfer-encoding") == "chunked":
        body = dechunked(body)
    return int(lines[0].split(" ")[1]), fields, body


def dechunked(body):
    whole = b""
    while match := re.match(rb"([0-9a-fA-F]+)[^\r]*\r\n", body):
        size = int(match[1], 16)
        whole += body[match.end():match.end() + size]
        body = body[match.end() + size + 2:]
    return whole


def seconds(action):
    started = time.monotonic()
    value = action()
    return time.monotonic() - started, value
