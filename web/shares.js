// What peers share, for the tip over one: asked of that peer, on the page of a peer only. One at a
// time, after the pointer has rested, once a minute a peer, no further than a list of some size.
import {shown, bytes, counted} from "./dom.js";
import {quoted} from "./network.js";

const REST = 400;
const FRESH = 60e3;
const KNOWN = 200;  // peers

export class Shares {
  constructor(model, connection, changed) {
    this.model = model;
    this.connection = connection;
    this.changed = changed;
    this.known = new Map();  // id -> {at, text}
    this.wanted = null;
  }

  text(id) {
    return this.known.get(id)?.text ?? "";
  }

  want(id) {
    clearTimeout(this.timer);
    this.wanted = id;
    if (id === null || this.model.self.kind !== "peer") return;
    if (Date.now() - (this.known.get(id)?.at ?? 0) < FRESH) return;
    this.timer = setTimeout(() => this.ask(id), REST);
  }

  async ask(id) {
    if (this.isAsking) return;  // who rests on the next one moves again
    this.isAsking = true;
    let text;
    try {
      text = textOf(await this.connection.runShort(`list ${quoted(id)}`));
    } catch (error) {
      text = shown(error.message);
    }
    this.isAsking = false;
    this.known.delete(id);
    this.known.set(id, {at: Date.now(), text});
    if (this.known.size > KNOWN) this.known.delete(this.known.keys().next().value);
    if (this.wanted === id) this.changed();
    else this.want(this.wanted);
  }
}

function textOf(told) {
  if (told === null) return "shares very many files";
  if (told.error) return shown(told.error.message);
  const files = told.files ?? [];
  const size = files.reduce((sum, file) => sum + file.size, 0);
  const some = files.slice(0, 3).map((file) => shown(file.name)).join(", ");
  if (!files.length) return "shares nothing";
  return `shares ${counted(files.length + (told.more ?? 0), "file")}, ${bytes(size)}${told.more ? " and more" : ""}: ${some}${files.length > 3 ? ", …" : ""}`;
}
