// Parts of the Sort page: progress and unsaved changes.

/** Progress bar with a coloured part for each class. */
export function drawLine({ svg, classes }, flow, sorted) {
  const all = Math.max(1, sorted + flow.left + flow.progress.skipped);
  let from = 0;
  const parts = classes.map((item) => {
    const width = (100 * flow.count(item.name)) / all;
    const part = svg("rect", { class: `class-${item.key}`, x: `${from}%`, width: `${width}%`, height: "100%" });
    from += width;
    return part;
  });
  return svg("svg", { class: "progress", "aria-hidden": "true" }, svg("rect", { class: "rail", width: "100%", height: "100%" }), parts);
}

/** Rows of a list: number of photos in each class, quarantined and skipped. */
export function drawCounts(app, flow, sorted) {
  const rows = [
    ...app.classes.map((item) => [app.className(item.name), flow.count(item.name), `class-${item.key}`]),
    [app.t("quarantined"), flow.progress.quarantined, ""],
    [app.t("skipped"), flow.progress.skipped, ""],
  ];
  return rows.flatMap(([name, number, style]) => [
    app.el("dt", {}, name),
    app.el("dd", {}, app.meter(number / Math.max(1, sorted), style)),
    app.el("dd", { class: "share" }, String(number)),
  ]);
}

/** The unsaved changes, with buttons to save or drop them. */
export function drawFailure({ el, t }, problem, unsaved, stateName, retry, drop) {
  const names = unsaved.map((op) => (op.kind === "undo"
    ? t("undo_of", { name: op.photo?.name ?? "" }) : t("as", { name: op.photo.name, state: stateName(op.state) })));
  const more = names.length - 8;
  return [
    el("p", {}, el("strong", {}, t("not_saved", { message: problem.message }))),
    names.length ? el("p", {}, t("not_saved_list")) : "",
    names.length ? el("ul", {}, names.slice(0, 8).map((name) => el("li", {}, name)), more > 0 ? el("li", {}, `+ ${more}`) : null) : "",
    el("p", { class: "row" },
      el("button", { class: "primary", on: { click: retry } }, t(names.length ? "retry" : "again")),
      names.length ? el("button", { on: { click: drop } }, t("drop")) : ""),
  ];
}
