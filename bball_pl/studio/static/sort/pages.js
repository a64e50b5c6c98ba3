// Pages of Sort without a photo: an empty inbox, and all photos sorted.

const COLLECT = [
  "bball collect local ~/albums phone.zip",
  "bball collect video game.mp4 --scenes",
  "bball collect commons --category 'Jump shots (basketball)' --contact me@example.org",
];

/** The inbox is empty. */
export function drawEmpty({ el, t }, start, _, { again }) {
  return [el("div", { class: "empty" },
    el("h2", {}, t("empty")),
    el("p", {}, t("empty_text", { inbox: start.inbox })),
    el("pre", {}, COLLECT.join("\n")),
    el("p", {}, t("empty_manual", { inbox: start.inbox })),
    el("p", {}, el("button", { on: { click: again } }, t("look_again"))))];
}

/** All photos are sorted. */
export function drawDone({ el, t, className, classes, meter }, _, { sorted, progress, left }, { again, undo, skipped }) {
  const commands = ["bball audit data/inbox", "bball split data/inbox --out data/photos", "bball fit --data.root data/photos"];
  return [el("div", { class: "empty" },
    el("h2", {}, left > 0 ? t("done_elsewhere") : t("done")),
    el("p", {}, t("done_text", { n: sorted })),
    el("dl", { class: "probability" }, classes.flatMap((item) => [
      el("dt", {}, className(item.name)),
      el("dd", {}, meter((progress.counts[item.name] ?? 0) / Math.max(1, sorted), `class-${item.key}`)),
      el("dd", { class: "share" }, String(progress.counts[item.name] ?? 0))])),
    el("p", { class: "row pad" },
      progress.skipped ? el("button", { class: "primary", on: { click: skipped } }, t("look_skipped", { n: progress.skipped })) : "",
      el("button", { on: { click: again } }, t("look_again")),
      el("button", { on: { click: undo } }, el("kbd", {}, "z"), t("undo"))),
    el("p", {}, t("next")), el("pre", {}, commands.join("\n")))];
}
