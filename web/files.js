// Pages of a peer: what it shares, searches, and what is under way.
import {el, shown, bytes, counted, duration} from "./dom.js";
import {quoted} from "./network.js";

export class FilesPage {
  constructor(model, connection) {
    this.model = model;
    this.connection = connection;
    this.hits = null;
    this.pattern = "";
  }

  mount(main) {
    this.input = el("input", {type: "search", id: "pattern", autocomplete: "off", placeholder: "part of a name, or *.pdf",
      value: this.pattern, "aria-label": "Search all peers for files"});
    this.coverage = el("div", {class: "coverage", role: "status"});
    this.results = el("div", {class: "results"});
    this.own = el("div", {class: "results"});
    this.lead = el("p", {class: "quiet"});
    main.replaceChildren(el("section", {class: "sheet"}, el("h1", {}, "Files"),
      el("form", {class: "search", onsubmit: (event) => this.search(event)}, this.input,
        el("button", {class: "main", type: "submit"}, "Search")),
      this.coverage, this.results, el("h2", {}, "Shared by this peer"), this.lead, this.own));
    this.showHits();
    this.changed(null);
    this.list();
  }

  unmount() {}

  changed(groups) {
    if (groups && !groups.has("self")) return;
    const self = this.model.self;
    this.lead.textContent = `${counted(self.files ?? 0, "file")}, ${bytes(self.bytes ?? 0)}, from ${shown(self.share ?? "")}` +
      (self.toIndex ? `; ${self.toIndex} to index` : "");
    if (groups && this.files !== self.files) this.list();
  }

  async list() {
    this.files = this.model.self.files;
    const data = await this.connection.run("list");
    if (!this.own.isConnected) return;
    this.own.replaceChildren(fileTable((data.files ?? []).map((file) => ({...file, holders: null})), null,
      "Nothing is shared yet. What lies in that folder is."));
  }

  async search(event) {
    event.preventDefault();
    this.pattern = this.input.value.trim();
    if (!this.pattern) return;
    this.abort?.abort();
    const abort = this.abort = new AbortController();
    this.hits = null;
    this.results.replaceChildren();
    this.cover(0, this.model.group("peers").size, "searching");
    try {
      const outcome = await this.connection.stream(`find ${quoted(this.pattern)}`, ({progress}) => {
        if (progress) this.cover(progress.done, this.model.group("peers").size, progress.name.replace(/, peers searched$/, ""));
      }, abort.signal);
      if (abort !== this.abort) return;
      this.hits = outcome;
      this.showHits();
    } catch (error) {
      if (error.name !== "AbortError") this.coverage.replaceChildren(el("p", {class: "error"}, error.message));
    }
  }

  cover(searched, peers, text) {
    this.coverage.replaceChildren(el("progress", {max: Math.max(peers, 1), value: searched, "aria-label": "peers searched"}),
      el("span", {}, `${shown(text)} · ${searched} of ${counted(peers, "peer")} searched`));
  }

  showHits() {
    if (!this.hits) return;
    const {hits = [], searched = 0, peers = 0, missing = [], error} = this.hits;
    this.cover(searched, peers, error && !hits.length ? error.message : counted(hits.length, "file"));
    if (missing.length) this.coverage.append(el("span", {class: "missing"}, `no answer from ${shown(missing.join(", "))}`));
    this.results.replaceChildren(fileTable(hits, (file, button) => this.get(file, button), ""));
  }

  async get(file, button) {
    button.disabled = true;
    button.textContent = "0 %";
    try {
      const outcome = await this.connection.stream(`get ${file.root}`, ({progress}) => {
        if (progress?.total) button.textContent = `${Math.floor(100 * progress.done / progress.total)} %`;
      });
      const got = outcome.files?.[0];
      button.textContent = outcome.error ? "failed" : "here";
      button.title = outcome.error ? shown(outcome.errors?.[0]?.message ?? outcome.error.message) : shown(got?.path ?? "");
      if (outcome.error) button.disabled = false;
    } catch (error) {
      button.textContent = "failed";
      button.title = error.message;
      button.disabled = false;
    }
  }
}

function fileTable(files, get, empty) {
  if (!files.length) return el("p", {class: "quiet"}, empty);
  return el("table", {class: "files"}, el("thead", {}, el("tr", {}, el("th", {scope: "col"}, "Name"),
    el("th", {scope: "col", class: "number"}, "Size"), get ? el("th", {scope: "col"}, "At") : null, get ? el("th", {}, el("span", {class: "sr"}, "Get")) : null)),
  el("tbody", {}, ...files.slice(0, 500).map((file) => el("tr", {}, el("td", {class: "file", text: file.name}),
    el("td", {class: "number"}, bytes(file.size)), get ? el("td", {text: (file.holders ?? []).join(" ")}) : null,
    get ? el("td", {}, el("button", {type: "button", class: "plain",
      onclick: (event) => get(file, event.target)}, "Get")) : null))));
}

export class TransfersPage {
  constructor(model, connection) {
    this.model = model;
    this.connection = connection;
  }

  mount(main) {
    this.list = el("div", {class: "transfers"});
    this.pushes = el("div", {class: "pushes"});
    main.replaceChildren(el("section", {class: "sheet"}, el("h1", {}, "Transfers"), this.list, el("h2", {}, "Pushes"), this.pushes));
    this.changed(null);
  }

  unmount() {}

  changed(groups) {
    if (!groups || groups.has("transfers")) this.showTransfers();
    if (!groups || groups.has("pushes")) this.showPushes();
  }

  showTransfers() {
    const all = [...this.model.group("transfers").values()];
    const act = (what, transfer) => el("button", {type: "button", class: "plain",
      onclick: () => this.connection.run(`${what} ${transfer.number}`)}, what);
    this.list.replaceChildren(...(all.length ? all.map((transfer) => {
      const left = transfer.rate > 0 ? duration((transfer.size - transfer.done) / transfer.rate) + " left" : transfer.state;
      const from = transfer.incoming ? `from ${(transfer.sources ?? []).join(", ")}` : `to ${transfer.to}`;
      return el("article", {class: "transfer"},
        el("div", {class: "transfer-head"}, el("b", {text: transfer.name}), el("span", {class: "quiet", text: from})),
        el("progress", {max: Math.max(transfer.size, 1), value: transfer.done}),
        el("div", {class: "transfer-foot"}, el("span", {}, `${bytes(transfer.done)} of ${bytes(transfer.size)} · ${bytes(Math.round(transfer.rate))}/s · ${left}`),
          transfer.number ? el("span", {class: "acts"}, act(transfer.state === "paused" ? "resume" : "pause", transfer), act("cancel", transfer)) : null));
    }) : [el("p", {class: "quiet"}, "Nothing is under way. Files has what can be fetched.")]));
  }

  showPushes() {
    const all = [...this.model.group("pushes").values()];
    this.pushes.replaceChildren(...(all.length ? all.map((push) => el("article", {class: "transfer"},
      el("div", {class: "transfer-head"}, el("b", {text: (push.files ?? []).map((file) => file.name).join(", ")}),
        el("span", {class: "quiet", text: `from ${push.sender}, ${bytes(push.size ?? 0)}`})),
      el("progress", {max: Math.max(push.peers, 1), value: push.verified}),
      el("ul", {class: "ledger", "aria-label": "Ledger"}, ...(push.ledger ?? []).map((entry) =>
        el("li", {class: entry.state, title: shown(entry.reason ?? entry.state)}, el("span", {text: entry.peer}),
          el("small", {}, entry.state)))))) : [el("p", {class: "quiet"}, "No pushes. At the prompt: push FILE")]));
  }
}
