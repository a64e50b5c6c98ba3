// The confusion matrix as the way to the photos: a table of buttons.

/** Draw the matrix; `choose(true, predicted)` is called with names, empty for a whole row or column.
 *
 * `label` says a class as text, `pieces` as elements that stay whole; `chosen` is the filter. */
export function drawMatrix(app, names, matrix, label, pieces, chosen, choose) {
  const { el, t } = app;
  const rows = matrix.map((row) => row.reduce((a, b) => a + b, 0));
  const columns = names.map((_, column) => matrix.reduce((sum, row) => sum + row[column], 0));
  const pressed = (own, said) => String(chosen.show === "all" && chosen.true === own && chosen.predicted === said);
  const whole = (own, said, number, text) => el("button", { class: "whole", "aria-label": text, "aria-pressed": pressed(own, said), on: { click: () => choose(own, said) } }, String(number));
  return el("div", { class: "scroll" }, el("table", { class: "confusion" },
    el("caption", {}, t("matrix_hint")),
    el("thead", {}, el("tr", {}, el("th", { class: "tiny", scope: "col" }, t("label_axis")), names.map((name) => el("th", { scope: "col" }, pieces(name))), el("th", { scope: "col" }, "Σ"))),
    el("tbody", {}, names.map((own, row) => el("tr", {}, el("th", { scope: "row" }, pieces(own)),
      names.map((said, column) => {
        const number = matrix[row][column];
        const share = number ? Math.max(1, Math.round((10 * number) / Math.max(1, rows[row]))) : 0;
        return el("td", {}, el("button", {
          class: `cell ${row === column ? "hit" : "miss"} s${share}`, "aria-pressed": pressed(own, said),
          "aria-label": t("cell", { true: label(own), predicted: label(said), n: number }), on: { click: () => choose(own, said) },
        }, String(number)));
      }),
      el("td", {}, whole(own, "", rows[row], t("all_of", { name: label(own), n: rows[row] })))))),
    el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, "Σ"),
      names.map((said, column) => el("td", {}, whole("", said, columns[column], t("all_as", { name: label(said), n: columns[column] })))),
      el("td", {}, whole("", "", rows.reduce((a, b) => a + b, 0), t("clear")))))));
}
