// What the program has told, by groups, and how it was in the last ten minutes.

const MEMORY = 10 * 60 * 1000;
const MOST = 20000;  // changes that are remembered

export class Model {
  constructor() {
    this.groups = {};
    this.listeners = [];
    this.past = [];  // {at, key, was, is} of peers
    this.traffic = [];  // {at, sent, received} of a peer
    this.since = Date.now();
  }

  group(name) {
    return (this.groups[name] ??= new Map());
  }

  get self() {
    return this.group("self").get("program") ?? {};
  }

  replace(state) {
    const before = this.groups.peers ?? new Map();
    this.groups = Object.fromEntries(
        Object.entries(state).map(([name, things]) => [name, new Map(Object.entries(things))]));
    const after = this.group("peers");
    if (before.size) {  // what happened while this page was hidden
      for (const [key, was] of before) if (!after.has(key)) this.remember(key, was, undefined);
      for (const [key, is] of after) {
        const was = before.get(key);
        if (JSON.stringify(was) !== JSON.stringify(is)) this.remember(key, was, is);
      }
    }
    this.tell(new Set(Object.keys(this.groups)));
  }

  change(changes) {
    const touched = new Set();
    for (const {kind, in: name, key, value} of changes) {
      const group = this.group(name);
      if (name === "peers") this.remember(key, group.get(key), kind === "set" ? value : undefined);
      if (kind === "set") group.set(key, value);
      else group.delete(key);
      if (name === "log" && group.size > 1000) group.delete(group.keys().next().value);
      touched.add(name);
    }
    this.tell(touched);
  }

  remember(key, was, is) {
    const now = Date.now();
    this.past.push({at: now, key, was, is});
    while (this.past.length > MOST || (this.past.length && now - this.past[0].at > MEMORY)) {
      this.since = this.past.shift().at;
    }
  }

  // The peers as they were then.
  peersAt(time) {
    const peers = new Map(this.group("peers"));
    for (let i = this.past.length - 1; i >= 0 && this.past[i].at > time; --i) {
      const {key, was} = this.past[i];
      if (was === undefined) peers.delete(key);
      else peers.set(key, was);
    }
    return peers;
  }

  earliest() {
    return Math.max(this.since, Date.now() - MEMORY);
  }

  listen(listener) {
    this.listeners.push(listener);
  }

  // A quiet time ends where the next bytes are counted, not where the last ones were.
  noteTraffic() {
    const {sent, received} = this.self;
    if (sent === undefined) return;
    const now = Date.now(), last = this.traffic.at(-1);
    if (last && (last.sent !== sent || last.received !== received) && now - last.at > 1500) {
      this.traffic.push({...last, at: now - 1000});
    }
    if (!last || last.sent !== sent || last.received !== received) this.traffic.push({at: now, sent, received});
    while (this.traffic.length > 2 && now - this.traffic[1].at > MEMORY) this.traffic.shift();
  }

  tell(groups) {
    if (groups.has("self")) this.noteTraffic();
    for (const listener of this.listeners) listener(groups);
  }
}

// The peers as a tree: nodes with id, peer, parent, children in order of joining, depth; roots first
// the one that joined first. A parent that is not there, or a circle, makes a root: pictures are
// taken while the tree changes.
export function treeOf(peers) {
  const nodes = new Map();
  for (const [id, peer] of peers) nodes.set(id, {id, peer, parent: null, children: [], depth: 0, state: "linked"});
  const all = [...nodes.values()].sort((one, other) => one.peer.order - other.peer.order);
  for (const node of all) {
    const parent = node.peer.parent === null ? undefined : nodes.get(node.peer.parent);
    if (!parent || parent === node) continue;
    let above = parent;
    while (above && above !== node) above = above.parent;
    if (above === node) continue;
    node.parent = parent;
  }
  for (const node of all) node.parent?.children.push(node);
  for (const node of all) {
    node.behind = node.children;
    node.links = node.children.length + (node.parent ? 1 : 0);
  }
  const roots = all.filter((node) => !node.parent);
  const main = roots.reduce((best, node) => (best && (best.children.length > 0 || !node.children.length) ? best : node), null);
  for (const root of roots) {
    root.state = root === main ? "root" : root.children.length ? "away" : "joining";
    const queue = [root];
    while (queue.length) {
      const node = queue.pop();
      for (const child of node.children) {
        child.depth = node.depth + 1;
        queue.push(child);
      }
    }
  }
  roots.sort((one, other) => (one === main ? -1 : other === main ? 1 : 0));
  return {nodes, all, roots, main};
}
