// The way to the program: the secret of the link for a token, commands, the state and what changes.
//
//   closed --secret or token--> open --stream--> live --hidden--> paused --shown--> live
//                                ^                 |
//                                +---it ends, reset+
//
// The token is kept for this tab only, and sent as a header. A page that is hidden has no stream.

const KEY = "espalier-token";
const SECRET = /^#[0-9a-f]{64}$/;

export class Closed extends Error {}

export class Connection {
  // `handlers`: state(object), changes(array of {kind, in, key, value}), status(text), closed(why).
  constructor(handlers) {
    this.handlers = handlers;
    this.abort = null;
    this.runs = false;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.abort?.abort();
      else this.follow();
    });
  }

  async enter() {
    if (SECRET.test(location.hash)) {
      const secret = location.hash.slice(1);
      // The secret must not stay in the history, or in a link that somebody copies.
      history.replaceState(null, "", location.pathname);
      const answer = await this.post("/api/token", {secret});
      if (answer.ok) sessionStorage.setItem(KEY, (await answer.json()).token);
      else if (!sessionStorage.getItem(KEY)) return this.handlers.closed(await answer.text());
    }
    if (!sessionStorage.getItem(KEY)) return this.handlers.closed("");
    return this.follow();
  }

  headers(more = {}) {
    return {"X-Espalier-Token": sessionStorage.getItem(KEY) ?? "", ...more};
  }

  post(path, body, signal) {
    return fetch(path, {
      method: "POST", body: JSON.stringify(body), signal, cache: "no-store", credentials: "omit",
      headers: this.headers({"Content-Type": "application/json"}),
    });
  }

  async get(path, more, signal) {
    const answer = await fetch(path, {headers: this.headers(more), signal, cache: "no-store", credentials: "omit"});
    if (answer.status === 401) throw new Closed(await answer.text());
    if (!answer.ok) throw new Error((await answer.text()).trim());
    return answer;
  }

  // What --json prints of it.
  async run(line) {
    const answer = await this.post("/api/command", {line});
    if (answer.status === 401) {
      this.handlers.closed(await answer.text());
      throw new Closed("closed");
    }
    if (!answer.ok) throw new Error((await answer.text()).trim());
    return answer.json();
  }

  // The same; null: it is longer than a page should read for a tip.
  async runShort(line, most = 512 * 1024) {
    const abort = new AbortController();
    const answer = await this.post("/api/command", {line}, abort.signal);
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (true) {
      const {done, value} = await reader.read();
      if (done) return JSON.parse(text);
      text += value;
      if (text.length <= most) continue;
      abort.abort();
      return null;
    }
  }

  // The same; `onMessage` gets {progress}, {event} and {say} meanwhile.
  async stream(line, onMessage, signal) {
    const answer = await this.post("/api/command", {line, stream: true}, signal);
    if (!answer.ok) throw new Error((await answer.text()).trim());
    let outcome = {};
    await eachPart(answer.body, "\n", (text) => {
      if (!text) return;
      const message = JSON.parse(text);
      if (message.outcome) outcome = message.outcome;
      else onMessage(message);
    });
    return outcome;
  }

  async follow() {
    if (this.runs) return;
    this.runs = true;
    let wait = 250;
    while (!document.hidden) {
      this.abort = new AbortController();
      try {
        const {id, state} = await (await this.get("/api/state", {}, this.abort.signal)).json();
        this.handlers.state(state);
        this.handlers.status("live");
        wait = 250;
        await this.read(id, this.abort.signal);
      } catch (error) {
        if (error instanceof Closed) {
          sessionStorage.removeItem(KEY);
          this.handlers.closed(error.message);
          break;
        }
        if (document.hidden) break;
        this.handlers.status("lost");
      }
      await new Promise((done) => setTimeout(done, wait));
      wait = Math.min(wait * 2, 5000);
    }
    if (document.hidden) this.handlers.status("paused");
    this.runs = false;
    if (!document.hidden && sessionStorage.getItem(KEY)) this.follow();
  }

  // Until it ends, or is told to begin anew.
  async read(id, signal) {
    const answer = await this.get("/api/events", {"Last-Event-ID": id, Accept: "text/event-stream"}, signal);
    let batch = [];
    const flush = () => {
      if (batch.length) this.handlers.changes(batch);
      batch = [];
    };
    await eachPart(answer.body, "\n\n", (block) => {
      const event = Object.fromEntries(block.split("\n").map((line) => {
        const colon = line.indexOf(": ");
        return [line.slice(0, colon), line.slice(colon + 2)];
      }));
      if (event.event === "reset") return true;
      if (event.data) batch.push({kind: event.event, ...JSON.parse(event.data)});
      return false;
    }, flush);
  }
}

// The texts between `end`s; `take` may end it by true. `rest` is called when all that came is read.
async function eachPart(body, end, take, rest = () => {}) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (true) {
    const {done, value} = await reader.read();
    if (done) break;
    text += value;
    for (let at = text.indexOf(end); at >= 0; at = text.indexOf(end)) {
      const part = text.slice(0, at);
      text = text.slice(at + end.length);
      if (take(part)) {
        rest();
        return reader.cancel();
      }
    }
    rest();
  }
}
