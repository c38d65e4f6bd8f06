// Chat at a metaserver: all rooms of the network, to read. That something was said comes with the
// picture (`last` of `rooms`); what it was is asked for, of the room that is open. Nothing can be
// said: a metaserver is no member of any room.
import {el, shown, counted} from "./dom.js";
import {ChatPage, HISTORY, LISTED} from "./chat.js";
import {quoted} from "./network.js";
import {Talk} from "./talk.js";

const OVERLAP = 20;  // messages that are asked for again, because more may come meanwhile

export class RoomsPage extends ChatPage {
  constructor(model, connection) {
    super(model, connection);
    this.known = new Map();  // by room: what of the picture its messages are of
    this.filter = "";
  }

  makeSide() {
    this.search = el("input", {type: "search", placeholder: "Filter", "aria-label": "Filter rooms", value: this.filter,
      oninput: () => { this.filter = this.search.value.trim().toLowerCase(); this.showRooms(); }});
    this.more = el("p", {class: "quiet", role: "status"});
    return [this.search, this.rooms, this.more];
  }

  makeFoot() {
    return el("p", {class: "quiet"}, "Read only: a metaserver is in no room.");
  }

  listed(rooms) {
    const found = rooms.filter(([name]) => name.toLowerCase().includes(this.filter));
    this.search.hidden = rooms.length < 8 && !this.filter;
    this.more.textContent = found.length > LISTED ? `and ${(found.length - LISTED).toLocaleString("en")} more: filter them`
      : !found.length && this.filter ? "Nothing matches the filter." : "";
    return found.slice(0, LISTED);
  }

  headOf(name, room) {
    if (!room) return [el("span", {class: "quiet"}, "gone")];
    return [el("span", {class: "quiet"}, counted(this.countIn(name, room), "member") +
      (room.open ? `, ${counted(room.last, "entry", "entries")}` : ""))];
  }

  changed(groups) {
    super.changed(groups);
    if (!this.rooms?.isConnected) return;
    if (!this.open && this.model.group("rooms").has("lobby")) this.choose("room", "lobby", false);
    else if (!groups || groups.has("rooms") || groups.has("self")) this.read();
  }

  showEmpty() {
    this.head.replaceChildren();
    this.box.replaceChildren(el("p", {class: "empty"}, "Choose a room."));
  }

  talk(room) {
    if (!this.talks.has(room)) this.talks.set(room, new Talk({self: {}}, null));
    return this.talks.get(room);
  }

  // The messages of the open room, if they are of another picture than this one: one question at a
  // time, again until they are. After an error the next picture asks again.
  async read() {
    if (this.isReading) return;
    this.isReading = true;
    try {
      while (this.rooms.isConnected && this.open && await this.readOnce(this.open.name));
    } catch (error) {
      this.note.textContent = error.message;
    }
    this.isReading = false;
  }

  async readOnce(name) {
    const room = this.model.group("rooms").get(name), talk = this.talk(name), known = this.known.get(name);
    const now = {last: room?.last ?? 0, open: room?.open, epoch: this.model.self.epoch};
    if (!room || known && known.last === now.last && known.open === now.open && known.epoch === now.epoch) return false;
    // Another master may have put other messages under the same numbers.
    const isSame = known && known.open && now.open && known.epoch === now.epoch && now.last > known.last;
    const count = isSame ? Math.min(HISTORY, now.last - known.last + OVERLAP) : HISTORY;
    const told = await this.connection.run(`history ${quoted(`#${name}`)} ${count}`);
    if (this.isOpen("room", name)) this.note.textContent = noteOf(told);
    if (told.error) return !this.isOpen("room", name);
    const messages = told.messages ?? [];
    if (isSame && messages.length && messages[0].number > known.last + 1 && count < HISTORY) {
      this.known.delete(name);  // more has come than was asked for
      return true;
    }
    if (isSame && count < HISTORY) {
      for (const message of messages) talk.happened({event: message.opened ? "opened" : "message", ...message});
    } else {
      talk.load(told);
    }
    this.known.set(name, now);
    return true;
  }

  // --- what a metaserver does not have

  loadRoom() {
    return this.read();
  }

  unread() {
    return {count: 0, names: 0};
  }

  prepareText() {}
  showPeople() {}
  listOthers() {}
  tellRead() {}
}

function noteOf({error, problem, more}) {
  if (error) return shown(error.message);
  if (problem) return shown(problem);
  return more ? `${counted(more, "older message")} left out` : "";
}
