// Comparison of two runs: significance, photos with different predictions, curves and settings.

import { chart } from "./chart.js";
import { table } from "./parts.js";
import { seenCurve } from "./run.js";

const FIRST_SHOWN = 24;
const KINDS = { "only A right": "only_a", "only B right": "only_b", "both wrong": "both_wrong" };

export async function mountCompare(root, app, { a, b }) {
  const { el, t } = app;
  const { runs } = await app.api("/api/runs");
  const page = (...parts) => root.replaceChildren(el("p", { class: "back" }, el("a", { href: "#/runs" }, "← ", t("all"))),
    el("h1", { tabindex: "-1" }, t("compare_title")), chooser(app, runs, a, b), ...parts.filter(Boolean));
  if (!a || !b || a === b) {
    page(el("p", { class: "notice" }, t("same_run")));
    return {};
  }
  const address = (name) => `/api/runs/${name.split("/").map(encodeURIComponent).join("/")}`;
  const [found, runA, runB] = await Promise.all([app.api(`/api/runs/compare?${new URLSearchParams({ a, b })}`), app.api(address(a)), app.api(address(b))]);
  page(answers(app, found), found.comparison && changed(app, found.comparison), curves(app, runA, runB), settings(app, found));
  return {};
}

function chooser(app, runs, a, b) {
  const { el, t } = app;
  const go = (first, second) => app.go(`#/runs/compare?${new URLSearchParams({ a: first, b: second })}`);
  const select = (id, value, label, chosen) => {
    const control = el("select", { id, on: { change: () => chosen(control.value) } }, runs.map((run) => el("option", { value: run.id }, run.id)));
    control.value = value;
    return el("div", { class: "field" }, el("label", { for: id, class: "soft small" }, label), control);
  };
  return el("div", { class: "row chooser" }, select("runs-a", a, t("choose_a"), (name) => go(name, b)),
    el("button", { "aria-label": t("swap"), on: { click: () => go(b, a) } }, "⇄"), select("runs-b", b, t("choose_b"), (name) => go(a, name)));
}

function answers(app, found) {
  const { el, t } = app;
  const comparison = found.comparison;
  if (!comparison) return el("p", { class: "notice bad" }, t("not_compared", { reason: found.reason }));
  const signed = (value, digits) => { const text = (value + 0).toFixed(digits); return Number(text) === 0 ? `+${(0).toFixed(digits)}` : `${value > 0 ? "+" : ""}${text}`.replace("-", "−"); };
  const between = (figure, scale, digits) => (figure.interval95 ? figure.interval95.map((end) => signed(scale * end, digits)) : null);
  const points = between(comparison.accuracy, 100, 1);
  const verdict = t("better_sentence", {
    who: comparison.winner ? t("better", { name: `${comparison.winner} (${comparison.winner === "A" ? found.a : found.b})` }) : t("no_difference"),
    points: signed(100 * comparison.accuracy.difference, 1),
    interval: points ? t("interval95", { low: points[0], high: points[1] }) : t("no_interval"),
    p: comparison.p_value >= 0.001 ? t("p_is", { p: Number(comparison.p_value.toPrecision(2)) }) : t("p_less"),
  });
  const row = (name, figure, scale, digits) => [name, (scale * figure.a).toFixed(digits), (scale * figure.b).toFixed(digits), signed(scale * figure.difference, digits),
    between(figure, scale, digits)?.join(" … ") ?? "–"];
  const names = found.uncalibrated.map((side) => side.toUpperCase()).join(", ");
  return el("section", {}, el("p", { class: "verdict" }, verdict, comparison.agrees ? null : ` ${t("disagree")}`),
    table(app, [t("figure"), t("a"), t("b"), t("difference"), t("interval_head")],
      [row(t("accuracy_pct"), comparison.accuracy, 100, 1), row(t("macro_f1"), comparison.macro_f1, 1, 3), row(t("nll"), comparison.nll, 1, 3)], "figures"),
    el("p", { class: "soft small" }, t("b_minus_a", { n: comparison.n }), comparison.groups ? ` ${t("drawn", { n: comparison.groups })}` : null),
    names ? el("p", { class: "notice small" }, t("uncalibrated", { names })) : null);
}

/** Photos with different predictions, filtered by which run is right. */
function changed(app, comparison) {
  const { el, t } = app;
  const { photos } = comparison;
  const list = el("div", { class: "changed" });
  const more = el("button", { on: { click: () => draw(true) } });
  let kind = "";
  const buttons = ["", ...Object.keys(KINDS)].map((name) => {
    const n = name ? comparison.changed[name] : photos.length;
    return el("button", { disabled: n === 0, value: name, "aria-pressed": "false", on: { click: () => { kind = name; draw(); } } }, t(name ? KINDS[name] : "all_changes", { n }));
  });

  function card(photo) {
    const says = (who, name, confidence) => el("p", { class: name === photo.class_name ? "right" : "wrong" },
      t("says", { who, name: app.className(name) }), " ", el("span", { class: "soft" }, app.percent(confidence)));
    return el("article", { class: "card" }, photo.photo ? el("img", { src: app.imageUrl(`/api/photos/${photo.photo}/thumb`), alt: photo.path, loading: "lazy" })
      : el("p", { class: "soft small missing" }, t("no_photo")),
    el("div", {}, el("h3", {}, app.className(photo.class_name)), says("A", photo.predicted_a, photo.confidence_a), says("B", photo.predicted_b, photo.confidence_b),
      el("p", { class: "soft tiny path" }, photo.path)));
  }

  function draw(all = false) {
    const chosen = photos.filter((photo) => !kind || photo.change === kind);
    list.replaceChildren(...(all ? chosen : chosen.slice(0, FIRST_SHOWN)).map(card));
    more.hidden = all || chosen.length <= FIRST_SHOWN;
    more.textContent = t("show_all", { n: chosen.length });
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.value === kind));
  }

  draw();
  return el("section", {}, el("h2", {}, t("changed")), photos.length ? [el("div", { class: "row kinds" }, buttons), list, more] : el("p", { class: "soft" }, t("changed_none")));
}

function curves(app, runA, runB) {
  const { el, t } = app;
  const last = Math.max(runA.curves?.last_epoch ?? 0, runB.curves?.last_epoch ?? 0);
  if (!last) return el("section", {}, el("h2", {}, t("curves")), el("p", { class: "soft" }, t("no_curves_both")));
  const one = (figure) => {
    const lines = [["A", "first", runA], ["B", "second", runB]].filter(([, , run]) => run.curves).flatMap(([who, className, run]) => {
      const val = run.curves.curves[`val/${figure}`];
      const seen = seenCurve(val, run.curves.curves[`gap/${figure}`]);
      return [{ label: t("line_of", { who, line: t("line_val") }), className, curve: val },
        seen.epochs.length ? { label: t("line_of", { who, line: t("line_seen") }), className: `${className} dashed`, curve: seen, marks: false } : null];
    });
    return chart(app, { title: t(`chart_${figure}`), share: figure === "acc", lastEpoch: last, lines: lines.filter(Boolean) });
  };
  return el("section", {}, el("h2", {}, t("curves")), el("div", { class: "charts" }, one("acc"), one("loss")));
}

function settings(app, found) {
  const { el, t } = app;
  let body = el("p", { class: "soft" }, t("same_settings"));
  if (found.settings === null) body = el("p", { class: "soft" }, t("unreadable", { reason: found.settings_reason }));
  else if (found.settings.length) {
    body = table(app, [t("setting"), t("a"), t("b")], found.settings.map((item) => [el("code", {}, item.name), el("code", {}, item.a || "–"), el("code", {}, item.b || "–")]), "settings");
  }
  return el("section", {}, el("h2", {}, t("settings_differ")), body);
}

