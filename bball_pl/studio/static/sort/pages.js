// What Sort shows when there is no photo to be sorted.

const COLLECT = [
  "python scripts/collect.py local ~/albums phone.zip",
  "python scripts/collect.py video game.mp4 --scenes",
  "python scripts/collect.py commons --category 'Jump shots (basketball)' --contact me@example.org",
];

/** Nothing was ever here. */
export function drawEmpty({ el, t }, start, _, { again }) {
  return [el("div", { class: "empty" },
    el("h2", {}, t("empty")),
    el("p", {}, t("empty_text", { inbox: start.inbox })),
    el("pre", {}, COLLECT.join("\n")),
    el("p", {}, t("empty_own", { inbox: start.inbox })),
    el("p", {}, el("button", { on: { click: again } }, t("look_again"))))];
}

/** Everything has its class. */
export function drawDone({ el, t, className, classes, meter }, _, { sorted, progress, left }, { again, undo, skipped }) {
  const commands = ["python scripts/audit.py data/inbox", "python scripts/split.py data/inbox --out data/photos", "python scripts/fit.py --data.root data/photos"];
  return [el("div", { class: "empty" },
    el("h2", {}, left > 0 ? t("done_elsewhere") : t("done")),
    el("p", {}, t("done_text", { n: sorted })),
    el("dl", { class: "probability" }, classes.flatMap((own, place) => [
      el("dt", {}, className(own.name)),
      el("dd", {}, meter((progress.counts[own.name] ?? 0) / Math.max(1, sorted), `class-${place + 1}`)),
      el("dd", { class: "share" }, String(progress.counts[own.name] ?? 0))])),
    el("p", { class: "row pad" },
      progress.skipped ? el("button", { class: "primary", on: { click: skipped } }, t("look_skipped", { n: progress.skipped })) : "",
      el("button", { on: { click: again } }, t("look_again")),
      el("button", { on: { click: undo } }, el("kbd", {}, "z"), t("undo"))),
    el("p", {}, t("next")), el("pre", {}, commands.join("\n")))];
}
