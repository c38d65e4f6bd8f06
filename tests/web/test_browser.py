#!/usr/bin/python3
"""The page in a real browser (Debian's chromium, python3-selenium): what it shows is what topo.txt and the prompt say.

Pictures are kept in the folder that ESPALIER_PICTURES names, if it does.
"""
import contextlib
import json
import os
import pathlib
import re
import sys
import time

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "process"))

from espalier_process import case, main, noise, wait_until  # pylint: disable=wrong-import-position

HOSTILE = "<b>&quot;'x"  # an id may have these letters
HOSTILE_FILE = "<img src=x onerror=document.title='hit'>.txt"


class Browser:
    def __init__(self, width=1280, height=800, dark=False, still=False):
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for word in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]:
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                     mobile=False)
        self.command("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}])

    def command(self, name, **arguments):
        return self.driver.execute_cdp_cmd(name, arguments)

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def open(self, link, page="network"):
        self.driver.get(link)
        wait_until(lambda: self.js("return document.getElementById('status').dataset.is") == "live", 20,
                   lambda: f"a live page: {self.complaints()}")
        self.go(page)

    def go(self, page):
        self.js("location.hash = arguments[0]", f"#/{page}")
        wait_until(lambda: self.js("return document.getElementById('main').dataset.page") == page, 5,
                   f"the page {page}")

    def text(self, selector="main"):
        return self.js("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def tree(self):
        """{id: parent} as it is drawn, without who is dying."""
        return dict(self.js("return [...document.querySelectorAll('g.peer:not(.dying)')].map("
                            "one => [one.dataset.id, one.dataset.parent || null])"))

    def complaints(self):
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]

    def picture(self, name):
        folder = os.environ.get("ESPALIER_PICTURES")
        if folder:
            self.driver.save_screenshot(str(pathlib.Path(folder) / f"{name}.png"))


@contextlib.contextmanager
def browser(**options):
    one = Browser(**options)
    try:
        yield one
        assert not (told := one.complaints()), told
    finally:
        one.driver.quit()


def link(network, name=None):
    program = [network.program("peer"), "--share", f"./{name}"] if name else [network.program("metaserver")]
    code, told = network.json_of(*program, "--json", "-e", "web")
    assert code == 0, told
    return told[0]["url"]


def links_of(tree):
    """The links that a drawn tree has, as topo.txt would say: {id: set of neighbours}."""
    links = {one: set() for one in tree}
    for one, parent in tree.items():
        if parent:
            links[one].add(parent)
            links[parent].add(one)
    return links


def wait_for_picture(page, network):
    """Until what is drawn is what topo.txt says, and it is one tree."""
    def is_same():
        tree = page.tree()
        if any(parent not in tree for parent in tree.values() if parent):
            return False
        return links_of(tree) == {one: set(others) for one, others in network.topo().items()}
    return wait_until(is_same, 10, lambda: f"the picture: {page.tree()}, topo.txt: {network.topo()}")


@case("five peers join, one is killed: the picture follows topo.txt, and what if agrees with the prompt")
def _(network):
    network.start_metaserver("--web", "127.0.0.1:0")
    with browser() as page:
        page.open(link(network))
        assert "A bare wall" in page.text(), page.text()
        assert "#" not in page.driver.current_url.replace("#/network", "")  # the secret has left the address
        page.picture("empty")
        network.start_peers(5)
        wait_for_picture(page, network)
        assert "s3 joined" in page.text(".news")
        page.picture("five")

        victim = page.js("return document.querySelector('g.peer[data-parent=s1]').dataset.id")
        code, told = network.json_of(network.program("metaserver"), "--json", "-e", f"whatif kill {victim}")
        page.find(f"g.peer[data-id={victim}] .body").click()
        page.find("#whatif").click()
        wait_until(lambda: page.text(".panel .plan"), 5, "the plan")
        for each in told[0]["attachments"]:
            plan = page.text(".panel .plan")
            assert f"{each['id']} would attach to {each['to']}" in plan, (told, plan)
        assert len(told[0]["attachments"]) > 0
        assert page.js("return document.querySelectorAll('path.would').length") == len(told[0]["attachments"])
        page.picture("whatif")

        network.peers[victim].kill()
        network.wait_for_tree([f"s{i}" for i in range(1, 6) if f"s{i}" != victim])
        started = time.monotonic()
        tree = wait_for_picture_without(page, network, victim)
        assert time.monotonic() - started < 2
        for each in told[0]["attachments"]:
            assert tree[each["id"]] == each["to"], (tree, told)
        wait_until(lambda: not page.js("return document.querySelectorAll('.dying').length"), 3, "the dead to fade")
        assert f"{victim} is gone" in page.text(".news")
        page.picture("healed")


def wait_for_picture_without(page, network, victim):
    wait_until(lambda: victim not in page.tree(), 10, f"{victim} to go")
    wait_for_picture(page, network)
    return page.tree()


@case("names and files that look like markup are text")
def _(network):
    network.start_metaserver("--web", "127.0.0.1:0")
    network.start_peer("s1", "--web", "127.0.0.1:0", files={HOSTILE_FILE: b"x"})
    network.wait_for_tree(["s1"])
    network.fill_share("hostile", {"</script><script>document.title='hit'</script>.txt".replace("/", "|"): b"z"})
    network.spawn("hostile", network.program("peer"), "--metaserver", network.address, "--id", HOSTILE, "--share",
                  "./hostile", "--headless")
    wait_until(lambda: HOSTILE in network.topo(), network.patience, lambda: network.peers["hostile"].log)
    network.wait_indexed("s1")
    with browser() as page:
        page.open(link(network))
        wait_until(lambda: HOSTILE in page.tree(), 5, lambda: page.tree())
        page.js("[...document.querySelectorAll('g.peer')].find(one => one.dataset.id === arguments[0])"
                ".dispatchEvent(new MouseEvent('click'))", HOSTILE)
        wait_until(lambda: HOSTILE in page.text(".panel h2"), 5, lambda: page.text(".panel"))
        for name in ["members", "servers", "log"]:
            page.go(name)
            assert name == "servers" or HOSTILE in page.text(), page.text()
        assert not page.js("return document.querySelectorAll('main b b, main img, main script').length")
    with browser() as page:
        page.open(link(network, "s1"), "files")
        wait_until(lambda: HOSTILE_FILE in page.text(), 5, lambda: page.text())
        assert not page.js("return document.querySelectorAll('main img, main script').length")
        assert "hit" not in page.driver.title


@case("a search fills in, and a file is fetched; a push's ledger fills")
def _(network):
    network.start_metaserver()
    for name in ["s1", "s2", "s3"]:
        network.start_peer(name, "--accept-push", "all", "--web", "127.0.0.1:0",
                           files={f"plant-{name}.bin": noise(200000, name)})
        wait_until(lambda one=name: one in network.topo(), network.patience, name)
    network.wait_for_tree(["s1", "s2", "s3"])
    for name in ["s1", "s2", "s3"]:
        network.wait_indexed(name)
    with browser() as page:
        page.open(link(network, "s1"), "files")
        page.find("#pattern").send_keys("plant", Keys.ENTER)
        wait_until(lambda: "3 files" in page.text(".coverage"), 10, lambda: page.text())
        assert "3 of 3 peers searched" in page.text(".coverage")
        page.picture("files")
        page.js("[...document.querySelectorAll('tr')].find(row => row.innerText.includes('plant-s3'))"
                ".querySelector('button').click()")
        wait_until(lambda: (network.folder / "s1" / "plant-s3.bin").exists(), 10, "the file")
        assert (network.folder / "s1" / "plant-s3.bin").read_bytes() == noise(200000, "s3")
        wait_until(lambda: "here" in page.text(".results"), 5, lambda: page.text())
        assert network.command("s1", "push s1/plant-s1.bin")[0] == 0
        page.go("transfers")
        wait_until(lambda: page.text(".ledger").count("verified") == 2, 10, lambda: page.text())
        page.picture("transfers")


@case("two windows write to each other")
def _(network):
    network.start_metaserver()
    for name in ["ann", "bob"]:
        network.start_peer(name, "--web", "127.0.0.1:0", files={})
        wait_until(lambda one=name: one in network.topo(), network.patience, name)
    network.wait_for_tree(["ann", "bob"])
    with browser() as ann, browser() as bob:
        ann.open(link(network, "ann"), "chat")
        bob.open(link(network, "bob"), "chat")
        wait_until(lambda: "bob" in ann.text("select"), 10, lambda: ann.text())
        ann.js("const to = document.querySelector('select'); to.value = 'bob'; to.dispatchEvent(new Event('change'))")
        ann.find(".chat-main input").send_keys("good morning <b>bob</b>", Keys.ENTER)
        wait_until(lambda: bob.text(".private-list").split() == ["ann", "1", "unread"], 10, lambda: bob.text())
        bob.find(".private-list button").click()
        wait_until(lambda: "good morning <b>bob</b>" in bob.text(".talk"), 10, lambda: bob.text())
        wait_until(lambda: bob.text(".private-list").split() == ["ann"], 10, lambda: bob.text())
        bob.find(".chat-main input").send_keys("good evening", Keys.ENTER)
        wait_until(lambda: "good evening" in ann.text(".talk"), 10, lambda: ann.text())
        assert network.command("bob", "msg ann </script>\u202eneddih\u200b")[0] == 0
        wait_until(lambda: "</script>\\u{202e}neddih\\u{200b}" in ann.text(".talk"), 10, lambda: ann.text())
        ann.picture("chat")


def choose_room(page, room):
    page.js("[...document.querySelectorAll('.room-list button')].find(one => one.querySelector('span').textContent"
            " === arguments[0]).click()", room)
    wait_until(lambda: page.text(".talk-head h2") == room, 5, lambda: page.text(".talk-head"))


def unread(page, room):
    """The badge of a room in the list; empty: it was read."""
    return page.js("return [...document.querySelectorAll('.room-list button')].find(one => "
                   "one.querySelector('span').textContent === arguments[0])?.querySelector('em')?.innerText ?? ''",
                   room).removesuffix("unread").strip()


def start_chatters(network, *names):
    network.start_metaserver("--web", "127.0.0.1:0")
    for name in names:
        network.start_peer(name, "--web", "127.0.0.1:0", files={})
        wait_until(lambda one=name: one in network.topo(), network.patience, name)
    network.wait_for_tree(list(names))


@case("two windows talk in a room: live, with history, unread, mentions, members and a gate")
def _(network):
    start_chatters(network, "ann", "bob", "cyd")
    with browser() as ann, browser() as bob:
        ann.open(link(network, "ann"), "chat")
        wait_until(lambda: ann.text(".talk-head h2") == "lobby", 10, lambda: ann.text())
        ann.find(".join input[type=text]").send_keys("fleece", Keys.ENTER)
        wait_until(lambda: ann.text(".talk-head h2") == "fleece", 10, lambda: ann.text())
        say(ann, "before bob came")
        wait_until(lambda: "before bob came" in ann.text(".said"), 10, lambda: ann.text())
        # Bob finds it among the rooms that he is not in, and reads what was said before.
        bob.open(link(network, "bob"), "chat")
        wait_until(lambda: "fleece" in bob.js("return document.querySelector('.elsewhere').textContent"), 20,
                   lambda: bob.text())
        bob.js("document.querySelector('.elsewhere button').click()")
        wait_until(lambda: "before bob came" in bob.text(".said"), 10, lambda: bob.text())
        say(bob, "here I am, ann")
        wait_until(lambda: "here I am, ann" in ann.text(".said .naming"), 10, lambda: ann.text())
        ann.find(".talk-head button").click()
        wait_until(lambda: "bob" in ann.text(".members"), 10, lambda: ann.text(".members"))
        assert "waits" not in ann.text(".room-list"), ann.text(".room-list")
        ann.picture("room")
        # Nobody looks at the lobby: what is said there is counted.
        code, _, _ = network.command("cyd", "say hello, ann and bob")
        assert code == 0
        wait_until(lambda: unread(ann, "lobby") == "@ 1", 10, lambda: ann.text(".room-list"))
        assert ann.text("#tabs em[data-for=chat]") == "@1"
        choose_room(ann, "lobby")
        wait_until(lambda: "hello, ann and bob" in ann.text(".said"), 10, lambda: ann.text())
        wait_until(lambda: unread(ann, "lobby") == "" and ann.text("#tabs em[data-for=chat]") == "", 10,
                   lambda: ann.text(".room-list"))
        wait_until(lambda: network.json("ann", "rooms")[1][0]["rooms"][-1]["unread"] == 0, 10, "the program knows it")
        # A gate: what is said waits behind it.
        assert network.json("ann", "join quorum --opens-at 3")[0] == 0
        wait_until(lambda: "quorum" in ann.text(".room-list"), 10, lambda: ann.text())
        choose_room(ann, "quorum")
        say(ann, "kept until then")
        wait_until(lambda: "it appears when the chat opens" in ann.text(".pending"), 10, lambda: ann.text())
        assert network.json("bob", "join quorum")[0] == 0
        wait_until(lambda: "2 of 3 are here: the chat opens at 3" in ann.text(".gate"), 10, lambda: ann.text(".gate"))
        ann.picture("gate")
        assert network.json("cyd", "join quorum")[0] == 0
        wait_until(lambda: "kept until then" in ann.text(".said") and not ann.text(".pending"), 10, lambda: ann.text())
        wait_until(lambda: "The chat is open" in ann.text(".said") and not ann.text(".gate"), 10,
                   lambda: ann.text(".chat-main"))
        choose_room(bob, "quorum")
        wait_until(lambda: "kept until then" in bob.text(".said"), 10, lambda: bob.text())
        # It is left from the page, too.
        bob.js("document.querySelectorAll('.talk-head button')[1].click()")
        wait_until(lambda: "quorum" not in bob.text(".room-list"), 10, lambda: bob.text())
    with browser(width=360, height=740, dark=True, still=True) as page:
        page.open(link(network, "cyd"), "chat")
        wait_until(lambda: "ann and bob" in page.text(".said"), 10, lambda: page.text())
        for name in ["network", "files", "transfers", "members", "log", "chat"]:
            page.go(name)
            assert page.js("return document.documentElement.scrollWidth") <= 360, name
            page.picture(f"narrow-peer-{name}")


def say(page, text):
    page.find(".chat-main .prompt input").send_keys(text, Keys.ENTER)


@case("a metaserver's page reads the rooms, live, nothing before a room opens, and can say nothing")
def _(network):
    start_chatters(network, "ann", "bob")
    said, hostile = ["good morning", "</script><b>bold</b>\u202eneddih"], "<b>&quot;'x"

    def say_there(peer, room, text):
        assert network.command(peer, f"say #{room} {text}")[0] == 0

    with browser() as page:
        page.open(link(network), "chat")
        wait_until(lambda: page.text(".talk-head h2") == "lobby", 10, lambda: page.text())
        assert "Nothing was said here yet" in page.text(".talk") and not page.js(
            "return document.querySelectorAll('.chat-main input, .chat-side form, .chat-side select').length")
        for text in said:
            say_there("ann", "lobby", text)
        wait_until(lambda: "</script><b>bold</b>\\u{202e}neddih" in page.text(".said"), 10, lambda: page.text(".said"))
        assert said[0] in page.text(".said")
        wait_until(lambda: "2 members, 2 entries" in page.text(".talk-head"), 10, lambda: page.text(".talk-head"))
        # Another room appears, with a name that looks like markup.
        assert network.json("bob", f'join "#{hostile}"')[0] == 0
        wait_until(lambda: hostile in page.text(".room-list"), 10, lambda: page.text(".room-list"))
        say_there("bob", hostile, "from bob")
        choose_room(page, hostile)
        wait_until(lambda: "from bob" in page.text(".said"), 10, lambda: page.text(".chat-main"))
        expected = ["from bob", *(f"number {i}" for i in range(6))]
        for text in expected[1:]:
            say_there("bob", hostile, text)
        wait_until(lambda: expected[-1] in page.text(".said"), 10, lambda: page.text(".said"))
        told = page.js("return [...document.querySelectorAll('.said p')].map(one => one.textContent)")
        assert told == expected, told
        # A gate: nothing before it opens, all of it then.
        assert network.json("ann", "join quorum --opens-at 2")[0] == 0
        say_there("ann", "quorum", "kept until then")
        wait_until(lambda: "quorum" in page.text(".room-list"), 10, lambda: page.text(".room-list"))
        choose_room(page, "quorum")
        wait_until(lambda: "1 of 2 is here: the chat opens at 2" in page.text(".gate"), 10, lambda: page.text(".gate"))
        wait_until(lambda: "Nothing is shown before the chat opens." in page.text(".talk"), 10, lambda: page.text())
        assert "kept until then" not in page.js("return document.body.textContent")
        page.picture("rooms-gate")
        assert network.json("bob", "join quorum")[0] == 0
        wait_until(lambda: "kept until then" in page.text(".said") and "The chat is open" in page.text(".said"), 10,
                   lambda: page.text(".chat-main"))
        choose_room(page, "lobby")
        wait_until(lambda: said[0] in page.text(".said"), 10, lambda: page.text(".said"))
        page.picture("rooms")
        assert page.js("return document.querySelectorAll('.said b b, .room-list b').length") == 0
    for dark, width in [(True, 1280), (False, 360), (True, 360)]:
        with browser(width=width, height=740, dark=dark, still=True) as page:
            page.open(link(network), "chat")
            wait_until(lambda: said[0] in page.text(".said"), 10, lambda: page.text())  # noqa: B023
            assert page.js("return document.documentElement.scrollWidth") <= width
            page.picture(f"rooms-{width}-{'dark' if dark else 'light'}")


@case("in rooms, names and texts that look like markup are text; what was refused is told, and can be said again")
def _(network):
    start_chatters(network, "ann", "bob")
    room, text = "<b>&quot;'x", "<img src=x onerror=document.title='hit'>\u202eneddih\u200b"
    assert network.json("bob", f'join "#{room}"')[0] == 0
    with browser() as ann:
        ann.open(link(network, "ann"), "chat")
        wait_until(lambda: room in ann.js("return document.querySelector('.elsewhere').textContent"), 20,
                   lambda: ann.text())
        ann.js("document.querySelector('.elsewhere button').click()")
        wait_until(lambda: ann.text(".talk-head h2") == room, 10, lambda: ann.text())
        assert network.command("bob", f"say #{room} {text}")[0] == 0
        shown = "<img src=x onerror=document.title='hit'>\\u{202e}neddih\\u{200b}"
        wait_until(lambda: shown in ann.text(".said"), 10, lambda: ann.text(".said"))
        say(ann, "</script><script>document.title='hit'</script>")
        wait_until(lambda: "</script><script>" in ann.text(".said"), 10, lambda: ann.text(".said"))
        assert not ann.js("return document.querySelectorAll('main b b, main img, main script').length")
        assert "hit" not in ann.driver.title
        # More than is allowed in a second: each line is there once, or says why it was not said.
        for number in range(40):
            ann.js("const input = document.querySelector('.chat-main .prompt input'); input.value = arguments[0];"
                   "input.form.requestSubmit()", f"line {number}.")
        wait_until(lambda: "not said" in ann.text(".pending"), 20, lambda: ann.text(".talk"))
        wait_until(lambda: "sending" not in ann.text(".pending"), 30, lambda: ann.text(".pending"))
        ann.picture("refused")
        wait_until(lambda: all(ann.text(".talk").count(f"line {number}.") == 1 for number in range(40)), 10,
                   lambda: ann.text(".talk"))
        time.sleep(1)
        before = ann.js("return document.querySelectorAll('.refused').length")
        assert before > 0
        ann.find(".refused button").click()
        wait_until(lambda: ann.js("return document.querySelectorAll('.refused').length") == before - 1, 10,
                   lambda: ann.text(".pending"))


# A network page of its own in the place of the page's, with peers that are made up: a tree of `links` links a peer.
LARGE = """
const [count, links, done] = arguments;
(async () => {
  const {Model, treeOf} = await import("/model.js");
  const {NetworkPage} = await import("/network.js");
  const {fold} = await import("/fold.js");
  const parentOf = (i) => (links === 2 ? Math.max(0, i - 2) : Math.floor((i - 1) / (links - 1)));
  const peers = Object.fromEntries(Array.from({length: count}, (_, i) => [`p${i}`, {
    order: i + 1, at: "127.0.0.1:1", home: "m", parent: i ? `p${parentOf(i)}` : null}]));
  const model = new Model();
  model.replace({peers, self: {program: {kind: "metaserver", name: "m", at: "", maxLinks: links}}, servers: {m: {}}});
  const connection = {run: async () => ({attachments: [{id: "p3", to: `p${count - 1}`}], peers: [{}]})};
  window.large = new NetworkPage(model, connection);
  window.folded = (top) => {
    const tree = fold(treeOf(model.group("peers")), top);
    const ends = tree.all.filter((node) => node.folded);
    return {drawn: tree.all.length, total: tree.total, hidden: tree.hidden, main: tree.main.id,
      folded: ends.reduce((sum, node) => sum + node.folded, 0), ends: ends.map((node) => node.id)};
  };
  window.large.mount(document.getElementById("main"));
})().then(() => done(null), (error) => done(String(error)));
"""
# How many pixels of the canvas have that colour of page.css.
PIXELS = """
const canvas = document.querySelector("canvas"), copy = document.createElement("canvas");
Object.assign(copy, {width: canvas.width, height: canvas.height});
const probe = copy.getContext("2d", {willReadFrequently: true});
probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(arguments[0]).trim();
probe.fillRect(0, 0, 1, 1);
const wanted = probe.getImageData(0, 0, 1, 1).data;
probe.clearRect(0, 0, 1, 1);
probe.drawImage(canvas, 0, 0);
const {data} = probe.getImageData(0, 0, canvas.width, canvas.height);
let count = 0;
for (let i = 0; i < data.length; i += 4) if ([0, 1, 2].every((k) => Math.abs(data[i + k] - wanted[k]) < 3)) ++count;
return count;
"""


def walk_painted(page):
    """By the arrows over the canvas: what is told is where the tree leads."""
    press = page.find("canvas").send_keys
    page.js("window.large.choose(null)")
    press(Keys.HOME)
    assert page.text(".stage > .sr").startswith("p0, root of the tree"), page.text(".stage > .sr")
    before = page.js(PIXELS, "--ink")
    press(Keys.ARROW_UP)
    assert page.text(".stage > .sr").startswith("p1, depth 1, below p0"), page.text(".stage > .sr")
    assert before > 20 and page.js(PIXELS, "--ink") > 20 and page.text(".tip").startswith("p1")
    press(Keys.ARROW_RIGHT)
    assert page.text(".stage > .sr").startswith("p2, depth 1, below p0"), page.text(".stage > .sr")
    press(Keys.ENTER)
    assert page.text(".panel h2") == "p2" and page.text(".stage > .sr").endswith(", chosen")
    page.picture("keys-painted")
    press(Keys.ESCAPE)
    assert page.text(".panel h2") == "" and not page.text(".stage > .sr").endswith("chosen")
    # What is out of sight comes into it.
    page.js("d3.select('canvas').call(window.large.keyed.zoomer.scaleTo, 8)")
    press(Keys.END)
    assert page.js("const {large} = window, {x, y} = large.plan_.places.get(large.focused);"
                   "const [left, top] = d3.zoomTransform(large.canvas).apply([x, y]);"
                   "return left > 0 && top > 0 && left < large.canvas.clientWidth && top < large.canvas.clientHeight")
    page.picture("keys-zoomed")
    page.js("document.activeElement.blur()")
    assert page.text(".stage > .sr") == "" and page.js("return document.querySelector('.tip').hidden")
    page.js("d3.select('canvas').call(window.large.keyed.zoomer.transform, d3.zoomIdentity)")


@case("above 300 peers the plan of what if is painted; above 2,000 subtrees fold, and can be looked into")
def _(network):
    network.start_metaserver("--web", "127.0.0.1:0")
    with browser(still=True) as page:
        page.open(link(network))
        assert page.driver.execute_async_script(LARGE, 400, 3) is None
        assert page.js("return document.querySelectorAll('canvas').length") == 1
        page.js("window.large.choose('p1')")
        before = page.js(PIXELS, "--warn")
        page.find("#whatif").click()
        wait_until(lambda: "p3 would attach to p399" in page.text(".panel .plan"), 5, lambda: page.text(".panel"))
        assert before == 0 and page.js(PIXELS, "--warn") > 20, page.js(PIXELS, "--warn")
        page.picture("plan-painted")
        assert page.js("return window.folded(null)")["hidden"] == 0
        walk_painted(page)
        for count, links in [(6000, 2), (6000, 4)]:
            page.go("members")
            assert page.driver.execute_async_script(LARGE, count, links) is None
            told = page.js("return window.folded(null)")
            assert told["drawn"] == 2000 and told["hidden"] == told["folded"] == count - 2000, told
            assert f"{count:,}" in page.text(".figures") and "4,000 are folded" in page.text(".fold-note")
            end = told["ends"][0]
            page.js("window.large.choose(arguments[0])", end)
            page.find(".panel button.wide").click()
            inside = page.js("return window.folded(arguments[0])", end)
            assert inside["main"] == end and inside["drawn"] > 1 and inside["total"] == count, inside
            assert f"The subtree of {end}" in page.text(".fold-note")
            page.picture(f"subtree-{links}")
            page.find(".fold-note button").click()
            assert "4,000 are folded" in page.text(".fold-note")
            page.picture(f"folded-{links}")


@case("a peer's page says what the one under the pointer shares, and what this one has sent and received")
def _(network):
    network.start_metaserver()
    network.start_peer("s1", "--web", "127.0.0.1:0", files={})
    network.wait_for_tree(["s1"])
    network.start_peer("s2", files={HOSTILE_FILE: b"x" * 100, "large.bin": noise(3000000, "large")})
    network.wait_for_tree(["s1", "s2"])
    network.wait_indexed("s2")
    with browser() as page:
        page.open(link(network, "s1"))
        wait_until(lambda: "s2" in page.tree(), 10, lambda: page.tree())
        page.js("document.querySelector('g.peer[data-id=s2]').dispatchEvent(new PointerEvent('pointerenter'))")
        wait_until(lambda: "shares 2 files, 3.0 MB" in page.text(".tip"), 10, lambda: page.text(".tip"))
        assert HOSTILE_FILE in page.text(".tip") and not page.js("return document.querySelectorAll('.tip img').length")
        page.picture("share")
        page.go("statistics")
        assert "Nothing moved" in page.text(".plots")
        assert network.command("s1", "get large.bin")[0] == 0
        wait_until(lambda: "3.0 MB" in page.text(".figures"), 10, lambda: page.text(".figures"))
        wait_until(lambda: page.js("return document.querySelectorAll('.pair .curve').length") == 2, 10,
                   lambda: page.text(".plots"))
        page.picture("traffic")


@case("by keyboard alone; 360 pixels wide; dark; without motion")
def _(network):
    network.start_metaserver("--web", "127.0.0.1:0")
    tree = network.start_peers(5)
    with browser(width=360, height=740, dark=True, still=True) as page:
        page.open(link(network))
        wait_for_picture(page, network)
        for name in ["network", "members", "servers", "chat", "statistics", "log"]:
            page.go(name)
            assert page.js("return document.documentElement.scrollWidth") <= 360, name
            page.picture(f"narrow-{name}")
        page.go("network")
        page.js("document.body.focus()")
        active = "return document.activeElement.dataset.id ?? document.activeElement.textContent.trim()"
        for _ in range(20):
            page.driver.switch_to.active_element.send_keys(Keys.TAB)
            if page.js(active) in tree:
                break
        assert page.js(active) == "s1", page.js(active)
        page.driver.switch_to.active_element.send_keys(Keys.ARROW_UP)
        child = page.js(active)
        assert page.tree()[child] == "s1"
        page.driver.switch_to.active_element.send_keys(Keys.ENTER)
        wait_until(lambda: page.text(".panel h2") == child, 5, lambda: page.text(".panel"))
        label = page.js("return document.activeElement.getAttribute('aria-label')")
        assert label.startswith(f"{child}, depth 1, below s1"), label
        page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
        wait_until(lambda: page.text(".panel h2") == "", 5, lambda: page.text(".panel"))


@case("a page that was hidden has no stream, and shows what happened when it is seen again")
def _(network):
    network.start_metaserver("--web", "127.0.0.1:0")
    network.start_peers(2)
    with browser() as page:
        page.open(link(network))
        wait_for_picture(page, network)
        page.js("Object.defineProperty(document, 'hidden', {configurable: true, get: () => true});"
                "document.dispatchEvent(new Event('visibilitychange'))")
        wait_until(lambda: page.js("return document.getElementById('status').dataset.is") == "paused", 5, "the pause")
        network.start_peer("s3")
        network.wait_for_tree(["s1", "s2", "s3"])
        assert "s3" not in page.tree()
        page.js("Object.defineProperty(document, 'hidden', {configurable: true, get: () => false});"
                "document.dispatchEvent(new Event('visibilitychange'))")
        wait_for_picture(page, network)
        assert re.search("s3 joined", page.text(".news"))
        page.js("sessionStorage.setItem('espalier-token', 'wrong'); location.reload()")
        wait_until(lambda: "This page is closed" in page.text("#locked"), 10, lambda: page.text("body"))
        assert json.loads(page.js("return JSON.stringify(sessionStorage)")) == {}
        page.complaints()  # the 401 is told there


if __name__ == "__main__":
    main()
