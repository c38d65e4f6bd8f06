#!/usr/bin/env python3
"""Attacks on the page's server, with sockets of our own: each guard holds, and the program goes on meanwhile."""
import contextlib
import json
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "process"))

from espalier_process import case, main, wait_until  # pylint: disable=wrong-import-position
from page import Page, parsed, seconds

PLACES = ["/", "/page.js", "/api/state", "/api/events", "/metrics", "/healthz", "/readyz", "/licences.txt"]


def start(network, *options):
    network.start_metaserver("--web", "127.0.0.1:0", *options)
    return Page(network.metaserver, lambda: network.json_of(network.program("metaserver"), "--json", "-e",
                                                            "web")[1][0]["url"])


def assert_well(page):
    took, (status, _, body) = seconds(lambda: page.ask("GET", "/healthz"))
    assert (status, body) == (200, b"ok\n") and took < 1, (status, body, took)


@case("a name that somebody made lead here is refused, with the option that would allow it")
def _(network):
    page = start(network, "--web-host", "page.example")
    for host in ["evil.example", f"evil.example:{page.port}", "127.0.0.1.evil.example", "", None]:
        for path in PLACES:
            status, _, body = page.ask("GET", path, {"Host": host})
            assert status == 421 and b"--web-host NAME" in body, (host, path, status, body)
    for host in ["localhost", "[::1]:1", "page.example", "PAGE.example:443", page.host]:
        assert page.ask("GET", "/", {"Host": host})[0] == 200, host


@case("another page of the browser can ask nothing: not by fetch, not by a form, not in a frame")
def _(network):
    page = start(network)
    token = page.token()
    line = json.dumps({"line": "stop"}).encode()
    for headers in [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Sec-Fetch-Site": "same-site"}, {"Origin": f"http://localhost:{page.port}"}]:
        assert page.ask("POST", "/api/command", {**token, **headers}, line)[0] == 403, headers
        assert page.ask("GET", "/api/state", {**token, **headers})[0] == 403, headers
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None]:
        assert page.ask("POST", "/api/command", {**token, "Content-Type": kind}, line)[0] == 415, kind
    for path in ["/", "/page.js", "/nothing", "/api/state"]:
        _, fields, _ = page.ask("GET", path, token)
        policy = fields["content-security-policy"]
        for part in ["default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"]:
            assert part in policy, policy
        assert fields["x-content-type-options"] == "nosniff" and "access-control-allow-origin" not in fields
        assert "set-cookie" not in fields
    assert page.ask("GET", "/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})[0] == 200
    assert network.metaserver.alive
    assert_well(page)


@case("without a token there is nothing; a secret is good for one, once")
def _(network):
    page = start(network)
    for headers in [{}, {"X-Espalier-Token": ""}, {"X-Espalier-Token": "0" * 64}, {"X-Espalier-Token": page.secret},
                    {"Cookie": f"X-Espalier-Token={page.secret}"}]:
        for method, path, body in [("GET", "/api/state", b""), ("GET", "/api/events", b""), ("GET", "/api/what", b""),
                                   ("POST", "/api/command", b'{"line":"stop"}')]:
            assert page.ask(method, path, headers, body)[0] == 401, (headers, path)
    for secret in ["", "0" * 64, page.secret[:-1]]:
        assert page.exchange(secret)[0] == 403
    token = page.token()
    status, _, body = page.exchange(page.secret)
    assert status == 403 and b"`web` prints another one" in body
    assert page.ask("GET", "/api/state", token)[0] == 200
    other = page.link().split("#")[1]
    assert page.exchange(other)[0] == 200 and page.exchange(other)[0] == 403
    assert page.secret not in page.ask("GET", "/api/state", token)[2].decode()


@case("commands go through the dispatcher of the prompt: the same JSON, the same errors")
def _(network):
    page = start(network)
    token = page.token()
    network.start_peers(3)
    for line in ["topo", "master", "servers", "help", "whatif kill s2", "whatif kill nobody", "what", "links", ""]:
        expected = network.json_of(network.program("metaserver"), "--json", "-e", line)[1]
        got = page.run(token, line)
        assert [got] == expected or not expected and got == {} or line == "servers", (line, got, expected)
    body = json.dumps({"line": "topo", "stream": True}).encode()
    status, _, answer = page.ask("POST", "/api/command", token, body)
    last = json.loads(answer.splitlines()[-1])
    assert status == 200 and last["exit"] == 0 and len(last["outcome"]["peers"]) == 3


@case("methods and paths that do not exist, and bytes that are no request")
def _(network):
    page = start(network)
    token = page.token()
    for method, path, expected in [("PUT", "/", 405), ("DELETE", "/api/state", 405), ("POST", "/api/state", 405),
                                   ("GET", "/api/command", 405), ("GET", "/api/token", 405), ("TRACE", "/", 405),
                                   ("HEAD", "/api/events", 405),
                                   ("GET", "/nothing", 404), ("GET", "/../topo.txt", 404), ("GET", "/api/x", 404),
                                   ("GET", "//", 404), ("GET", "/page.js/", 404), ("GET", "/%2e%2e/topo.txt", 404)]:
        headers = {**token, "Content-Type": "application/json"}
        assert page.ask(method, path, headers)[0] == expected, (method, path)
    for body in [b"[]", b"{", b"nonsense", b'{"line":' + b"[" * 20000]:
        assert page.ask("POST", "/api/command", token, body)[0] == 400, body[:20]
    for junk in [b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                 b"\0" * 300 + b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n"]:
        assert parsed(page.raw(junk) or b"HTTP/1.1 400 \r\n\r\n")[0] >= 400, junk
    assert page.ask("GET", "/api/events", {**token, "Last-Event-ID": "nonsense"})[0] == 400
    assert_well(page)


@case("a header of more than 8 KiB and a body of more than 64 KiB are not read")
def _(network):
    page = start(network)
    token = page.token()
    for header in [b"X: " + b"y" * 100000, b"X: y\r\n" * 20000, b"Host: " + b"h" * 9000]:
        answer = page.raw(b"GET / HTTP/1.1\r\n" + header + b"\r\n\r\n")
        assert parsed(answer)[0] in (0, 400, 421), answer[:100]
    assert page.ask("GET", "/" + "x" * 9000)[0] in (0, 400)
    large = json.dumps({"line": "x" * (1 << 20)}).encode()
    assert page.ask("POST", "/api/command", token, large)[0] in (0, 413)
    chunk = b"10000\r\n" + b"z" * 65536 + b"\r\n"
    head = page.request("POST", "/api/command", {**token, "Content-Type": "application/json",
                                                 "Transfer-Encoding": "chunked"})
    assert parsed(page.raw(head + chunk * 16))[0] in (0, 400, 500)
    fits = json.dumps({"line": "x" * 60000}).encode()
    assert page.ask("POST", "/api/command", token, fits)[0] == 200
    assert_well(page)


@case("a request that is never said is over after ten seconds, however it trickles; nine do not stop a tenth")
def _(network):
    page = start(network)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(page.connect()) for _ in range(9)]
        for one in slow:
            one.sendall(b"GET / HTTP/1.1\r\nX")
        assert_well(page)
        open_ones = set(range(9))
        while open_ones and time.monotonic() - started < 20:
            time.sleep(0.25)
            for index in list(open_ones):
                try:
                    slow[index].sendall(b"y")
                    slow[index].setblocking(False)
                    if slow[index].recv(1000) == b"" or True:
                        open_ones.discard(index)
                except BlockingIOError:
                    slow[index].setblocking(True)
                except OSError:
                    open_ones.discard(index)
        took = time.monotonic() - started
    assert not open_ones and 8 < took < 13, (open_ones, took)
    assert_well(page)


@case("sixty-four pages follow, the sixty-fifth is told 503, and other requests are answered")
def _(network):
    page = start(network)
    token = page.token()
    known = json.loads(page.ask("GET", "/api/state", token)[2])["id"]
    request = page.request("GET", "/api/events", {**token, "Last-Event-ID": known})
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(page.connect()) for _ in range(64)]
        for one in streams:
            one.sendall(request)
        for one in streams:
            assert one.recv(1000).startswith(b"HTTP/1.1 200")
        with page.connect() as one:
            one.sendall(request)
            assert one.recv(1000).startswith(b"HTTP/1.1 503")
        assert_well(page)
        network.start_peer("s1")
        for one in streams:  # each has the news
            text = b""
            while b'"s1"' not in text:
                text += one.recv(65536)
        streams[0].close()

        def has_room():
            with page.connect() as one:
                one.sendall(request)
                return one.recv(1000).startswith(b"HTTP/1.1 200")
        wait_until(has_room, network.patience, "room for another page")
    wait_until(lambda: b"espalier_page_streams 0\n" in page.ask("GET", "/metrics")[2], network.patience,
               "the end of all streams")


@case("clients that do not read their answers lose them after five seconds, and stop nobody")
def _(network):
    page = start(network)
    network.start_peers(2)
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            one = stack.enter_context(page.connect(receive_bytes=4096))
            one.sendall(page.request("GET", "/d3.min.js"))
        wait_until(lambda: page.ask("GET", "/page.css")[0] == 503, network.patience, "all places to be taken")
        took, tree = seconds(lambda: network.json_of(network.program("metaserver"), "--json", "-e", "topo"))
        assert tree[0] == 0 and took < 2
        network.start_peer("s3")
        network.wait_for_tree(["s1", "s2", "s3"])
        took, _ = seconds(lambda: wait_until(lambda: page.ask("GET", "/page.css")[0] == 200, 15, "a free place"))
        assert took < 8, took
    assert_well(page)


@case("a page whose tab is closed interrupts what it ran; one that comes too late starts anew")
def _(network):
    page = start(network)
    token = page.token()
    with page.connect() as one:
        one.sendall(page.request("POST", "/api/command", token, b'{"line":"link 192.0.2.1:9"}'))
        time.sleep(0.3)
    wait_until(lambda: page.run(token, "status")["command"] == "status", network.patience, "an answer")
    answer = page.raw(page.request("GET", "/api/events", {**token, "Last-Event-ID": "1.1"}))
    assert b"event: reset" in answer, answer


@case("a program with pages that follow it ends at once, and so do they")
def _(network):
    page = start(network)
    network.start_peer("s1", "--web", "127.0.0.1:0")
    network.wait_for_tree(["s1"])
    own = Page(network.peers["s1"], None)
    for one, process in [(own, network.peers["s1"]), (page, network.metaserver)]:
        token = one.token()
        known = json.loads(one.ask("GET", "/api/state", token)[2])["id"]
        with one.connect() as stream, one.connect() as silent:
            stream.sendall(one.request("GET", "/api/events", {**token, "Last-Event-ID": known}))
            assert stream.recv(1000)
            silent.sendall(b"GET / HTTP/1.1\r\n")
            time.sleep(0.6)
            took, code = seconds(process.end)
            assert code == 0 and took < 2, (process.name, code, took)
            while stream.recv(65536):
                pass


@case("it listens on loopback and nowhere else; a port that is taken is told")
def _(network):
    for address in ["0.0.0.0:0", "192.0.2.1:5080", "[::]:5080"]:
        code, _, log = network.run(network.program("metaserver"), "--listen", "127.0.0.1:0", "--web", address)
        assert code == 78 and "ssh -L" in log, (code, log)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, log = network.run(network.program("metaserver"), "--listen", "127.0.0.1:0", "--web",
                                   f"127.0.0.1:{port}")
        assert code == 69 and f"127.0.0.1:{port} for the page" in log, (code, log)
    network.start_metaserver()
    code, told = network.json_of(network.program("metaserver"), "--json", "-e", "web")
    assert code == 69 and "--web" in told[0]["error"]["message"], told


if __name__ == "__main__":
    main()
