// Chat: private messages. Rooms stand above them in the same list.
import {el, shown, compare} from "./dom.js";
import {quoted} from "./network.js";

export class ChatPage {
  constructor(model, connection) {
    this.model = model;
    this.connection = connection;
    this.open = null;
    this.seen = new Map();
  }

  mount(main) {
    this.list = el("ul", {class: "people"});
    this.lines = el("ol", {class: "talk", tabindex: 0, "aria-label": "Messages", "aria-live": "polite"});
    this.text = el("input", {type: "text", autocomplete: "off", placeholder: "Write a private message", "aria-label": "Message", disabled: true});
    this.note = el("p", {class: "quiet", role: "status"});
    this.to = el("select", {"aria-label": "Write to", onchange: () => this.to.value && this.choose(this.to.value)});
    main.replaceChildren(el("section", {class: "sheet chat"}, el("h1", {}, "Chat"),
      el("div", {class: "chat-box"}, el("div", {class: "chat-side"}, this.to, this.list),
        el("div", {class: "chat-main"}, this.lines, this.note,
          el("form", {class: "prompt", onsubmit: (event) => this.send(event)}, this.text,
            el("button", {class: "main", type: "submit"}, "Send"))))));
    this.changed(null);
    if (this.open) this.choose(this.open);
    else this.lines.replaceChildren(el("li", {class: "empty"}, "Choose somebody. Messages go straight to that peer, past every server."));
  }

  unmount() {}

  changed(groups) {
    if (groups && !groups.has("people") && !groups.has("peers")) return;
    const people = this.model.group("people");
    const names = [...people.keys()].sort(compare);
    if (this.open && !people.has(this.open)) names.unshift(this.open);
    this.list.replaceChildren(...names.map((name) => {
      const news = (people.get(name)?.received ?? 0) - (this.seen.get(name) ?? people.get(name)?.received ?? 0);
      if (!this.seen.has(name)) this.seen.set(name, people.get(name)?.received ?? 0);
      return el("li", {}, el("button", {type: "button", "aria-current": name === this.open ? "true" : null,
        onclick: () => this.choose(name)}, el("span", {text: name}), news > 0 ? el("em", {}, String(news)) : null));
    }));
    const others = [...this.model.group("peers").keys()].filter((id) => id !== this.model.self.name).sort(compare);
    this.to.replaceChildren(el("option", {value: ""}, "Write to…"), ...others.map((id) => el("option", {value: id}, shown(id))));
    const received = people.get(this.open)?.received;
    if (this.open && received !== this.seen.get(this.open)) this.load();
  }

  choose(id) {
    this.open = id;
    this.text.disabled = false;
    this.load();
    this.text.focus();
  }

  async load() {
    const id = this.open;
    this.seen.set(id, this.model.group("people").get(id)?.received ?? 0);
    const data = await this.connection.run(`msg -n 50 ${quoted(id)}`);
    if (id !== this.open || !this.lines.isConnected) return;
    const messages = data.messages ?? [];
    this.lines.replaceChildren(...(messages.length ? messages.map((message) =>
      el("li", {class: message.sent ? "sent" : "received"}, el("p", {text: message.text}),
        el("small", {}, `${new Date(message.at).toLocaleString("en-GB", {timeStyle: "short", dateStyle: "medium"})}` +
          (message.state === "received" ? "" : ` · ${message.state}`))))
      : [el("li", {class: "empty"}, `No messages with ${shown(id)} yet.`)]));
    this.lines.scrollTop = this.lines.scrollHeight;
    this.changed(null);
  }

  async send(event) {
    event.preventDefault();
    const text = this.text.value;
    if (!text.trim() || !this.open) return;
    this.text.value = "";
    this.note.textContent = "sending";
    try {
      // The text of `msg` is taken as it is typed.
      const data = await this.connection.run(`msg ${quoted(this.open)} ${text}`);
      this.note.textContent = data.error ? shown(data.error.message) : data.delivered ? "" : shown(data.why ?? "it waits in the outbox");
    } catch (error) {
      this.note.textContent = error.message;
    }
    this.load();
  }
}
