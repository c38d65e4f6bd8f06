"""A connection to a program after Hello and Welcome, and what is seen on it."""
import socket
import types

from wire import frame, hello, parse

WELCOME = 1


class Session:
    """`welcomed` says whether the Hello was; `first` is the answer to it."""

    def __init__(self, address, purpose, patience, receive_buffer=None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(patience)
        self.socket.connect((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        self.send(hello(purpose))
        self.first = parse(self.receive())
        self.welcomed = WELCOME in self.first

    def send(self, *payloads):
        self.socket.sendall(b"".join(frame(one) for one in payloads))

    def take(self, count):
        while len(self.rest) < count:
            more = self.socket.recv(1 << 16)
            if not more:
                raise ConnectionError("closed")
            self.rest += more
        data, self.rest = self.rest[:count], self.rest[count:]
        return data

    def receive(self):
        return self.take(int.from_bytes(self.take(4), "big"))

    def receive_all(self, last=lambda reply: False):
        """([replies], whether the other side closed), up to the one for which last() is true."""
        replies = []
        try:
            while not replies or not last(replies[-1]):
                replies.append(parse(self.receive()))
        except ConnectionError:
            return replies, True
        return replies, False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def seen(**what):
    return types.SimpleNamespace(**what)
