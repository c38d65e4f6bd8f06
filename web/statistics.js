// Statistics: what the network counts, as plots, and the traffic of a peer.
import {el, shown, bytes, clock} from "./dom.js";

export class StatisticsPage {
  constructor(model, connection) {
    this.model = model;
    this.connection = connection;
  }

  mount(main) {
    this.box = el("div", {class: "plots"});
    main.replaceChildren(el("section", {class: "sheet"}, el("h1", {}, "Statistics"), this.box));
    this.load();
    this.timer = setInterval(() => this.load(), 10000);
  }

  unmount() {
    clearInterval(this.timer);
  }

  changed() {}

  async load() {
    try {
      this.show(await this.connection.run("stats --days 30"));
    } catch (error) {
      this.box.replaceChildren(el("p", {class: "quiet"}, error.message));
    }
  }

  show(data) {
    if (data.error) {
      this.box.replaceChildren(el("p", {class: "quiet"}, shown(data.error.message)));
      return;
    }
    const numbers = Object.entries(data).filter(([, value]) => typeof value === "number");
    const days = data.days ?? [];
    this.box.replaceChildren(
      growth(this.model, this.box.clientWidth),
      el("div", {class: "figures"}, ...numbers.map(([name, value]) => el("div", {class: "figure"},
        el("b", {}, value.toLocaleString("en", {maximumFractionDigits: 2})), el("span", {}, name)))),
      ...days.length ? ["sessions", "lost", "approaches"].filter((name) => days.some((day) => day[name] > 0))
        .map((name) => bars(days, name, this.box.clientWidth)) : []);
  }
}

// Of a peer: what it has sent and received, as far as this page has seen, and what `stats` tells of the network.
export class TrafficPage extends StatisticsPage {
  mount(main) {
    this.own = el("div", {class: "plots"});
    this.box = el("div", {class: "plots"});
    main.replaceChildren(el("section", {class: "sheet"}, el("h1", {}, "Statistics"), this.own, el("h2", {}, "The network"), this.box));
    this.changed();
    this.load();
    this.timer = setInterval(() => {
      this.changed();
      if (++this.turns % 5 === 0) this.load();
    }, 2000);
    this.turns = 0;
  }

  changed() {
    if (!this.own?.isConnected) return;
    const self = this.model.self;
    const figure = (value, name) => el("div", {class: "figure"}, el("b", {}, value), el("span", {}, name));
    const rates = ratesOf(this.model.traffic, Math.min(this.model.earliest(), Date.now() - 60e3));
    const wide = this.own.clientWidth, room = wide > 760 ? (wide - 40) / 2 : wide;
    const last = rates.at(-1) ?? {sent: 0, received: 0};
    this.own.replaceChildren(el("div", {class: "figures"},
      figure(bytes(self.sent ?? 0), "sent"), figure(bytes(self.received ?? 0), "received"),
      figure(`${bytes(Math.round(last.sent))}/s`, "up now"), figure(`${bytes(Math.round(last.received))}/s`, "down now"),
      figure(String(this.model.group("transfers").size), "under way"),
      figure((self.files ?? 0).toLocaleString("en"), self.files === 1 ? "file shared" : "files shared")),
    el("div", {class: "pair"}, traffic(rates, "received", "Down, the last ten minutes", room),
      traffic(rates, "sent", "Up, the last ten minutes", room)));
  }
}

const STEP = 2000;  // of a point of a plot

// Bytes a second in steps, from what was counted at some times.
function ratesOf(counted, from) {
  const now = Date.now(), rates = [];
  const at = (time, name) => {
    let value = counted[0]?.[name] ?? 0;
    for (let i = 1; i < counted.length; ++i) {
      const {at: later, [name]: after} = counted[i], {at: earlier, [name]: before} = counted[i - 1];
      if (time >= later) value = after;
      else if (time > earlier) return before + (after - before) * (time - earlier) / (later - earlier);
      else break;
    }
    return value;
  };
  for (let time = now - Math.floor((now - from) / STEP) * STEP + STEP; time <= now; time += STEP) {
    const rate = (name) => Math.max(0, (at(time, name) - at(time - STEP, name)) / (STEP / 1000));
    rates.push({at: time, sent: rate("sent"), received: rate("received")});
  }
  return rates;
}

function traffic(rates, name, title, room) {
  const width = Math.max(120, Math.min(760, room)), height = 140;
  const now = Date.now(), from = Math.min(rates[0]?.at ?? now, now - 10000);
  const x = d3.scaleLinear([from, now], [0, width]);
  const most = Math.max(1, d3.max(rates, (rate) => rate[name]) ?? 0);
  const y = d3.scaleLinear([0, most * 1.15], [height - 22, 8]);
  const svg = d3.create("svg").attr("width", width).attr("height", height).attr("class", "bars").attr("role", "img")
    .attr("aria-label", `${title}: at most ${bytes(Math.round(most))} a second`);
  const line = rates.map((rate) => `${x(rate.at).toFixed(1)},${y(rate[name]).toFixed(1)}`).join("L");
  if (line) {
    svg.append("path").attr("class", "area").attr("d", `M${x(rates[0].at)},${y(0)}L${line}V${y(0)}Z`);
    svg.append("path").attr("class", "curve").attr("d", `M${line}`);
  }
  svg.append("line").attr("class", "base").attr("x2", width).attr("y1", y(0)).attr("y2", y(0));
  if (most <= 1) {
    svg.append("text").attr("x", width / 2).attr("y", height / 2).attr("text-anchor", "middle").text("Nothing moved while this page was open.");
  } else {
    svg.append("line").attr("class", "rule").attr("x2", width).attr("y1", y(most)).attr("y2", y(most));
    svg.append("text").attr("x", 0).attr("y", y(most) - 4).text(`${bytes(Math.round(most))}/s`);
  }
  svg.append("text").attr("x", 0).attr("y", height - 6).text(clock(from));
  svg.append("text").attr("x", width).attr("y", height - 6).attr("text-anchor", "end").text("now");
  return el("figure", {}, el("figcaption", {}, title), svg.node());
}

// How many peers there were in the last ten minutes, as far as this page has seen.
function growth(model, room) {
  const now = Date.now(), from = Math.min(model.earliest(), now - 10000);
  let count = model.group("peers").size;
  const steps = [{at: now, count}];
  for (let i = model.past.length - 1; i >= 0; --i) {
    const {at, was, is} = model.past[i];
    steps.push({at, count});
    count += (was ? 1 : 0) - (is ? 1 : 0);
    steps.push({at, count});
  }
  steps.push({at: from, count});
  const width = Math.max(120, Math.min(760, room - 18)), height = 150;
  const x = d3.scaleLinear([from, now], [0, width]);
  const y = d3.scaleLinear([0, Math.max(1, d3.max(steps, (step) => step.count)) * 1.15], [height - 22, 8]);
  const svg = d3.create("svg").attr("width", width).attr("height", height).attr("class", "bars").attr("role", "img")
    .attr("aria-label", "peers in the last ten minutes");
  const line = steps.map(({at, count: peers}) => `${x(at).toFixed(1)},${y(peers).toFixed(1)}`).join("L");
  svg.append("path").attr("class", "area").attr("d", `M${x(now)},${y(0)}L${line}V${y(0)}Z`);
  svg.append("path").attr("class", "curve").attr("d", `M${line}`);
  svg.append("text").attr("x", 0).attr("y", height - 6).text(clock(from));
  svg.append("text").attr("x", width).attr("y", height - 6).attr("text-anchor", "end").text("now");
  return el("figure", {}, el("figcaption", {}, "Peers, the last ten minutes"), svg.node());
}

// Bars by day.
function bars(told, name, room) {
  const byDate = new Map(told.map((day) => [day.date, day]));
  const days = d3.range(29, -1, -1).map((ago) => {
    const date = new Date(Date.now() - ago * 86400000).toISOString().slice(0, 10);
    return {date, [name]: 0, ...byDate.get(date)};
  });
  const width = Math.max(120, Math.min(760, room - 18)), height = 150;
  const x = d3.scaleBand(days.map((day) => day.date), [0, width]).padding(0.25);
  const y = d3.scaleLinear([0, Math.max(1, d3.max(days, (day) => day[name]))], [height - 22, 8]);
  const svg = d3.create("svg").attr("width", width).attr("height", height).attr("class", "bars").attr("role", "img")
    .attr("aria-label", `${name} a day`);
  svg.selectAll("rect").data(days).join("rect").attr("x", (day) => x(day.date)).attr("y", (day) => y(day[name]))
    .attr("width", x.bandwidth()).attr("height", (day) => height - 22 - y(day[name])).append("title").text((day) => `${day.date}: ${day[name]}`);
  svg.selectAll("text").data(days.filter((_, i) => (days.length - 1 - i) % Math.ceil(46 * days.length / width) === 0)).join("text")
    .attr("x", (day) => x(day.date) + x.bandwidth() / 2).attr("y", height - 6).attr("text-anchor", "middle")
    .text((day) => String(day.date).slice(5));
  return el("figure", {}, el("figcaption", {}, `${name} a day`), svg.node());
}
