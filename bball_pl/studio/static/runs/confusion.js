// Confusion matrix of a run, and its figures per class.

import { percent1, table } from "./parts.js";

export function confusion(app, { labels, matrix }) {
  const { el, t } = app;
  const cell = (row, column) => {
    const n = matrix[row][column];
    const all = matrix[row].reduce((sum, count) => sum + count, 0);
    const share = all ? n / all : 0;
    const kind = row === column ? "hit" : "miss";
    const title = t("cell", { n, true: app.className(labels[row]), predicted: app.className(labels[column]) });
    const element = el("td", { class: kind, title }, el("b", {}, String(n)), el("small", {}, app.percent(share)));
    // The shade repeats the share of the row.
    element.style.setProperty("--share", share.toFixed(3));
    return element;
  };
  return el("div", { class: "scroll" }, el("table", { class: labels.length > 6 ? "confusion many" : "confusion" },
    el("thead", {}, el("tr", {}, el("th", { class: "small" }, t("true_predicted")), labels.map((label) => el("th", { scope: "col" }, app.className(label))))),
    el("tbody", {}, labels.map((label, row) => el("tr", {}, el("th", { scope: "row" }, app.className(label)), labels.map((_, column) => cell(row, column)))))));
}

export function perClass(app, run) {
  const { t } = app;
  const percent = (value) => (typeof value === "number" ? t("percent", { n: percent1(value) }) : "–");
  const rows = run.confusion.labels.filter((label) => run.per_class[label]).map((label) => {
    const figures = run.per_class[label];
    return [app.className(label), String(figures.support ?? "–"), percent(figures.recall), percent(figures.precision), typeof figures.f1 === "number" ? figures.f1.toFixed(3) : "–"];
  });
  return rows.length ? table(app, ["", t("photos"), t("recall"), t("precision"), t("f1")], rows) : null;
}
