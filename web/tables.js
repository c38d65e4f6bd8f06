// Pages that are tables: members, metaservers; the log.
import {el, shown, compare, counted, duration} from "./dom.js";
import {treeOf} from "./model.js";

const ROW = 36;    // pixels of a row
const SPARE = 10;  // rows that are drawn beyond the edge

// A table of any number of rows, of which only those in sight are elements. Columns: {name, title,
// value(row), text(row), isNumber}.
class Table {
  constructor(columns, {caption, empty}) {
    this.columns = columns;
    this.empty = empty;
    this.rows = [];
    this.filter = "";
    this.by = columns[0];
    this.isDown = false;
    this.heads = columns.map((column) => el("th", {scope: "col", class: column.isNumber ? "number" : null},
      el("button", {type: "button", onclick: () => this.sort(column)}, column.title)));
    this.body = el("tbody");
    this.box = el("div", {class: "rows", tabindex: 0, role: "region", "aria-label": caption, onscroll: () => this.draw()},
      el("table", {}, el("caption", {class: "sr"}, caption), el("thead", {}, el("tr", {}, ...this.heads)), this.body));
    this.note = el("p", {class: "quiet count", role: "status"});
    this.search = el("input", {type: "search", placeholder: "Filter", "aria-label": `Filter ${caption}`,
      oninput: () => { this.filter = this.search.value.trim().toLowerCase(); this.arrange(); }});
    this.element = el("div", {class: "tabled"}, el("div", {class: "tools"}, this.search, this.note), this.box);
  }

  sort(column) {
    this.isDown = this.by === column && !this.isDown;
    this.by = column;
    this.arrange();
  }

  show(rows) {
    this.rows = rows;
    this.arrange();
  }

  arrange() {
    const text = (row) => this.columns.map((column) => String(column.text ? column.text(row) : column.value(row))).join(" ").toLowerCase();
    this.seen = this.filter ? this.rows.filter((row) => text(row).includes(this.filter)) : [...this.rows];
    const {value, isNumber} = this.by;
    this.seen.sort((one, other) => (isNumber ? value(one) - value(other) : compare(value(one), value(other))));
    if (this.isDown) this.seen.reverse();
    this.columns.forEach((column, i) => this.heads[i].setAttribute("aria-sort",
      column !== this.by ? "none" : this.isDown ? "descending" : "ascending"));
    this.note.textContent = this.filter ? `${this.seen.length.toLocaleString("en")} of ${this.rows.length.toLocaleString("en")}` :
      counted(this.rows.length, "row");
    this.draw();
  }

  draw() {
    if (!this.seen?.length) {
      this.body.replaceChildren(el("tr", {class: "none"}, el("td", {colspan: this.columns.length},
        this.filter ? "Nothing matches the filter." : this.empty)));
      return;
    }
    const height = this.box.clientHeight || 600;
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - SPARE);
    const last = Math.min(this.seen.length, first + Math.ceil(height / ROW) + 2 * SPARE);
    const gap = (rows) => (rows > 0 ? [el("tr", {class: "gap", "aria-hidden": "true"}, (() => {
      const cell = el("td", {colspan: this.columns.length});
      cell.style.height = `${rows * ROW}px`;
      return cell;
    })())] : []);
    this.body.replaceChildren(...gap(first), ...this.seen.slice(first, last).map((row) => el("tr", {},
      ...this.columns.map((column) => el("td", {class: column.isNumber ? "number" : null},
        ...[column.show ? column.show(row) : shown(column.text ? column.text(row) : column.value(row))])))),
      ...gap(this.seen.length - last));
  }
}

class TablePage {
  mount(main) {
    this.table ??= this.make();
    main.replaceChildren(el("section", {class: "sheet"}, el("h1", {}, this.title), this.lead?.() ?? null, this.table.element));
    this.changed(null);
  }

  unmount() {}
}

export class MembersPage extends TablePage {
  constructor(model) {
    super();
    this.model = model;
    this.title = "Members";
  }

  make() {
    const hasHomes = this.model.self.kind === "metaserver";
    return new Table([
      {name: "order", title: "Joined as", isNumber: true, value: (node) => node.peer.order,
        text: (node) => (node.peer.order < 2 ** 32 ? node.peer.order.toLocaleString("en") : String(node.peer.order))},
      {name: "id", title: "Id", value: (node) => node.id},
      {name: "state", title: "State", value: (node) => node.state,
        show: (node) => el("span", {class: `badge ${node.state}`}, node.state)},
      {name: "at", title: "Listens at", value: (node) => node.peer.at},
      {name: "parent", title: "Parent", value: (node) => node.parent?.id ?? ""},
      {name: "depth", title: "Depth", isNumber: true, value: (node) => node.depth},
      {name: "links", title: "Links", isNumber: true, value: (node) => node.links},
      ...(hasHomes ? [{name: "home", title: "Home", value: (node) => node.peer.home ?? ""}] : []),
    ], {caption: "members", empty: "Nobody has joined yet: peer --id s1"});
  }

  changed(groups) {
    if (!groups || groups.has("peers")) this.table.show(treeOf(this.model.group("peers")).all);
  }
}

export class ServersPage extends TablePage {
  constructor(model) {
    super();
    this.model = model;
    this.title = "Metaservers";
  }

  make() {
    const state = (row) => (row.dead ? "dead" : row.drains ? "drains" : row.master ? "master" : "follows");
    return new Table([
      {name: "name", title: "Name", value: (row) => row.name},
      {name: "state", title: "State", value: state, show: (row) => el("span", {class: `badge ${state(row)}`},
        state(row) + (row.self ? ", this one" : ""))},
      {name: "at", title: "Address", value: (row) => row.at},
      {name: "peers", title: "Peers", isNumber: true, value: (row) => row.peers, text: (row) => row.peers.toLocaleString("en")},
      {name: "behind", title: "Behind", isNumber: true, value: (row) => row.behind},
      {name: "started", title: "Running for", isNumber: true, value: (row) => -row.started,
        text: (row) => (row.dead ? "–" : duration(Date.now() / 1000 - row.started))},
      {name: "version", title: "Version", value: (row) => row.version},
    ], {caption: "metaservers", empty: "This one is alone: metaserver --cluster HOST:PORT starts another one"});
  }

  changed(groups) {
    if (groups && !groups.has("servers")) return;
    this.table.show([...this.model.group("servers")].map(([name, server]) => ({name, ...server})));
  }
}

export class LogPage {
  constructor(model, connection) {
    this.model = model;
    this.connection = connection;
    this.answers = [];
  }

  mount(main) {
    this.lines = el("ol", {class: "log", tabindex: 0, "aria-label": "The last 1,000 lines of the log"});
    this.line = el("input", {type: "text", name: "line", autocomplete: "off", spellcheck: "false", autocapitalize: "off",
      placeholder: "help", "aria-label": "A command, as at the prompt"});
    this.answer = el("pre", {class: "answer", "aria-live": "polite", hidden: true});
    main.replaceChildren(el("section", {class: "sheet"}, el("h1", {}, "Log"), this.lines,
      el("form", {class: "prompt", onsubmit: (event) => this.run(event)}, el("span", {"aria-hidden": "true"}, ">"), this.line,
        el("button", {class: "main", type: "submit"}, "Run")), this.answer));
    this.changed(null);
    this.lines.scrollTop = this.lines.scrollHeight;
  }

  unmount() {}

  async run(event) {
    event.preventDefault();
    const line = this.line.value.trim();
    if (!line) return;
    this.answer.hidden = false;
    this.answer.textContent = "…";
    try {
      this.answer.textContent = shown(JSON.stringify(await this.connection.run(line), null, 2)).replaceAll("\\u{a}", "\n");
    } catch (error) {
      this.answer.textContent = error.message;
    }
  }

  changed(groups) {
    if (groups && !groups.has("log")) return;
    const isAtEnd = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < 40;
    const all = [...this.model.group("log")].sort(([one], [other]) => one - other);
    const newest = Number(this.lines.lastElementChild?.dataset.number ?? 0);
    for (const [number, text] of all) {
      if (number <= newest) continue;
      const parts = /^(\d\d:\d\d:\d\d) (?:(debug|warning|error) )?(.*)$/s.exec(text) ?? [null, "", "", text];
      this.lines.append(el("li", {class: parts[2] || null, "data-number": number}, el("time", {}, parts[1]),
        el("span", {text: (parts[2] ? `${parts[2]}: ` : "") + parts[3]})));
    }
    while (this.lines.childElementCount > 1000) this.lines.firstElementChild.remove();
    if (isAtEnd) this.lines.scrollTop = this.lines.scrollHeight;
  }
}
