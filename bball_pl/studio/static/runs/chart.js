// Line chart by epoch, as SVG in the colours of the page; the legend shows the values under the pointer.

const MARGIN = { left: 52, right: 14, top: 18, bottom: 42 };
const NEAR = 40;

/** Return a figure.
 *
 * `lines`: [{label, className, curve: {epochs, values}, marks}], `flats`: [{label, className, value}],
 * `stands`: [{label, epoch}], `band`: {low, high} curves with the same epochs; `share`: 0 to 1, shown in percent. */
export function chart(app, { title, lines, flats = [], stands = [], band = null, share, lastEpoch }) {
  const { el, svg, t } = app;
  const drawn = lines.filter((line) => line.curve.values.some((value) => value !== null));
  const format = (value) => (value === null || value === undefined ? "–" : share ? t("percent", { n: (100 * value).toFixed(1) }) : value.toFixed(3));
  const values = el("b", {}, "");
  const items = [...drawn, ...flats].map((line) => {
    const value = el("b");
    return { line, value, element: el("li", {}, swatch(svg, line.className), el("span", {}, line.label), value) };
  });
  const plot = svg("svg", { class: "plot", role: "img", "aria-label": title });
  const box = el("div", { class: "plot-box" }, plot);
  const figure = el("figure", { class: "chart" }, el("figcaption", {}, el("h3", {}, title), values),
    box, el("ul", { class: "legend" }, items.map((item) => item.element)), details());
  const [low, high, ticks] = range(drawn, flats, share);
  let width = 0;
  let height = 0;
  let cursor = null;

  const x = (epoch) => MARGIN.left + ((width - MARGIN.left - MARGIN.right) * epoch) / (lastEpoch + 1);
  const y = (value) => MARGIN.top + (height - MARGIN.top - MARGIN.bottom) * (1 - (value - low) / (high - low));

  function draw() {
    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.setAttribute("width", width);
    plot.setAttribute("height", height);
    const parts = [];
    for (const tick of ticks) {
      parts.push(svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }),
        svg("text", { class: "tick", x: MARGIN.left - 8, y: y(tick) + 4, "text-anchor": "end" }, share ? t("percent", { n: Math.round(100 * tick) }) : short(tick)));
    }
    for (const epoch of steps(lastEpoch, width / 60)) {
      parts.push(svg("text", { class: "tick", x: x(epoch), y: height - 24, "text-anchor": "middle" }, String(epoch)));
    }
    parts.push(svg("text", { class: "tick", x: width - MARGIN.right, y: height - 6, "text-anchor": "end" }, t("epochs").toLowerCase()));
    if (band) parts.push(svg("path", { class: "band", d: area(band) }));
    for (const stand of stands) {
      const side = x(stand.epoch) > width - 60 ? "end" : "start";
      parts.push(svg("line", { class: "stand", x1: x(stand.epoch), x2: x(stand.epoch), y1: MARGIN.top, y2: height - MARGIN.bottom }),
        svg("text", { class: "tick", x: x(stand.epoch) + (side === "end" ? -5 : 5), y: MARGIN.top - 5, "text-anchor": side }, stand.label));
    }
    for (const flat of flats) parts.push(svg("line", { class: `line ${flat.className}`, x1: MARGIN.left, x2: width - MARGIN.right, y1: y(flat.value), y2: y(flat.value) }));
    for (const line of drawn) {
      parts.push(svg("path", { class: `line ${line.className}`, d: path(line.curve) }));
      if (line.marks !== false && lastEpoch <= 25) {
        for (const [epoch, value] of points(line.curve)) parts.push(svg("circle", { class: `mark ${line.className}`, cx: x(epoch), cy: y(value), r: 3 }));
      }
    }
    cursor = svg("line", { class: "cursor", y1: MARGIN.top, y2: height - MARGIN.bottom, visibility: "hidden" });
    plot.replaceChildren(...parts, cursor);
  }

  function path(curve) {
    let pen = "M";
    // Infinity and NaN leave a gap.
    return curve.epochs.map((epoch, index) => {
      const value = curve.values[index];
      if (value === null) { pen = "M"; return ""; }
      const part = `${pen}${x(epoch).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
      return part;
    }).join("");
  }

  function area({ low: below, high: above }) {
    const up = points(above).map(([epoch, value]) => `${x(epoch).toFixed(1)} ${y(value).toFixed(1)}`);
    const down = points(below).reverse().map(([epoch, value]) => `${x(epoch).toFixed(1)} ${y(value).toFixed(1)}`);
    return up.length ? `M${[...up, ...down].join("L")}Z` : "";
  }

  /** Show the values of an epoch in the legend; by default the last value of each line. */
  function showValues(epoch = null) {
    values.textContent = epoch === null ? t("at_last") : t("at_epoch", { n: epoch });
    for (const { line, value } of items) {
      const shown = line.curve ? (epoch === null ? points(line.curve).at(-1)?.[1] : at(line.curve, epoch)) : line.value;
      value.textContent = format(shown);
    }
  }

  function follow(event) {
    const inside = event.clientX - plot.getBoundingClientRect().left;
    const epoch = Math.round(((inside - MARGIN.left) / (width - MARGIN.left - MARGIN.right)) * (lastEpoch + 1));
    if (epoch < 1 || epoch > lastEpoch || Math.abs(x(epoch) - inside) > NEAR) return;
    cursor.setAttribute("x1", x(epoch));
    cursor.setAttribute("x2", x(epoch));
    cursor.setAttribute("visibility", "visible");
    showValues(epoch);
  }

  function details() {
    const epochs = [...new Set(drawn.flatMap((line) => line.curve.epochs))].sort((a, b) => a - b);
    const head = el("tr", {}, el("th", { scope: "col" }, t("epochs")), drawn.map((line) => el("th", { scope: "col" }, line.label)));
    const rows = epochs.map((epoch) => el("tr", {}, el("th", { scope: "row" }, String(epoch)), drawn.map((line) => el("td", {}, format(at(line.curve, epoch))))));
    return el("details", {}, el("summary", { class: "small" }, t("curve_table")),
      el("div", { class: "scroll" }, el("table", {}, el("thead", {}, head), el("tbody", {}, rows))));
  }

  plot.addEventListener("pointermove", follow);
  plot.addEventListener("pointerdown", follow);
  plot.addEventListener("pointerleave", () => { cursor?.setAttribute("visibility", "hidden"); showValues(); });
  new ResizeObserver(() => {
    const next = Math.floor(box.clientWidth);
    if (!next || next === width) return;
    width = next;
    height = Math.round(Math.min(300, Math.max(210, width * 0.55)));
    draw();
  }).observe(box);
  showValues();
  return figure;
}

function points(curve) {
  return curve.epochs.map((epoch, index) => [epoch, curve.values[index]]).filter(([, value]) => value !== null);
}

export function at(curve, epoch) {
  const index = curve.epochs.indexOf(epoch);
  return index < 0 ? null : curve.values[index];
}

function swatch(svg, className) {
  return svg("svg", { class: "swatch", viewBox: "0 0 24 10", "aria-hidden": "true" }, svg("line", { class: `line ${className}`, x1: 0, x2: 24, y1: 5, y2: 5 }));
}

/** Limits and ticks of the value axis. */
function range(lines, flats, share) {
  const all = [...lines.flatMap((line) => line.curve.values), ...flats.map((flat) => flat.value)].filter((value) => value !== null);
  let low = share ? Math.min(...all) : 0;
  let high = Math.max(...all);
  if (!all.length) [low, high] = [0, 1];
  const step = round((high - low || 0.1) / 5);
  low = Math.max(share ? 0 : low, Math.floor(low / step) * step);
  high = Math.ceil(high / step - 1e-9) * step;
  if (share) high = Math.min(1, high);
  if (high <= low) high = low + step;
  const ticks = [];
  for (let tick = low; tick <= high + step / 1e3; tick += step) ticks.push(tick);
  return [low, high, ticks];
}

function round(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= step * 0.999);
}

function steps(last, room) {
  const step = Math.max(1, round(last / Math.max(2, room)));
  const found = [];
  for (let epoch = step; epoch <= last; epoch += step) found.push(epoch);
  return found;
}

function short(value) {
  return String(Number(value.toPrecision(3)));
}
