"""Fetches the page of a metaserver and its state, as a browser does: demo_page.py LINK TOPO_FILE.

Fails unless the page is there, and its peers have the links that the file says.
"""
import json
import pathlib
import sys
import urllib.request

NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url, body=None, token=None):
    headers = {"Content-Type": "application/json"} | ({"X-Espalier-Token": token} if token else {})
    data = json.dumps(body).encode() if body else None
    with NO_PROXY.open(urllib.request.Request(url, data, headers), timeout=10) as answer:
        return answer.read().decode()


def main():
    page, _, secret = sys.argv[1].partition("/#")
    assert "<title>Espalier</title>" in ask(page + "/"), "no page"
    assert "d3js.org" in ask(page + "/d3.min.js")[:200], "no d3"
    token = json.loads(ask(page + "/api/token", {"secret": secret}))["token"]
    peers = json.loads(ask(page + "/api/state", token=token))["state"]["peers"]
    lines = [line.split() for line in pathlib.Path(sys.argv[2]).read_text(encoding="utf-8").splitlines()]
    expected = {name.rstrip(":"): set(links) for name, *links in lines}
    shown = {name: set() for name in peers}
    for name, peer in peers.items():
        if peer["parent"]:
            shown[name].add(peer["parent"])
            shown[peer["parent"]].add(name)
    assert shown == expected, f"{shown} is not {expected}"


main()
