// The Network page: the tree as an espalier, who is at which home, what happened, what if one dies.
import {el, shown, counted, clock, compare, reducedMotion} from "./dom.js";
import {fold} from "./fold.js";
import {nextOf, PaintedFocus} from "./keys.js";
import {gutterOf, layout, linkPath} from "./layout.js";
import {Shares} from "./shares.js";
import {treeOf} from "./model.js";

const SVG_MOST = 300;  // peers; above it a canvas
const HOMES = 8;       // colours of page.css

const STATES = {
  root: ["root", "holds the tree"],
  linked: ["linked", "attached to its parent"],
  joining: ["joining", "admitted, not attached yet"],
  away: ["away", "has lost its parent, looks for another one"],
};
const SYMBOLS = {
  root: () => d3.symbolCircle, linked: () => d3.symbolCircle,
  joining: () => d3.symbolDiamond, away: () => d3.symbolSquare,
};
const symbol = (state, area) => d3.symbol().type(SYMBOLS[state]()).size(area)();

export class NetworkPage {
  constructor(model, connection) {
    this.model = model;
    this.connection = connection;
    this.chosen = null;   // id
    this.plan = null;     // of `whatif kill`
    this.time = null;     // that is played back; null: now
    this.events = [];     // sentences, the newest first
    this.focused = null;  // id of the peer that the arrows are at
    this.top = null;      // id of the peer whose subtree is shown; null: all
    this.shares = new Shares(model, connection, () => this.showTip());
  }

  mount(main) {
    this.picture = el("div", {class: "picture", id: "picture"});
    this.tip = el("div", {class: "tip", hidden: true, "aria-hidden": "true"});
    this.spoken = el("p", {class: "sr", role: "status"});
    this.keyed = new PaintedFocus(this.spoken, (node) => describe(node, this.homes().size > 1), (node) => {
      this.hover(node);
      this.paint();
    });
    this.legend = el("div", {class: "legend"});
    this.panel = el("aside", {class: "panel", "aria-label": "Details"});
    this.news = el("ol", {class: "news", "aria-label": "What happened", "aria-live": "polite"});
    this.slider = el("input", {type: "range", min: 0, max: 1000, value: 1000, id: "time",
      "aria-label": "Play back the last ten minutes", oninput: () => this.playBack()});
    this.when = el("output", {for: "time", class: "when"});
    this.now = el("button", {class: "plain", type: "button", hidden: true, onclick: () => this.toNow()}, "Back to now");
    main.replaceChildren(el("section", {class: "network", "aria-labelledby": "network-title"},
      el("h1", {id: "network-title", class: "sr"}, "Network"),
      el("div", {class: "stage"},
        el("div", {class: "head"}, this.figures = el("div", {class: "figures"}), this.legend),
        this.foldNote = el("p", {class: "fold-note", role: "status", hidden: true}), this.picture, this.tip, this.spoken,
        el("div", {class: "playback"}, el("label", {for: "time", class: "quiet"}, "10 min"), this.slider, this.when, this.now)),
      el("div", {class: "side"}, this.panel,
        el("section", {class: "happened"}, el("h2", {}, "What happened"), this.news))));
    this.resized = new ResizeObserver(() => this.draw(false));
    this.resized.observe(this.picture);
    this.svg = this.canvas = null;
    this.showEvents();
    this.draw(false);
  }

  unmount() {
    this.resized?.disconnect();
  }

  changed(groups) {
    if (this.picture && (groups.has("peers") || groups.has("servers"))) {
      this.slider.value = this.time === null ? 1000 : this.slider.value;
      if (this.time === null) this.draw(true);
    }
  }

  // Called also while another page is shown.
  note(changes) {
    const tree = this.model;
    for (const {key, was, is} of changes) {
      let text = null;
      if (!was && is) text = is.parent ? `${shown(key)} joined, below ${shown(is.parent)}` : `${shown(key)} joined`;
      else if (was && !is) text = `${shown(key)} is gone`;
      else if (was && is && was.parent !== is.parent) {
        if (is.parent === null) text = `${shown(key)} lost its parent ${shown(was.parent)}`;
        else text = `${shown(key)} attached to ${shown(is.parent)}`;
      } else if (was && is && was.home !== is.home) text = `${shown(key)} moved to ${shown(is.home)}`;
      if (text) this.events.unshift({at: Date.now(), text, kind: !is ? "gone" : !was ? "new" : "moved"});
    }
    this.events.length = Math.min(this.events.length, 60);
    if (this.news && tree) this.showEvents();
  }

  showEvents() {
    this.news.replaceChildren(...(this.events.length
      ? this.events.slice(0, 40).map(({at, text, kind}) =>
          el("li", {class: kind}, el("time", {}, clock(at)), el("span", {}, text)))
      : [el("li", {class: "empty"}, "Nothing yet. Joins, deaths and moves appear here as they happen.")]));
  }

  homes() {
    const names = [...this.model.group("servers").keys()].sort(compare);
    return new Map(names.map((name, i) => [name, i % HOMES]));
  }

  draw(moves) {
    if (!this.picture?.isConnected) return;
    const peers = this.time === null ? this.model.group("peers") : this.model.peersAt(this.time);
    if (this.top !== null && !peers.has(this.top)) this.top = null;
    const tree = fold(treeOf(peers), this.top);
    const width = this.picture.clientWidth, height = Math.max(260, (this.picture.clientHeight || 420) - 4);
    const homes = this.homes();
    this.tree = tree;
    if (!tree.nodes.has(this.focused)) this.focused = null;
    if (this.chosen && !tree.nodes.has(this.chosen)) this.choose(null);
    this.showFigures(tree);
    this.showLegend(tree, homes);
    this.showFold(tree);
    this.empty?.remove();
    if (!tree.all.length) {
      this.svg?.remove();
      this.svg = null;
      this.picture.append(this.empty = this.emptyWall());
      this.showPanel();
      return;
    }
    const plan = layout(tree, width, height);
    if (tree.all.length > SVG_MOST) this.drawCanvas(tree, plan, homes);
    else this.drawSvg(tree, plan, homes, moves && !reducedMotion());
    this.showPanel();
  }

  emptyWall() {
    const self = this.model.self;
    return el("div", {class: "empty-wall"},
      el("h2", {}, "A bare wall"),
      el("p", {}, "Nobody has joined yet. The first peer becomes the root:"),
      el("pre", {}, el("code", {text: `peer --metaserver ${self.at ?? "127.0.0.1:5000"} --id s1`})));
  }

  showFold(tree) {
    this.foldNote.hidden = this.top === null && tree.hidden === 0;
    if (this.foldNote.hidden) return;
    const text = this.top === null
      ? `${counted(tree.all.length, "peer")} are drawn; ${tree.hidden.toLocaleString("en")} are folded at the ends of the branches.`
      : `The subtree of ${shown(this.top)}${tree.all.some((node) => node.folded) ? ", folded where it is deep" : ""}.`;
    this.foldNote.replaceChildren(el("span", {}, text),
      ...(this.top === null ? [] : [el("button", {class: "link-like", type: "button", onclick: () => this.look(null)}, "Back to the root")]));
  }

  // Shows the subtree of that peer.
  look(id) {
    this.top = id;
    this.draw(false);
  }

  showFigures(tree) {
    const self = this.model.self;
    const depth = tree.nodes.size ? d3.max(tree.nodes.values(), (node) => node.depth) : 0;
    const servers = [...this.model.group("servers").values()].filter((server) => !server.dead).length;
    const figure = (number, name) => el("div", {class: "figure"}, el("b", {}, number.toLocaleString("en")), el("span", {}, name));
    this.figures.replaceChildren(figure(tree.total, tree.total === 1 ? "peer" : "peers"),
      figure(depth, "deep"), ...(servers ? [figure(servers, servers === 1 ? "metaserver" : "metaservers")] : []),
      ...(self.maxLinks ? [figure(self.maxLinks, "links a peer")] : []));
  }

  showLegend(tree, homes) {
    const counts = d3.rollup(tree.nodes.values(), (nodes) => nodes.length, (node) => node.peer.home ?? "");
    const states = d3.rollup(tree.nodes.values(), (nodes) => nodes.length, (node) => node.state);
    const items = [];
    if (homes.size > 1) {
      for (const [name, colour] of homes) {
        const server = this.model.group("servers").get(name);
        items.push(el("span", {class: `key home-${colour}${server?.dead ? " dead" : ""}`},
          el("i", {class: "swatch"}), el("span", {text: name}), server?.master ? el("em", {}, "master") : null,
          el("small", {}, String(counts.get(name) ?? 0))));
      }
    }
    for (const state of ["joining", "away"]) {
      if (!states.get(state)) continue;
      items.push(el("span", {class: `key state-${state}`}, symbolImage(state), el("span", {}, STATES[state][0]),
        el("small", {}, String(states.get(state)))));
    }
    this.legend.replaceChildren(...items);
  }

  // --- SVG

  drawSvg(tree, plan, homes, moves) {
    if (this.canvas) {
      this.canvas.remove();
      this.canvas = null;
    }
    if (!this.svg) {
      this.svg = d3.create("svg").attr("class", "espalier").attr("role", "tree").attr("aria-label", "The network").node();
      this.layers = {};
      for (const name of ["wires", "links", "plan", "peers"]) {
        this.layers[name] = d3.select(this.svg).append("g").attr("class", name);
      }
      this.picture.append(this.svg);
      this.svg.addEventListener("keydown", (event) => this.key(event));
      moves = false;
    }
    const time = moves ? 300 : 0;
    const svg = d3.select(this.svg).attr("viewBox", `0 0 ${plan.width} ${plan.height}`)
      .attr("width", plan.width).attr("height", plan.height);
    this.plan_ = plan;
    this.drawWires(plan);
    const size = Math.max(3.2, Math.min(15, plan.cell / 3.4));
    const isNamed = plan.cell >= 34 && tree.all.length <= 120;
    const links = tree.all.filter((node) => plan.places.has(node.parent?.id) && plan.places.has(node.id));
    const pathOf = (node) => linkPath(withWay(plan, node.parent.id, node.id), plan.places.get(node.id), plan.kind);
    this.layers.links.selectAll("path.link").data(links, (node) => node.id).join(
      (enter) => enter.append("path").attr("class", "link").attr("d", pathOf).attr("opacity", 0)
        .call((all) => all.transition().delay(time).duration(time).attr("opacity", 1)),
      (update) => update.call((all) => all.transition().duration(time).attr("d", pathOf).attr("opacity", 1)),
      (exit) => exit.call((all) => all.transition().duration(time).attr("opacity", 0).remove()))
      .attr("stroke-width", Math.max(1.6, size / 3.4));
    const at = (node) => {
      const place = plan.places.get(node.id);
      return `translate(${place.x},${place.y})`;
    };
    const nodes = this.layers.peers.selectAll("g.peer").data(tree.all, (node) => node.id).join(
      (enter) => {
        const group = enter.append("g").attr("transform", at).attr("tabindex", -1).attr("role", "treeitem");
        group.append("circle").attr("class", "ring");
        group.append("path").attr("class", "body").attr("transform", moves ? "scale(0.01)" : null);
        group.append("text").attr("class", "name");
        const page = this;  // d3 hands its handlers other arguments in each version
        group.each(function (first) {
          const node = () => page.tree.nodes.get(first.id) ?? null;
          this.addEventListener("pointerenter", () => page.hover(node()));
          this.addEventListener("pointerleave", () => page.hover(null));
          this.addEventListener("focus", () => page.hover(node()));
          this.addEventListener("blur", () => page.hover(null));
          this.addEventListener("click", () => page.choose(first.id));
        });
        return group;
      },
      (update) => update.call((all) => all.transition().duration(time).attr("transform", at)),
      (exit) => exit.attr("class", "peer dying").attr("tabindex", null)
        .call((all) => all.transition().duration(moves ? 900 : 0).attr("opacity", 0).remove()));
    nodes.attr("class", (node) => `peer ${node.state} home-${homes.get(node.peer.home) ?? 0}` +
        (node.id === this.chosen ? " chosen" : "") + (this.isSelf(node.id) ? " self" : ""))
      .attr("aria-label", (node) => describe(node, homes.size > 1))
      .attr("aria-level", (node) => node.depth + 1)
      .attr("data-id", (node) => node.id).attr("data-parent", (node) => node.parent?.id ?? "");
    nodes.select("path.body").attr("d", (node) => symbol(node.state, size * size * Math.PI))
      .call((all) => all.transition().duration(time).attr("transform", "scale(1)"));
    nodes.select("circle.ring").attr("r", size + Math.max(3, size / 2.6));
    const isBelow = plan.kind === "line";
    const hasAbove = (node) => !isBelow && node.children.length > 0;  // a branch is where its name would be
    nodes.select("text.name").text((node) => (isNamed ? short(shown(node.id), plan.cell / 7) : ""))
      .attr("y", (node) => (isBelow && node.state !== "root" ? size + 20 : hasAbove(node) ? size + 8 : -size - 13))
      .attr("x", (node) => (hasAbove(node) ? size + 8 : 0))
      .style("text-anchor", (node) => (hasAbove(node) ? "start" : "middle"));
    svg.selectAll("g.peer").filter((node) => node.id === (this.focused ?? tree.main?.id)).attr("tabindex", 0);
    this.drawPlan(plan);
  }

  drawWires(plan) {
    const isDeep = plan.wires.length > 1 || plan.kind === "line";
    const wires = this.layers.wires.selectAll("g.wire").data(isDeep ? plan.wires : []).join((enter) => {
      const group = enter.append("g").attr("class", "wire");
      group.append("line");
      group.append("text");
      return group;
    });
    const edge = plan.width < 600 ? 8 : 16;
    const gutter = gutterOf(plan.width);
    wires.select("line").attr("x1", gutter).attr("x2", plan.width - edge).attr("y1", (wire) => wire.y).attr("y2", (wire) => wire.y);
    wires.select("text").attr("x", edge).attr("y", (wire) => wire.y + 4).text((wire) => depthText(wire, plan.width, this.tree.main.depth));
    // The wall has wires that nothing grows on yet.
    const spare = [];
    if (plan.kind === "line" && plan.rise) {
      for (let y = plan.wires.at(-1).y - plan.rise; y > 26; y -= plan.rise) spare.push(y);
    }
    this.layers.wires.selectAll("line.spare").data(spare).join("line").attr("class", "spare")
      .attr("x1", gutter).attr("x2", plan.width - edge).attr("y1", (y) => y).attr("y2", (y) => y);
    const root = plan.places.get(this.tree.main.id);
    this.layers.wires.selectAll("path.trunk").data([root]).join("path").attr("class", "trunk")
      .attr("d", (place) => `M${place.x},${place.y}V${Math.min(plan.height - 4, place.y + 62)}`);
    this.layers.wires.selectAll("path.ground").data([root]).join("path").attr("class", "ground")
      .attr("d", (place) => {
        const y = Math.min(plan.height - 4, place.y + 62);
        return `M${place.x - 70},${y}q35,-7 70,-7t70,7`;
      });
  }

  // What would follow if the chosen peer died, over the picture.
  drawPlan(plan) {
    const known = this.planned(plan);
    this.layers.plan.selectAll("path.would").data(known.filter(({to}) => to !== null), ({id}) => id).join("path")
      .attr("class", "would").attr("d", (each) => wouldPath(plan, each));
    d3.select(this.svg).selectAll("g.peer")
      .classed("would-die", (node) => this.plan !== null && node.id === this.plan.kill)
      .classed("would-move", (node) => known.some(({id}) => id === node.id));
    this.layers.links.selectAll("path.link")
      .classed("would-break", (node) => this.plan !== null && (node.id === this.plan.kill || node.parent?.id === this.plan.kill));
  }

  // Attachments of the plan between peers that are drawn.
  planned(plan) {
    const attachments = this.plan && this.plan.kill === this.chosen ? this.plan.attachments : [];
    return attachments.filter(({id, to}) => plan.places.has(id) && (to === null || plan.places.has(to)));
  }

  // --- a canvas, for many

  drawCanvas(tree, plan, homes) {
    this.svg?.remove();
    this.svg = null;
    if (!this.canvas) {
      this.canvas = el("canvas", {class: "espalier", role: "application", tabindex: 0,
        "aria-label": "The network: the arrows follow its links, Enter chooses, Escape lets go. The page Members has it as a table."});
      this.picture.append(this.canvas);
      this.zoom = d3.zoomIdentity;
      const zoomer = d3.zoom().scaleExtent([0.5, 12]).on("zoom", () => {
        this.zoom = d3.zoomTransform(this.canvas);
        this.frame ??= requestAnimationFrame(() => this.paint());
      });
      d3.select(this.canvas).call(zoomer);
      this.canvas.addEventListener("keydown", (event) => this.key(event));
      this.keyed.attach(this.canvas, zoomer, () => this.focusPainted(this.focusedNode()));
      this.canvas.addEventListener("pointermove", (event) => this.hover(event.buttons ? null : this.nearest(event)));
      this.canvas.addEventListener("pointerleave", () => this.hover(null));
      this.canvas.addEventListener("click", (event) => {
        const node = this.nearest(event);
        this.focused = node?.id ?? this.focused;
        this.choose(node?.id ?? null);
      });
    }
    const paths = tree.all.filter((node) => plan.places.has(node.parent?.id)).map((node) =>
      linkPath(withWay(plan, node.parent.id, node.id), plan.places.get(node.id), plan.kind));
    this.painted = {tree, plan, homes, links: new Path2D(paths.join(""))};
    this.plan_ = plan;
    const ratio = devicePixelRatio || 1;
    const height = Math.min(plan.height, Math.max(420, this.picture.clientHeight));
    Object.assign(this.canvas, {width: plan.width * ratio, height: height * ratio});
    this.canvas.style.width = `${plan.width}px`;
    this.canvas.style.height = `${height}px`;
    this.index = d3.quadtree([...plan.places].map(([id, place]) => ({id, ...place})), (one) => one.x, (one) => one.y);
    this.paint();
  }

  paint() {
    this.frame = null;
    if (!this.canvas) return;
    const {tree, plan, homes} = this.painted;
    const context = this.canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const ratio = devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.translate(this.zoom.x, this.zoom.y);
    context.scale(this.zoom.k, this.zoom.k);
    context.lineWidth = 1;
    context.strokeStyle = colour("--wire");
    context.fillStyle = colour("--quiet");
    context.font = `11px ${colour("--face")}`;
    for (const wire of plan.wires) {
      context.beginPath();
      context.moveTo(gutterOf(plan.width), wire.y);
      context.lineTo(plan.width - 16, wire.y);
      context.stroke();
      context.fillText(depthText(wire, plan.width, tree.main.depth), 16, wire.y + 4);
    }
    const root = plan.places.get(tree.main.id);
    context.strokeStyle = colour("--wood");
    context.lineCap = "round";
    context.globalAlpha = 0.55;
    context.lineWidth = 6;
    context.beginPath();
    context.moveTo(root.x, root.y);
    context.lineTo(root.x, root.y + 46);
    context.stroke();
    context.globalAlpha = 1;
    context.strokeStyle = colour("--wood");
    context.lineWidth = Math.max(0.6, Math.min(2.4, plan.cell / 8));
    context.stroke(this.painted.links);
    const size = Math.max(1.6, Math.min(9, plan.cell / 3.2));
    const groups = d3.group(tree.all, (node) => homes.get(node.peer.home) ?? 0);
    for (const [home, nodes] of groups) {
      context.fillStyle = colour(`--home-${home}`);
      context.beginPath();
      for (const node of nodes) {
        const {x, y} = plan.places.get(node.id);
        if (node.state === "linked" || node.state === "root") {
          const radius = node.state === "root" ? size * 1.8 : size;
          context.moveTo(x + radius, y);
          context.arc(x, y, radius, 0, 2 * Math.PI);
        } else {
          context.rect(x - size, y - size, 2 * size, 2 * size);
        }
      }
      context.fill();
    }
    context.strokeStyle = colour("--wood");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(root.x, root.y, size * 1.8 + 4, 0, 2 * Math.PI);
    context.stroke();
    this.paintFolded(context, plan, size, colour);
    this.paintPlan(context, plan, size, colour);
    const chosen = plan.places.get(this.chosen);
    if (chosen) {
      context.strokeStyle = colour("--accent");
      context.lineWidth = 2;
      context.beginPath();
      context.arc(chosen.x, chosen.y, size + 4, 0, 2 * Math.PI);
      context.stroke();
    }
    const focused = this.keyed.isShown ? plan.places.get(this.focusedNode().id) : null;
    if (focused) {
      context.strokeStyle = colour("--ink");
      context.lineWidth = 2.5 / this.zoom.k;
      context.beginPath();
      context.arc(focused.x, focused.y, size + 8 / this.zoom.k, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  // Where branches are folded: two more rings and how many are behind, or, of many, a shoot.
  paintFolded(context, plan, size, colour) {
    const folded = this.tree.all.filter((node) => node.folded);
    const isFew = folded.length <= 40;
    context.strokeStyle = context.fillStyle = colour(isFew ? "--quiet" : "--wood");
    context.lineWidth = 1;
    context.font = `11px ${colour("--face")}`;
    context.beginPath();
    for (const node of folded) {
      const {x, y} = plan.places.get(node.id);
      if (!isFew) {
        context.moveTo(x, y - size);
        context.lineTo(x, y - size - 5 - 3 * Math.log2(1 + node.folded));
        continue;
      }
      for (const ring of [2.5, 5]) {
        context.moveTo(x + size + ring, y);
        context.arc(x, y, size + ring, 0, 2 * Math.PI);
      }
      context.fillText(`+${node.folded.toLocaleString("en")}`, x + size + 8, y - size - 3);
    }
    context.globalAlpha = isFew ? 1 : 0.6;
    context.stroke();
    context.globalAlpha = 1;
  }

  // What would follow if the chosen peer died.
  paintPlan(context, plan, size, colour) {
    const place = this.plan !== null && this.plan.kill === this.chosen && !this.plan.error ? plan.places.get(this.chosen) : null;
    if (!place) return;
    const ring = (id, name) => {
      const {x, y} = plan.places.get(id);
      context.strokeStyle = colour(name);
      context.beginPath();
      context.arc(x, y, size + 5, 0, 2 * Math.PI);
      context.stroke();
    };
    context.save();
    context.lineWidth = 2;
    context.setLineDash([4, 4]);
    const dying = this.tree.nodes.get(this.chosen);
    context.strokeStyle = colour("--warn");
    for (const node of [dying, ...dying.children]) {
      if (!node.parent || !plan.places.has(node.id) || !plan.places.has(node.parent.id)) continue;
      context.stroke(new Path2D(linkPath(withWay(plan, node.parent.id, node.id), plan.places.get(node.id), plan.kind)));
    }
    context.strokeStyle = colour("--accent");
    const known = this.planned(plan);
    for (const each of known) {
      if (each.to !== null) context.stroke(new Path2D(wouldPath(plan, each)));
    }
    context.setLineDash([]);
    for (const {id} of known) ring(id, "--accent");
    context.fillStyle = colour("--warn");
    context.beginPath();
    context.arc(place.x, place.y, size + 1.5, 0, 2 * Math.PI);
    context.fill();
    context.restore();
  }

  nearest(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = this.zoom.invert([event.clientX - box.x, event.clientY - box.y]);
    const found = this.index.find(x, y, 24 / this.zoom.k);
    return found ? this.tree.nodes.get(found.id) ?? null : null;
  }

  // --- hover, choice, keys

  isSelf(id) {
    return this.model.self.kind === "peer" && this.model.self.name === id;
  }

  hover(node) {
    if (this.hovered !== node?.id) this.shares.want(node?.id ?? null);
    this.hovered = node?.id;
    this.showTip();
  }

  showTip() {
    const node = this.hovered ? this.tree?.nodes.get(this.hovered) : null;
    if (!node || !this.plan_?.places.has(node.id)) {
      this.tip.hidden = true;
      return;
    }
    const share = this.shares.text(node.id);
    this.tip.replaceChildren(el("b", {text: node.id}), el("span", {}, describe(node, this.homes().size > 1, false)),
      ...(share ? [el("span", {class: "share"}, share)] : []));
    this.tip.hidden = false;
    const zoom = this.canvas ? this.zoom : d3.zoomIdentity;
    const [x, y] = zoom.apply([this.plan_.places.get(node.id).x, this.plan_.places.get(node.id).y]);
    const left = Math.max(4, Math.min(this.picture.clientWidth - this.tip.offsetWidth - 4, x - this.tip.offsetWidth / 2));
    const above = y - this.picture.scrollTop - this.tip.offsetHeight - 22;
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${this.picture.offsetTop + (above > 0 ? above : y - this.picture.scrollTop + 26)}px`;
  }

  choose(id) {
    if (this.chosen === id && id !== null) id = null;
    this.chosen = id;
    this.plan = null;
    this.draw(false);
  }

  // Where the arrows are, or begin.
  focusedNode() {
    const drawn = (id) => (this.plan_.places.has(id) ? this.tree.nodes.get(id) : undefined);
    return drawn(this.focused) ?? drawn(this.chosen) ?? this.tree.main;
  }

  focusPainted(node) {
    this.focused = node.id;
    this.keyed.show(node, this.plan_.places.get(node.id), (node.folded ? `, ${counted(node.folded, "peer")} folded behind it` : "") +
      (node.id === this.chosen ? ", chosen" : ""));
  }

  key(event) {
    const node = this.canvas ? this.focusedNode() : this.tree.nodes.get(event.target.dataset?.id);
    if (!node) return;
    const next = nextOf(this.tree, this.plan_.places, node, event.key);
    if (event.key === "Enter" || event.key === " ") this.choose(node.id);
    else if (event.key === "Escape") this.choose(null);
    else if (!next) return;
    event.preventDefault();
    const target = next ?? node;
    if (this.canvas) return this.focusPainted(target);
    this.focused = target.id;
    const all = [...this.svg.querySelectorAll("g.peer")];
    for (const one of all) one.setAttribute("tabindex", one.dataset.id === target.id ? 0 : -1);
    all.find((one) => one.dataset.id === target.id)?.focus();
  }

  showPanel() {
    const node = this.chosen && this.tree.nodes.get(this.chosen);
    if (!node) {
      this.panel.replaceChildren(el("p", {class: "hint"},
        this.tree.all.length ? "Choose a peer to see where it hangs, and what would follow if it died." : ""));
      this.panel.hidden = !this.tree.all.length;
      return;
    }
    this.panel.hidden = false;
    const row = (name, value) => [el("dt", {}, name), el("dd", {text: value})];
    const planned = this.plan?.kill === node.id ? this.plan : null;
    this.panel.replaceChildren(...[
      el("div", {class: "panel-head"}, el("h2", {text: node.id}), el("span", {class: `badge ${node.state}`}, STATES[node.state][0]),
        el("button", {class: "close", type: "button", "aria-label": "Close", onclick: () => this.choose(null)}, "×")),
      el("dl", {}, ...row("depth", node.depth), ...row("parent", node.parent?.id ?? "–"),
        ...row("children", node.behind.map((child) => child.id).join(", ") || "–"),
        ...row("listens at", node.peer.at), ...(node.peer.home ? row("home", node.peer.home) : []),
        ...row("joined as", `number ${orderText(node.peer.order)}`)),
      el("button", {class: "main", type: "button", id: "whatif", onclick: () => this.whatIf(node.id)}, "What if it dies?"),
      node.folded && this.top !== node.id ? el("button", {class: "plain wide", type: "button", onclick: () => this.look(node.id)},
        `Show its ${node.folded.toLocaleString("en")} folded peers`) : null,
      planned ? this.planText(planned) : null].filter(Boolean));
  }

  planText(plan) {
    if (plan.error) return el("p", {class: "plan error"}, shown(plan.error.message));
    const lines = plan.attachments.map(({id, to}) => (to === null
      ? `${shown(id)} would become the root` : `${shown(id)} would attach to ${shown(to)}`));
    return el("div", {class: "plan"}, el("ul", {}, ...(lines.length ? lines : ["No peer would have to attach again"])
      .map((line) => el("li", {}, line))),
      el("p", {class: "quiet"}, `${counted(plan.peers?.length ?? 0, "peer")} would remain. Nothing was changed.`));
  }

  async whatIf(id) {
    try {
      this.plan = {kill: id, attachments: [], ...await this.connection.run(`whatif kill ${quoted(id)}`)};
    } catch (error) {
      this.plan = {kill: id, attachments: [], error: {message: error.message}};
    }
    this.plan.kill = id;
    this.draw(false);
  }

  // --- the last ten minutes

  playBack() {
    const part = this.slider.value / 1000;
    const from = this.model.earliest(), now = Date.now();
    this.time = part >= 0.999 ? null : from + part * (now - from);
    this.when.textContent = this.time === null ? "" : clock(this.time);
    this.now.hidden = this.time === null;
    this.picture.classList.toggle("past", this.time !== null);
    this.draw(true);
  }

  toNow() {
    this.slider.value = 1000;
    this.playBack();
  }
}

// From the parent-to-be to the peer, above the links that there are.
function wouldPath(plan, {id, to}) {
  const from = plan.places.get(to), end = plan.places.get(id);
  const lift = 34 + Math.abs(from.x - end.x) / 8;
  return `M${from.x},${from.y}C${from.x},${from.y - lift} ${end.x},${end.y - lift} ${end.x},${end.y}`;
}

// `depth 7–12`, or without the word where there is no room. `base`: the depth of what is drawn lowest.
function depthText({first, last}, width, base) {
  first += base;
  last += base;
  return (width < 600 ? "" : "depth ") + (first === last ? `${first}` : `${first}–${last}`);
}

// As a word of a command line.
export function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// An order says which metaserver gave it in its upper digits.
function orderText(order) {
  return order < 2 ** 32 ? order.toLocaleString("en") : String(order);
}

function short(text, letters) {
  const most = Math.max(3, Math.floor(letters));
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

function describe(node, hasHomes, isNamed = true) {
  const parts = [];
  if (isNamed) parts.push(shown(node.id));
  if (node.state === "root") parts.push("root of the tree");
  else if (node.parent) parts.push(`depth ${node.depth}, below ${shown(node.parent.id)}`);
  else parts.push(STATES[node.state][1]);
  parts.push(counted(node.links, "link"));
  if (hasHomes && node.peer.home) parts.push(`home ${shown(node.peer.home)}`);
  return parts.join(isNamed ? ", " : " · ");
}

// The place of a parent, with the side to which a fold bulges.
function withWay(plan, parent, child) {
  const from = plan.places.get(parent), to = plan.places.get(child);
  const middle = plan.kind === "line" ? plan.places.values().next().value.x : plan.width / 2;
  const isOuter = (to.wire ?? 0) % 2 === 1;
  const side = from.x >= middle ? 1 : -1;
  return {...from, way: isOuter ? side : -side};
}

function symbolImage(state) {
  const svg = d3.create("svg").attr("viewBox", "-8 -8 16 16").attr("width", 14).attr("height", 14).attr("aria-hidden", "true");
  svg.append("path").attr("d", symbol(state, 90));
  return svg.node();
}
