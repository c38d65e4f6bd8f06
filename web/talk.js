// What was said in a room, as it is shown: the history, then what came since, then what waits to be
// acknowledged. Bounded; each message once, by its number.
import {el, shown} from "./dom.js";

const MOST = 400;          // messages that are kept
const TOGETHER = 5 * 60e3; // messages of one author within that time stand together
const HOMES = 8;           // colours of page.css

export const gateText = (members, opensAt) =>
  `${members} of ${opensAt} ${members === 1 ? "is" : "are"} here: the chat opens at ${opensAt}`;

export class Talk {
  // `again(text)` says a text that was refused once more; null: nobody says anything here.
  constructor(model, again) {
    this.model = model;
    this.again = again;
    this.items = [];    // {key, at, from, text, …}, in the order in which they are shown
    this.waiting = [];  // {text, why, isKept}
    this.said = el("ol", {class: "said"});
    this.pending = el("ol", {class: "pending"});
    this.empty = el("p", {class: "empty"}, "Nothing was said here yet.");
    this.box = null;
  }

  show(box) {
    this.box = box;
    box.replaceChildren(this.said, this.pending, this.empty);
    this.draw(true);
  }

  isShown() {
    return this.box !== null && this.said.parentElement === this.box;
  }

  load({messages = [], missing = [], open}) {
    this.isClosed = open === false;
    const known = new Set(messages.map(keyOf));
    const newest = messages.length ? Date.parse(messages.at(-1).at) : 0;
    const since = this.items.filter((item) => !known.has(item.key) && (item.kind ? item.at > newest : item.isLive && item.at >= newest));
    const gaps = missing.map(({from, to}) => ({before: to, item: {key: `gap${from}`, kind: "gap", at: 0,
      text: from === to ? `message ${from} is not kept any more` : `messages ${from} to ${to} are not kept any more`}}));
    const items = [];
    for (const message of messages) {
      while (gaps.length && gaps[0].before < message.number) items.push(gaps.shift().item);
      items.push(itemOf(message, this.model.self.name));
    }
    this.items = [...items, ...since].slice(-MOST);
    for (const item of this.items) this.arrived(item);
    this.said.replaceChildren();
    this.draw(true);
  }

  happened(event) {
    const at = Date.now();
    const note = (text, kind = "note") => this.items.push({key: `note${at}${this.items.length}`, kind, at, text});
    if (event.event === "message" || event.event === "opened") {
      const item = {...itemOf({...event, opened: event.event === "opened"}, this.model.self.name), isLive: true};
      if (event.event === "opened") this.isClosed = false;
      if (this.items.some((one) => one.key === item.key)) return;
      this.items.push(item);
      this.arrived(item);
    } else if (event.event === "joined" || event.event === "left") {
      note(`${shown(event.id)} ${event.event === "joined" ? "came" : "left"}`);
    } else if (event.event === "missing") {
      note(event.from === event.to ? `message ${event.from} is missing` : `messages ${event.from} to ${event.to} are missing`, "gap");
    } else if (event.event === "refused") {
      note(`You are not in this room: ${shown(event.why)}`, "gap");
    } else {
      return;  // `waits`: the gate says it
    }
    if (this.items.length > MOST) {
      this.items.splice(0, this.items.length - MOST);
      this.said.replaceChildren();
    }
    this.draw(false);
  }

  // --- what this peer says

  waits(text) {
    const waiting = {text, why: "", isKept: false};
    this.waiting.push(waiting);
    this.draw(true);
    return waiting;
  }

  answered(waiting, told) {
    if (told.error || !told.number) {
      waiting.why = told.error?.message ?? "it was not said";
    } else {
      waiting.key = keyOf(told);
      waiting.isKept = true;
      if (this.items.some((item) => item.key === waiting.key)) this.drop(waiting);
    }
    this.draw(true);
  }

  arrived(item) {
    const waiting = this.waiting.find((one) => one.key === item.key);
    if (waiting) this.drop(waiting);
  }

  drop(waiting) {
    this.waiting = this.waiting.filter((one) => one !== waiting);
  }

  // --- the picture

  draw(toEnd) {
    if (!this.isShown()) return;
    const box = this.box;
    const isAtEnd = toEnd || box.scrollHeight - box.scrollTop - box.clientHeight < 60;
    const have = this.said.childElementCount;
    for (let i = have; i < this.items.length; ++i) this.said.append(this.row(this.items[i], this.items[i - 1]));
    this.pending.replaceChildren(...this.waiting.map((waiting) => el("li", {class: waiting.why ? "own first refused" : "own first waits"},
      el("p", {dir: "auto", text: waiting.text}),
      waiting.why ? el("small", {role: "alert"}, el("span", {class: "error"}, `not said: ${shown(waiting.why)} `),
        el("button", {type: "button", class: "link-like", onclick: () => {
          this.drop(waiting);
          this.again(waiting.text);
        }}, "Say it again"),
        el("button", {type: "button", class: "link-like", onclick: () => {
          this.drop(waiting);
          this.draw(false);
        }}, "Drop it"))
        : el("small", {}, waiting.isKept ? (this.isClosed ? "kept: it appears when the chat opens" : "said") : "sending"))));
    this.empty.hidden = this.items.length + this.waiting.length > 0;
    const kept = this.again ? " What you say is kept until then." : "";
    this.empty.textContent = this.isClosed ? `Nothing is shown before the chat opens.${kept}` : "Nothing was said here yet.";
    if (isAtEnd) box.scrollTop = box.scrollHeight;
  }

  row(item, before) {
    if (item.kind) return el("li", {class: item.kind}, el("span", {}, item.text), item.at ? el("time", {}, clockOf(item.at)) : null);
    const isNewDay = !before || !before.at || new Date(before.at).toDateString() !== new Date(item.at).toDateString();
    const isFirst = isNewDay || before.kind || before.from !== item.from || item.at - before.at > TOGETHER;
    return el("li", {class: `${item.isOwn ? "own" : "other"}${isFirst ? " first" : ""}${item.isNaming ? " naming" : ""}`,
      "data-day": isNewDay ? dayOf(item.at) : null},
    isFirst && !item.isOwn ? el("span", {class: `face home-${hash(item.from) % HOMES}`, "aria-hidden": "true"}, faceOf(item.from)) : null,
    isFirst && !item.isOwn ? el("b", {}, el("bdi", {text: item.from})) : null,
    el("p", {dir: "auto", text: item.text}),
    el("small", {}, el("time", {datetime: new Date(item.at).toISOString()}, clockOf(item.at)), item.isApart ? " · while apart" : ""));
  }
}

const keyOf = ({epoch, number}) => `${epoch}.${number}`;

function itemOf(message, self) {
  const at = Date.parse(message.at) || 0;
  if (message.opened) return {key: keyOf(message), kind: "opened", at, text: "The chat is open"};
  return {key: keyOf(message), at, from: message.from, text: message.text, isApart: message.apart,
    isOwn: message.own ?? message.from === self, isNaming: message.naming ?? namesIt(message, self)};
}

// As the program marks it: the name as a word of somebody else's text.
function namesIt({from, text}, self) {
  if (from === self || !self) return false;
  const at = text.toLowerCase().indexOf(self.toLowerCase());
  const isLetter = (letter) => letter !== undefined && /[\p{L}\p{N}_]/u.test(letter);
  return at >= 0 && !isLetter(text[at - 1]) && !isLetter(text[at + self.length]);
}

const clockOf = (at) => new Date(at).toLocaleTimeString("en-GB", {timeStyle: "short"});
const dayOf = (at) => new Date(at).toLocaleDateString("en-GB", {weekday: "long", day: "numeric", month: "long"});

const faceOf = (id) => shown([...id].find((letter) => /[\p{L}\p{N}]/u.test(letter)) ?? "·").toUpperCase();

function hash(text) {
  let value = 7;
  for (const letter of text) value = (value * 31 + letter.codePointAt(0)) >>> 0;
  return value;
}
