// Confusion matrix as a table of buttons that filter the photos.

/** Draw the matrix. `choose(true, predicted)` is called with class names, empty for a whole row or column.
 *
 * `label` returns the name of a class as text, `pieces` as elements; `chosen` is the current filter. */
export function drawMatrix(app, names, matrix, label, pieces, chosen, choose) {
  const { el, t } = app;
  const rows = matrix.map((row) => row.reduce((a, b) => a + b, 0));
  const columns = names.map((_, column) => matrix.reduce((sum, row) => sum + row[column], 0));
  const pressed = (name, predicted) => String(chosen.show === "all" && chosen.true === name && chosen.predicted === predicted);
  const whole = (name, predicted, number, text) => el("button", { class: "whole", "aria-label": text, "aria-pressed": pressed(name, predicted), on: { click: () => choose(name, predicted) } }, String(number));
  return el("div", { class: "scroll" }, el("table", { class: "confusion" },
    el("caption", {}, t("matrix_hint")),
    el("thead", {}, el("tr", {}, el("th", { class: "tiny", scope: "col" }, t("label_axis")), names.map((name) => el("th", { scope: "col" }, pieces(name))), el("th", { scope: "col" }, "Σ"))),
    el("tbody", {}, names.map((name, row) => el("tr", {}, el("th", { scope: "row" }, pieces(name)),
      names.map((predicted, column) => {
        const number = matrix[row][column];
        const share = number ? Math.max(1, Math.round((10 * number) / Math.max(1, rows[row]))) : 0;
        return el("td", {}, el("button", {
          class: `cell ${row === column ? "hit" : "miss"} s${share}`, "aria-pressed": pressed(name, predicted),
          "aria-label": t("cell", { true: label(name), predicted: label(predicted), n: number }), on: { click: () => choose(name, predicted) },
        }, String(number)));
      }),
      el("td", {}, whole(name, "", rows[row], t("all_of", { name: label(name), n: rows[row] })))))),
    el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, "Σ"),
      names.map((predicted, column) => el("td", {}, whole("", predicted, columns[column], t("all_as", { name: label(predicted), n: columns[column] })))),
      el("td", {}, whole("", "", rows.reduce((a, b) => a + b, 0), `${t("clear")}: ${rows.reduce((a, b) => a + b, 0)}`))))));
}
