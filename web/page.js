// The page: which part is shown, and who is told of what.
import {Connection} from "./connection.js";
import {el, shown} from "./dom.js";
import {Model} from "./model.js";
import {NetworkPage} from "./network.js";
import {ChatPage} from "./chat.js";
import {RoomsPage} from "./rooms.js";
import {FilesPage, TransfersPage} from "./files.js";
import {StatisticsPage, TrafficPage} from "./statistics.js";
import {LogPage, MembersPage, ServersPage} from "./tables.js";

const model = new Model();
const status = document.getElementById("status");
const main = document.getElementById("main");
const locked = document.getElementById("locked");
const TEXTS = {live: "live", lost: "no connection, trying again", paused: "paused", connecting: "connecting"};

const connection = new Connection({
  state: (state) => {
    const before = model.past.length;
    model.replace(state);
    noteSince(before);
  },
  changes: (changes) => {
    const before = model.past.at(-1);
    model.change(changes);
    noteSince(before ? model.past.indexOf(before) + 1 : 0);
  },
  status: (name) => {
    status.dataset.is = name;
    document.getElementById("status-text").textContent = TEXTS[name];
  },
  closed: (why) => {
    main.hidden = true;
    locked.hidden = false;
    document.getElementById("locked-why").textContent = why.trim();
    status.dataset.is = "lost";
    document.getElementById("status-text").textContent = "closed";
  },
});

function noteSince(index) {
  network.note(model.past.slice(index));
}

const network = new NetworkPage(model, connection);
const chat = new ChatPage(model, connection);
chat.onRead = () => showUnread();
const PAGES = {
  metaserver: [["network", "Network", network], ["members", "Members", new MembersPage(model)],
    ["servers", "Servers", new ServersPage(model)], ["chat", "Chat", new RoomsPage(model, connection)],
    ["statistics", "Statistics", new StatisticsPage(model, connection)],
    ["log", "Log", new LogPage(model, connection)]],
  peer: [["network", "Network", network], ["files", "Files", new FilesPage(model, connection)],
    ["transfers", "Transfers", new TransfersPage(model, connection)], ["chat", "Chat", chat],
    ["members", "Members", new MembersPage(model)], ["statistics", "Statistics", new TrafficPage(model, connection)],
    ["log", "Log", new LogPage(model, connection)]],
};

let kind = null, current = null;

function pages() {
  return PAGES[kind] ?? [];
}

function showTabs() {
  document.getElementById("tabs").replaceChildren(...pages().map(([name, title, page]) =>
    el("a", {href: `#/${name}`, "aria-current": page === current ? "page" : null}, title,
      el("em", {hidden: true, "data-for": name}))));
  showUnread();
}

function showUnread() {
  for (const [name, , page] of pages()) {
    const {count, names} = page.unread?.() ?? {count: 0};
    const badge = document.querySelector(`#tabs em[data-for=${name}]`);
    if (!badge) continue;
    badge.hidden = count === 0;
    badge.className = names > 0 ? "naming" : "";
    badge.textContent = count === 0 ? "" : (names > 0 ? "@" : "") + (count > 99 ? "99+" : count);
    badge.setAttribute("aria-label", `${count} unread`);
  }
}

function show() {
  const wanted = location.hash.replace(/^#\//, "");
  const found = pages().find(([name]) => name === wanted) ?? pages()[0];
  if (!found || current === found[2]) return;
  current?.unmount();
  current = found[2];
  main.hidden = false;
  main.dataset.page = found[0];
  current.mount(main);
  document.title = `${found[1]} – ${shown(model.self.name ?? "")} – Espalier`;
  showTabs();
}

model.listen((groups) => {
  const self = model.self;
  document.getElementById("self").textContent = self.name ? `${shown(self.name)} · ${self.at}` : "";
  if (self.kind && self.kind !== kind) {
    kind = self.kind;
    show();
  } else {
    current?.changed(groups);
  }
  if (groups.has("rooms") || groups.has("people")) showUnread();
});

addEventListener("hashchange", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => current?.changed(new Set(["peers"])));
connection.enter().catch((error) => connection.handlers.closed(error.message));
