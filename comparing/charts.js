// Charts as SVG: curves with bands and the runs behind them, and the values under the pointer.
// Names come from folders of runs: every text is set as text, never as HTML.

const DASHES = ["", "7 3", "2 3", "8 3 2 3"]; // another one after every eight contenders: there are eight colours
const COLOURS = 8;
const MARGIN = { top: 8, right: 12, bottom: 40, left: 46 };

function add(parent, name, attributes = {}, text = null) {
  const svg = ["svg", "g", "path", "line", "circle", "text"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return parent.appendChild(made);
}

const colour = (contender) => `--colour: var(--c${contender % COLOURS})`;
const dash = (contender) => DASHES[Math.floor(contender / COLOURS) % DASHES.length];

function swatch(parent, contender) {
  const svg = add(parent, "svg", { class: "swatch series", style: colour(contender), viewBox: "0 0 26 11", "aria-hidden": "true" });
  add(svg, "line", { class: "line", x1: 1, x2: 25, y1: 5.5, y2: 5.5, "stroke-dasharray": dash(contender) });
}

// 2.5k for 2,500: what stands at an axis is short.
function number(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(4)}M`;
  if (size >= 1e3) return `${+(value / 1e3).toPrecision(4)}k`;
  return value.toLocaleString("en", { maximumFractionDigits: 3 });
}

const score = (value) => value.toFixed(Math.abs(value) >= 100 ? 1 : 2);

function ticks([low, high], count, log) {
  if (log) {
    const powers = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high * 1.0001; power++)
      for (const factor of high / low < 30 ? [1, 2, 5] : [1]) powers.push(factor * 10 ** power);
    return powers.filter((tick) => tick >= low * 0.9999 && tick <= high * 1.0001);
  }
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.9999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step || 0);
  return found;
}

function scale([low, high], [start, end], log) {
  const change = log ? Math.log : (value) => value;
  const [from, to] = [change(low), change(high)];
  return (value) => start + ((change(value) - from) / (to - from || 1)) * (end - start);
}

// The points of a line; between them it is level where a curve is of stairs.
function corners(xs, ys, stairs) {
  return xs.flatMap((x, i) => (stairs && i ? [[x, ys[i - 1]], [x, ys[i]]] : [[x, ys[i]]]));
}

const path = (points) => "M" + points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");

// What lies below all lines: runs and bands.
function drawBelow(svg, panel, series, along, up) {
  const group = groupOf(svg, series), line = lineOf(panel, along, up);
  for (const y of series.runs) add(group, "path", { class: "run", d: path(line(series.x, y)) });
  if (series.low && panel.dots)
    series.x.forEach((x, i) => {
      add(group, "line", { class: "bar", x1: along(x), x2: along(x), y1: up(series.low[i]), y2: up(series.high[i]) });
    });
  else if (series.low)
    add(group, "path", { class: "band", d: path([...line(series.x, series.high), ...line(series.x, series.low).reverse()]) + "Z" });
}

function drawAbove(svg, panel, series, along, up) {
  const group = groupOf(svg, series), line = lineOf(panel, along, up);
  add(group, "path", { class: "line", d: path(line(series.x, series.y)), "stroke-dasharray": dash(series.contender) });
  if (panel.dots || series.x.length === 1)
    series.x.forEach((x, i) => add(group, "circle", { cx: along(x), cy: up(series.y[i]), r: 3.6, stroke: "none" }));
  for (const [x, y] of series.marks)
    add(group, "line", { class: "mark", x1: along(x), x2: along(x), y1: up(y) - 5, y2: up(y) + 5 });
}

const lineOf = (panel, along, up) => (xs, ys) => corners(xs.map(along), ys.map(up), panel.stairs);
const groupOf = (svg, series) =>
  add(svg, "g", { class: "series", style: colour(series.contender), "data-contender": series.contender });

function drawAxes(svg, panel, along, up, width, height) {
  const { left, right, bottom, top } = MARGIN;
  for (const tick of ticks(panel.within, 4, false)) {
    add(svg, "line", { class: "grid", x1: left, x2: width - right, y1: up(tick), y2: up(tick) });
    add(svg, "text", { x: left - 6, y: up(tick) + 4, "text-anchor": "end" }, number(tick));
  }
  for (const tick of ticks(panel.along, Math.floor(width / 65), panel.log))
    add(svg, "text", { x: along(tick), y: height - bottom + 16, "text-anchor": "middle" }, number(tick));
  add(svg, "text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, panel.x);
  const middle = (top + height - bottom) / 2;
  add(svg, "text", { transform: `translate(11 ${middle}) rotate(-90)`, "text-anchor": "middle" }, panel.y);
  for (const [x, y] of panel.joined) add(svg, "path", { class: "joined", d: path(corners(x.map(along), y.map(up), false)) });
  if (panel.level !== null)
    add(svg, "line", { class: "level", x1: left, x2: width - right, y1: up(panel.level), y2: up(panel.level) });
}

class Chart {
  constructor(svg, panel, hidden) {
    Object.assign(this, { svg, panel, hidden, at: null });
    svg.addEventListener("pointermove", (event) => this.point(event.clientX));
    svg.addEventListener("pointerdown", (event) => this.point(event.clientX));
    for (const end of ["pointerleave", "pointercancel", "blur"]) svg.addEventListener(end, () => this.leave());
    svg.addEventListener("keydown", (event) => this.key(event));
    this.draw();
    new ResizeObserver(() => this.draw()).observe(svg.parentElement);
  }

  get shown() {
    return this.panel.series.filter((series) => !this.hidden.has(series.contender));
  }

  draw() {
    const { svg, panel } = this;
    this.width = Math.max(svg.parentElement.clientWidth, 200);
    this.height = Math.min(Math.max(this.width * 0.64, 210), 380);
    svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    svg.replaceChildren();
    this.along = scale(panel.along, [MARGIN.left, this.width - MARGIN.right], panel.log);
    this.up = scale(panel.within, [this.height - MARGIN.bottom, MARGIN.top], false);
    drawAxes(svg, panel, this.along, this.up, this.width, this.height);
    for (const draw of [drawBelow, drawAbove])
      for (const series of this.shown) draw(svg, panel, series, this.along, this.up);
    this.cross = add(svg, "line", { class: "cross", y1: MARGIN.top, y2: this.height - MARGIN.bottom, visibility: "hidden" });
  }

  // The places where a shown curve has a value.
  get places() {
    return [...new Set(this.shown.flatMap((series) => series.x))].sort((a, b) => a - b);
  }

  point(clientX) {
    const box = this.svg.getBoundingClientRect();
    const x = ((clientX - box.left) / box.width) * this.width;
    const places = this.places;
    if (!places.length) return;
    this.show(places.reduce((best, place) => (Math.abs(this.along(place) - x) < Math.abs(this.along(best) - x) ? place : best)));
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], places = this.places;
    if (!step || !places.length) return;
    event.preventDefault();
    const now = places.indexOf(this.at);
    this.show(places[now < 0 ? 0 : Math.min(Math.max(now + step, 0), places.length - 1)]);
  }

  // Each curve's last value up to x; none before its first or after its last one.
  values(x) {
    const found = [];
    for (const series of this.shown) {
      const last = series.x.findLastIndex((place) => place <= x);
      if (last >= 0 && x <= series.x[series.x.length - 1]) found.push([series, last]);
    }
    return found.sort(([a, i], [b, j]) => b.y[j] - a.y[i]);
  }

  show(x) {
    this.at = x;
    for (const end of ["x1", "x2"]) this.cross.setAttribute(end, this.along(x));
    this.cross.setAttribute("visibility", "visible");
    const box = document.getElementById("value"), table = document.createElement("table");
    add(table, "caption", {}, `${this.panel.x}: ${x.toLocaleString("en", { maximumFractionDigits: 3 })}`);
    for (const [series, i] of this.values(x)) {
      const row = add(table, "tr");
      swatch(add(row, "td"), series.contender);
      add(row, "th", { scope: "row" }, names[series.contender]);
      add(row, "td", {}, score(series.y[i]));
      add(row, "td", {}, series.low ? `[${score(series.low[i])}, ${score(series.high[i])}]` : "");
    }
    box.replaceChildren(table);
    box.hidden = false;
    const svg = this.svg.getBoundingClientRect(), at = svg.left + (this.along(x) / this.width) * svg.width;
    const right = at + 16 + box.offsetWidth < document.documentElement.clientWidth;
    box.style.left = `${Math.max(right ? at + 14 : at - 14 - box.offsetWidth, 4)}px`;
    box.style.top = `${Math.min(Math.max(svg.top + 10, 4), Math.max(innerHeight - box.offsetHeight - 4, 4))}px`;
  }

  leave() {
    this.at = null;
    this.cross.setAttribute("visibility", "hidden");
    document.getElementById("value").hidden = true;
  }
}
