// Chat: rooms and private messages in one list. Rooms come live with the picture (`rooms`, `said`);
// what was said before is asked for when a room is opened.
import {el, shown, counted, compare} from "./dom.js";
import {quoted} from "./network.js";
import {gateText, Talk} from "./talk.js";

export const HISTORY = 200;  // messages that are asked for
export const LISTED = 200;   // rooms, members
const READ_AFTER = 3000;

export class ChatPage {
  constructor(model, connection) {
    this.model = model;
    this.connection = connection;
    this.open = null;        // {kind: "room" or "person", name}
    this.seen = null;        // messages of a person that were there: with those of before this page
    this.talks = new Map();  // by room: what was said
    this.last = null;        // number of the last event of `said`
    this.others = [];        // rooms that this peer is not in
    this.onRead = () => {};
    model.listen((groups) => {
      if (groups.has("people")) this.seen ??= new Map([...model.group("people")].map(([name, {received}]) => [name, received]));
      if (groups.has("said")) this.takeSaid();
    });
  }

  mount(main) {
    this.rooms = el("ul", {class: "people room-list", "aria-label": "Rooms"});
    this.head = el("header", {class: "talk-head"});
    this.members = el("aside", {class: "members", hidden: true, "aria-label": "Members"});
    this.gate = el("div", {class: "gate", hidden: true, role: "status"});
    this.box = el("div", {class: "talk", tabindex: 0, role: "log", "aria-label": "Messages"});
    this.note = el("p", {class: "quiet", role: "status"});
    main.replaceChildren(el("section", {class: "sheet chat"}, el("h1", {class: "sr"}, "Chat"),
      el("div", {class: "chat-box"},
        el("nav", {class: "chat-side", "aria-label": "Conversations"}, el("h2", {}, "Rooms"), ...this.makeSide()),
        el("div", {class: "chat-main"}, this.head, this.gate,
          el("div", {class: "talk-box"}, this.box, this.members), this.note, this.makeFoot()))));
    this.changed(null);
    if (!this.open && this.model.group("rooms").has("lobby")) this.open = {kind: "room", name: "lobby"};
    if (this.open) this.choose(this.open.kind, this.open.name, false);
    else this.showEmpty();
    this.listOthers();
    this.timer = setInterval(() => document.hidden || this.listOthers(), 15000);
  }

  // Beside the conversation: rooms, people. RoomsPage (rooms.js) has less here and below it.
  makeSide() {
    this.elsewhere = el("ul", {class: "people elsewhere", "aria-label": "Rooms that you are not in"});
    this.people = el("ul", {class: "people private-list", "aria-label": "People"});
    this.to = el("select", {"aria-label": "Write to", onchange: () => this.to.value && this.choose("person", this.to.value)});
    this.newRoom = el("input", {type: "text", autocomplete: "off", placeholder: "Join or make a room", "aria-label": "Room",
      required: true});
    this.opensAt = el("input", {type: "number", min: 2, placeholder: "opens at", "aria-label": "Opens when so many are there",
      title: "A new room opens when so many members are there; empty: at once"});
    this.joinNote = el("p", {class: "quiet", role: "status"});
    this.toShown = null;
    this.elsewhereBox = el("details", {class: "more", hidden: true}, el("summary", {}), this.elsewhere);
    return [this.rooms,
      el("form", {class: "join", onsubmit: (event) => this.join(event)}, this.newRoom, this.opensAt,
        el("button", {class: "plain", type: "submit"}, "Join")), this.joinNote,
      this.elsewhereBox, el("h2", {}, "People"), this.to, this.people];
  }

  makeFoot() {
    this.text = el("input", {type: "text", autocomplete: "off", "aria-label": "Message", disabled: true});
    return el("form", {class: "prompt", onsubmit: (event) => this.submit(event)}, this.text,
      el("button", {class: "main", type: "submit"}, "Send"));
  }

  unmount() {
    clearInterval(this.timer);
    this.tellRead();
  }

  isOpen(kind, name) {
    return this.open !== null && this.open.kind === kind && this.open.name === name;
  }

  // For the tab: messages that were not read.
  unread() {
    let count = 0, names = 0;
    for (const [room, {unread, naming}] of this.model.group("rooms")) {
      if (this.rooms?.isConnected && this.isOpen("room", room)) continue;
      count += unread;
      names += naming;
    }
    for (const [name, {received}] of this.model.group("people")) count += this.news(name, received);
    return {count, names};
  }

  news(name, received) {
    return Math.max(0, received - (this.seen?.get(name) ?? 0));
  }

  changed(groups) {
    if (!this.rooms?.isConnected) return;
    if (!groups || groups.has("rooms") || groups.has("peers")) this.showRooms();
    if (!groups || groups.has("people") || groups.has("peers") || groups.has("rooms")) this.showPeople();
  }

  showEmpty() {
    this.head.replaceChildren();
    this.box.replaceChildren(el("p", {class: "empty"}, "Choose a room, or somebody to write to."));
  }

  // --- the list

  entry(kind, name, {count = 0, names = 0, small = ""}) {
    return el("li", {}, el("button", {type: "button", "aria-current": this.isOpen(kind, name) ? "true" : null,
      class: count > 0 ? "news-here" : null, onclick: () => this.choose(kind, name)},
    el("span", {class: kind === "room" ? "hash" : null, text: name}), small ? el("small", {}, small) : null,
    count > 0 ? el("em", {class: names > 0 ? "naming" : null, title: names > 0 ? `${counted(names, "message")} with your name` : null},
      (names > 0 ? "@ " : "") + String(count), el("span", {class: "sr"}, " unread")) : null));
  }

  showRooms() {
    const rooms = this.listed([...this.model.group("rooms")].sort(([one], [other]) =>
      (one === "lobby" ? -1 : other === "lobby" ? 1 : compare(one, other))));
    this.rooms.replaceChildren(...(rooms.length ? rooms.map(([name, room]) => {
      const isHere = this.isOpen("room", name) && !document.hidden;
      const waits = room.confirmed !== false && !room.open && room.opensAt;
      return this.entry("room", name, {count: isHere ? 0 : room.unread, names: isHere ? 0 : room.naming,
        small: room.confirmed === false ? "waits" : waits ? `${room.members}/${room.opensAt}` : String(this.countIn(name, room))});
    }) : [el("li", {class: "empty"}, "The metaserver has not answered yet.")]));
    if (this.open?.kind === "room") this.showHead();
  }

  listed(rooms) {
    return rooms;
  }

  // Everybody is in the lobby, so nobody is told who comes there.
  countIn(name, room) {
    return name === "lobby" ? Math.max(room.members, this.model.group("peers").size) : room.members;
  }

  showPeople() {
    const people = this.model.group("people");
    const names = [...people.keys()].sort(compare);
    if (this.open?.kind === "person" && !people.has(this.open.name)) names.unshift(this.open.name);
    this.people.replaceChildren(...names.map((name) =>
      this.entry("person", name, {count: this.news(name, people.get(name)?.received ?? 0)})));
    const others = [...this.model.group("peers").keys()].filter((id) => id !== this.model.self.name).sort(compare);
    if (others.join("\n") !== this.toShown) {
      this.toShown = others.join("\n");
      this.to.replaceChildren(el("option", {value: ""}, "Write to…"), ...others.map((id) => el("option", {value: id}, shown(id))));
    }
    if (this.open?.kind !== "person") return;
    if (this.news(this.open.name, people.get(this.open.name)?.received ?? 0) > 0) this.loadPerson();
  }

  async listOthers() {
    try {
      const {rooms = []} = await this.connection.run("rooms");
      this.others = rooms.filter((room) => !room.joined);
    } catch {
      return;  // the page says that there is no connection
    }
    if (!this.elsewhere.isConnected) return;
    this.elsewhereBox.hidden = !this.others.length;
    this.elsewhereBox.firstChild.textContent = counted(this.others.length, "other room");
    this.elsewhere.replaceChildren(...this.others.slice(0, LISTED).map((room) => el("li", {},
      el("button", {type: "button", title: "Join", onclick: () => this.joinRoom(room.room, "")}, el("span", {class: "hash", text: room.room}),
        el("small", {}, room.open || !room.opensAt ? counted(room.members, "member") : `opens at ${room.opensAt}`)))));
  }

  join(event) {
    event.preventDefault();
    this.joinRoom(this.newRoom.value.trim().replace(/^#/, ""), this.opensAt.value);
  }

  async joinRoom(name, opensAt) {
    this.joinNote.textContent = "joining";
    try {
      const told = await this.connection.run(`join ${quoted(`#${name}`)}${opensAt ? ` --opens-at ${quoted(opensAt)}` : ""}`);
      this.joinNote.textContent = told.error ? shown(told.error.message)
        : told.waiting ? "You are in it when the metaserver is back." : "";
      if (told.error) return;
      this.newRoom.value = this.opensAt.value = "";
      if (told.room) this.choose("room", told.room);
      this.listOthers();
    } catch (error) {
      this.joinNote.textContent = error.message;
    }
  }

  // --- what is open

  choose(kind, name, isAsked = true) {
    if (!this.isOpen(kind, name)) this.tellRead();
    this.open = {kind, name};
    this.members.hidden = true;
    this.note.textContent = "";
    this.prepareText(kind, name);
    this.gate.hidden = true;
    this.showHead();
    this.showRooms();
    this.showPeople();
    this.onRead();
    if (kind === "room") {
      this.talk(name).show(this.box);
      this.loadRoom(name);
    } else {
      this.box.replaceChildren();
      this.loadPerson();
    }
    if (!isAsked) return;
    if (matchMedia("(max-width: 900px)").matches) this.head.scrollIntoView();
    this.text?.focus({preventScroll: true});
  }

  prepareText(kind, name) {
    this.text.disabled = false;
    this.text.placeholder = kind === "room" ? `Say something in ${shown(name)}` : `Write to ${shown(name)}, past every server`;
  }

  showHead() {
    const {kind, name} = this.open;
    if (kind === "person") {
      this.head.replaceChildren(el("h2", {text: name}), el("span", {class: "quiet"}, "private"));
      return;
    }
    const room = this.model.group("rooms").get(name);
    this.head.replaceChildren(el("h2", {class: "hash", text: name}), ...this.headOf(name, room));
    this.showGate(room);
  }

  headOf(name, room) {
    return [el("button", {type: "button", class: "plain", "aria-expanded": String(!this.members.hidden), onclick: () => this.toggleMembers()},
        room ? counted(this.countIn(name, room), "member") : "members"),
      ...(name === "lobby" ? [] : [el("button", {type: "button", class: "plain", onclick: () => this.part(name)}, "Leave")])];
  }

  showGate(room) {
    const waits = Boolean(room && room.confirmed !== false && !room.open && room.opensAt);
    this.gate.hidden = !waits && room?.confirmed !== false;
    if (waits) {
      this.gate.replaceChildren(el("progress", {max: room.opensAt, value: room.members, "aria-hidden": "true"}),
        el("span", {}, gateText(room.members, room.opensAt)));
    } else if (room?.confirmed === false) {
      this.gate.replaceChildren(el("span", {}, "The metaserver is out of reach: you are in it when it is back."));
    } else {
      this.gate.replaceChildren();
    }
  }

  talk(room) {
    if (!this.talks.has(room)) this.talks.set(room, new Talk(this.model, (text) => this.say(room, text)));
    return this.talks.get(room);
  }

  // Events of rooms, as the program numbers them: what it has forgotten is asked for again.
  takeSaid() {
    const all = [...this.model.group("said")].map(([number, event]) => [Number(number), event]).sort(([one], [other]) => one - other);
    const newest = all.at(-1)?.[0] ?? 0;
    let isGap = this.last !== null && (newest < this.last || (all.length > 0 && all[0][0] > this.last + 1));
    if (newest < this.last) this.last = 0;
    const isFirst = this.last === null;
    for (const [number, event] of all) {
      if (number <= (this.last ?? 0)) continue;
      if (event.event === "missed") isGap = true;
      if (event.event === "missed" || isFirst && event.event !== "message" && event.event !== "opened") continue;
      this.talk(event.room).happened(event);
      const isShown = this.isOpen("room", event.room) && this.box?.isConnected;
      if (isShown && event.event === "message" && !event.own) this.readSoon(event.room);
    }
    this.last = Math.max(newest, this.last ?? 0);
    if (!isGap) return;
    for (const talk of this.talks.values()) talk.isLoaded = false;
    if (this.open?.kind === "room" && this.box?.isConnected) this.loadRoom(this.open.name);
  }

  // A room that is shown has been read: the program is told, rarely.
  readSoon(room) {
    if (document.hidden) return;
    this.toRead = room;
    this.reading ??= setTimeout(() => this.tellRead(), READ_AFTER);
  }

  tellRead() {
    clearTimeout(this.reading);
    if (this.reading) this.connection.run(`history ${quoted(`#${this.toRead}`)} 1`).catch(() => {});
    this.reading = null;
  }

  async loadRoom(name) {
    const talk = this.talk(name);
    try {
      const told = await this.connection.run(`history ${quoted(`#${name}`)} ${HISTORY}`);
      if (this.isOpen("room", name) && this.note.isConnected) this.note.textContent = told.error ? shown(told.error.message) : "";
      if (!told.error) talk.load(told);
    } catch (error) {
      if (this.isOpen("room", name)) this.note.textContent = error.message;
    }
  }

  async toggleMembers() {
    this.members.hidden = !this.members.hidden;
    this.showHead();
    if (this.members.hidden) return;
    const {name} = this.open;
    this.members.replaceChildren(el("p", {class: "quiet"}, "asking"));
    try {
      const {count = 0, members = [], error} = await this.connection.run(`who ${quoted(`#${name}`)}`);
      if (!this.isOpen("room", name)) return;
      const more = count - Math.min(members.length, LISTED);
      this.members.replaceChildren(error ? el("p", {class: "error"}, shown(error.message)) : el("ul", {},
        ...members.slice(0, LISTED).map(({id, home}) => el("li", {}, el("bdi", {text: id}), el("small", {text: home ?? "away"}))),
        more > 0 ? el("li", {class: "quiet"}, `and ${more.toLocaleString("en")} more`) : null));
    } catch (error) {
      this.members.replaceChildren(el("p", {class: "error"}, error.message));
    }
  }

  async part(name) {
    const told = await this.connection.run(`part ${quoted(`#${name}`)}`);
    if (told.error) {
      this.note.textContent = shown(told.error.message);
      return;
    }
    this.talks.delete(name);
    this.choose("room", "lobby");
    this.listOthers();
  }

  // --- to say something

  submit(event) {
    event.preventDefault();
    const text = this.text.value;
    if (!text.trim() || !this.open) return;
    this.text.value = "";
    if (this.open.kind === "room") this.say(this.open.name, text);
    else this.write(this.open.name, text);
  }

  // It stands in the room as one that waits until it is acknowledged, or says why it was refused.
  // One after the other, because requests do not keep their order.
  say(room, text) {
    const talk = this.talk(room), waiting = talk.waits(text);
    this.saying = (this.saying ?? Promise.resolve()).then(async () => {
      try {
        // The text of `say` is taken as it is typed.
        talk.answered(waiting, await this.connection.run(`say #${room} ${text}`));
      } catch (error) {
        talk.answered(waiting, {error: {message: error.message}});
      }
    });
  }

  async write(id, text) {
    this.note.textContent = "sending";
    try {
      const data = await this.connection.run(`msg ${quoted(id)} ${text}`);
      this.note.textContent = data.error ? shown(data.error.message) : data.delivered ? "" : shown(data.why ?? "it waits in the outbox");
    } catch (error) {
      this.note.textContent = error.message;
    }
    this.loadPerson();
  }

  async loadPerson() {
    const id = this.open.name;
    this.seen.set(id, this.model.group("people").get(id)?.received ?? 0);
    this.onRead();
    const data = await this.connection.run(`msg -n 50 ${quoted(id)}`);
    if (!this.isOpen("person", id) || !this.box.isConnected) return;
    const messages = data.messages ?? [];
    this.box.replaceChildren(messages.length ? el("ol", {}, ...messages.map((message) =>
      el("li", {class: message.sent ? "own first" : "first"}, el("p", {dir: "auto", text: message.text}),
        el("small", {}, `${new Date(message.at).toLocaleString("en-GB", {timeStyle: "short", dateStyle: "medium"})}` +
          (message.state === "received" ? "" : ` · ${message.state}`)))))
      : el("p", {class: "empty"}, `No messages with ${shown(id)} yet.`));
    this.box.scrollTop = this.box.scrollHeight;
    this.showPeople();
  }
}
