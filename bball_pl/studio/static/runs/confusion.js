// The confusion matrix of a run, and what follows from it for each class.

import { percent1, table } from "./parts.js";

export function confusion(app, { labels, matrix }) {
  const { el, t } = app;
  const cell = (row, column) => {
    const n = matrix[row][column];
    const all = matrix[row].reduce((sum, own) => sum + own, 0);
    const share = all ? n / all : 0;
    const kind = row === column ? "hit" : "miss";
    const title = t("cell", { n, true: app.className(labels[row]), said: app.className(labels[column]) });
    const own = el("td", { class: kind, title }, el("b", {}, String(n)), el("small", {}, app.percent(share)));
    // Colour says the share of the row; the numbers say it to everybody.
    own.style.setProperty("--share", share.toFixed(3));
    return own;
  };
  return el("div", { class: "scroll" }, el("table", { class: labels.length > 6 ? "confusion many" : "confusion" },
    el("thead", {}, el("tr", {}, el("th", { class: "small" }, t("true_said")), labels.map((label) => el("th", { scope: "col" }, app.className(label))))),
    el("tbody", {}, labels.map((label, row) => el("tr", {}, el("th", { scope: "row" }, app.className(label)), labels.map((_, column) => cell(row, column)))))));
}

export function perClass(app, run) {
  const { t } = app;
  const said = (value) => (typeof value === "number" ? t("percent", { n: percent1(value) }) : "–");
  const rows = run.confusion.labels.filter((label) => run.per_class[label]).map((label) => {
    const own = run.per_class[label];
    return [app.className(label), String(own.support ?? "–"), said(own.recall), said(own.precision), typeof own.f1 === "number" ? own.f1.toFixed(3) : "–"];
  });
  return rows.length ? table(app, ["", t("photos"), t("recall"), t("precision"), t("f1")], rows) : null;
}
