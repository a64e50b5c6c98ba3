// Table of all runs: sortable by any column, with two ticked runs to compare.

import { badge, command, day, emptyPage, epochs, known, link, percent1, whisker } from "./parts.js";

const COLUMNS = ["id", "started", "backbone", "dataset", "accuracy", "macro_f1", "ece", "epoch", "state"];
const HEADS = { id: "run" };
// Names in ascending order, dates and figures with the newest and best first; a small ECE is best.
const RISING = new Set(["id", "backbone", "dataset", "ece", "state"]);

// Order and ticks are kept until the page is closed.
const kept = { by: "started", rising: false, ticks: [] };

export async function mountTable(root, app) {
  const { el, t } = app;
  let found = await app.api("/api/runs");
  let text = JSON.stringify(found);
  const body = el("tbody");
  const heads = new Map(COLUMNS.map((name) => [name, el("th", { scope: "col", class: name },
    el("button", { class: "plain", on: { click: () => sortBy(name) } }, t(HEADS[name] ?? name), el("span", { class: "arrow", "aria-hidden": "true" })))]));
  const order = el("select", { id: "runs-order", on: { change: () => sortBy(order.value) } },
    COLUMNS.map((name) => el("option", { value: name }, t(HEADS[name] ?? name))));
  const compare = el("button", { class: "primary", on: { click: () => app.go(`#/runs/compare?${new URLSearchParams({ a: kept.ticks[0], b: kept.ticks[1] })}`) } }, t("compare"));
  const hint = el("span", { class: "soft small" });
  const count = el("p", { class: "soft" });

  function sortBy(name) {
    kept.rising = kept.by === name ? !kept.rising : RISING.has(name);
    kept.by = name;
    draw();
  }

  function sorted() {
    const value = (run) => run[kept.by];
    const sortable = found.runs.filter((run) => known(value(run)) && value(run) !== "");
    const compared = (a, b) => (typeof value(a) === "string" ? value(a).localeCompare(value(b), app.language, { numeric: true }) : value(a) - value(b));
    sortable.sort((a, b) => (kept.rising ? 1 : -1) * compared(a, b) || a.id.localeCompare(b.id, "en", { numeric: true }));
    // Unknown values come last in both orders.
    return [...sortable, ...found.runs.filter((run) => !sortable.includes(run))];
  }

  function row(run, start) {
    const cell = (name, ...children) => el("td", { class: children[0] === "–" ? `${name} none` : name, dataset: { label: t(HEADS[name] ?? name) } }, children);
    const box = el("input", { type: "checkbox", checked: kept.ticks.includes(run.id), "aria-label": t("choose_run", { name: run.id }),
      dataset: { key: `tick ${run.id}` }, on: { change: () => tick(run.id, box.checked) } });
    const accuracy = known(run.accuracy) ? [el("b", {}, t("percent", { n: percent1(run.accuracy) })),
      run.interval && [el("span", { class: "soft tiny range" }, t("interval", { low: percent1(run.interval[0]), high: percent1(run.interval[1]) })),
        whisker(app, run.accuracy, run.interval, start)],
      run.relabelled && el("span", { class: "tiny range relabelled" }, t("relabelled_short", { n: percent1(run.relabelled.accuracy) })),
      run.origin && el("span", { class: "tiny range relabelled" }, t("rendered_short"))] : "–";
    return el("tr", {}, el("td", { class: "tick" }, el("label", {}, box)),
      el("th", { scope: "row", class: "id" }, el("a", { href: link(run.id), dataset: { key: run.id } }, run.id)),
      cell("started", day(app, run.started)), cell("backbone", run.backbone || "–"), cell("dataset", run.dataset || "–"),
      cell("accuracy", accuracy), cell("macro_f1", known(run.macro_f1) ? run.macro_f1.toFixed(3) : "–"),
      cell("ece", known(run.ece) ? run.ece.toFixed(3) : "–"), cell("epoch", epochs(app, run)), cell("state", badge(app, run)));
  }

  function tick(name, on) {
    kept.ticks = kept.ticks.filter((id) => id !== name);
    if (on) kept.ticks.push(name);
    // Two at most: the first tick is removed.
    kept.ticks = kept.ticks.slice(-2);
    draw();
  }

  function draw() {
    const focus = document.activeElement?.dataset?.key;
    kept.ticks = kept.ticks.filter((name) => found.runs.some((run) => run.id === name));
    // One scale for all rows that starts at the lowest interval, since differences are small.
    const lows = found.runs.filter((run) => run.interval).map((run) => run.interval[0]);
    const start = Math.min(0.9, Math.floor(10 * Math.min(1, ...lows)) / 10);
    body.replaceChildren(...sorted().map((run) => row(run, start)));
    for (const [name, head] of heads) {
      head.setAttribute("aria-sort", name === kept.by ? (kept.rising ? "ascending" : "descending") : "none");
      head.querySelector(".arrow").textContent = name === kept.by ? (kept.rising ? "▲" : "▼") : "";
    }
    order.value = kept.by;
    compare.disabled = kept.ticks.length !== 2;
    hint.textContent = ["compare_hint", "compare_more"][kept.ticks.length] ? t(["compare_hint", "compare_more"][kept.ticks.length]) : kept.ticks.join(" · ");
    count.textContent = t("count", { n: found.runs.length, logs: found.logs });
    if (focus) [...body.querySelectorAll("[data-key]")].find((item) => item.dataset.key === focus)?.focus();
  }

  function page() {
    if (!found.runs.length) { root.replaceChildren(emptyPage(app)); return; }
    root.replaceChildren(el("h1", { tabindex: "-1" }, t("runs")), count,
      el("div", { class: "row tools" }, compare, hint,
        el("span", { class: "order" }, el("label", { class: "soft small", for: "runs-order" }, t("sort_by")), order)),
      el("div", { class: "scroll" }, el("table", { class: "all" },
        el("thead", {}, el("tr", {}, el("th", { class: "tick" }, el("span", { class: "unseen" }, t("compare"))), [...heads.values()])), body)),
      el("div", { class: "commands" }, command(app, t("command_tensorboard"), found.tensorboard,
        el("a", { href: "http://localhost:6006", target: "_blank", rel: "noopener noreferrer" }, t("tensorboard_link")))));
    draw();
  }

  async function refresh() {
    try {
      const next = await app.api("/api/runs");
      const nextText = JSON.stringify(next);
      if (nextText === text) return;
      const wasEmpty = !found.runs.length;
      [found, text] = [next, nextText];
      if (wasEmpty || !found.runs.length) page();
      else draw();
    } catch {
      // The server may be restarting; the page keeps its content until the next poll.
    }
  }

  page();
  return { refresh };
}
