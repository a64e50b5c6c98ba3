// Page of a run: figures, curves, confusion matrix, settings, commands, and missing parts.

import { at, chart } from "./chart.js";
import { confusion, perClass } from "./confusion.js";
import { badge, command, day, epochs, known, link, percent1, table } from "./parts.js";

const COMMANDS = ["resume", "evaluate", "export", "predict", "again", "tensorboard"];

export async function mountRun(root, app, name) {
  const { el } = app;
  const address = `/api/runs/${name.split("/").map(encodeURIComponent).join("/")}`;
  let run = await app.api(address);
  let text = JSON.stringify(run);
  const others = (await app.api("/api/runs")).runs.map((one) => one.id).filter((id) => id !== name);

  function draw() {
    root.replaceChildren(el("div", {}, el("p", { class: "back" }, el("a", { href: "#/runs" }, "← ", app.t("all"))),
      el("div", { class: "row head" }, el("h1", { tabindex: "-1" }, run.id), badge(app, run)),
      el("p", { class: "soft" }, [day(app, run.started), [run.backbone, known(run.image_size) && `${run.image_size} px`].filter(Boolean).join(" "), run.dataset].filter(Boolean).join(" · ")),
      run.origin && el("p", { class: "origin" }, run.origin[app.language]),
      state(app, run), tiles(app, run), links(app, run, address, others),
      el("section", {}, el("h2", {}, app.t("curves")), charts(app, run.curves, run.state === "training")),
      run.confusion && el("section", {}, el("h2", {}, app.t("confusion")), el("p", { class: "soft small" }, app.t("confusion_note")),
        el("div", { class: "side-by-side" }, confusion(app, run.confusion), perClass(app, run))),
      el("div", { class: "last" }, settings(app, run), commands(app, run))));
  }

  async function refresh() {
    try {
      const next = await app.api(address);
      if (JSON.stringify(next) === text) return;
      [run, text] = [next, JSON.stringify(next)];
      const open = [...root.querySelectorAll("details")].map((item) => item.open);
      draw();
      root.querySelectorAll("details").forEach((item, index) => { item.open = open[index] ?? false; });
    } catch {
      // The page keeps its content; the next poll follows soon.
    }
  }

  draw();
  return { refresh };
}

/** State of the run: notes, problems and missing parts. */
function state(app, run) {
  const { el, t } = app;
  const notes = [];
  if (run.state === "training") notes.push(t("training_note"));
  if (run.state === "empty") notes.push(t("empty_note"));
  if (run.state === "stopped") notes.push(run.max_epochs ? t("stopped_at", { epoch: run.epoch, max: run.max_epochs }) : t("stopped"));
  if (run.stale) notes.push(t("stale"));
  const missing = run.state === "empty" ? [] : run.missing;
  const problems = run.problems.map((problem) => el("li", {}, t("problem", problem)));
  return [
    notes.length ? el("div", { class: "notice" }, notes.map((text) => el("p", {}, text))) : null,
    problems.length ? el("div", { class: "notice bad" }, el("ul", {}, problems)) : null,
    missing.length ? el("p", { class: "soft small" }, t("missing"), " ", missing.map((part) => t(`missing_${part}`)).join(app.language === "en" ? "; " : "；")) : null,
  ].filter(Boolean);
}

function tiles(app, run) {
  const { el, t } = app;
  const tile = (what, value, ...notes) => el("div", { class: "card tile" }, el("dt", {}, what), el("dd", { class: "figure" }, value),
    notes.filter(Boolean).map((note) => el("dd", { class: "soft small" }, note)));
  const ends = (pair) => ({ low: percent1(pair[0]), high: percent1(pair[1]) });
  const found = [];
  if (known(run.accuracy)) {
    found.push(tile(t("accuracy"), t("percent", { n: percent1(run.accuracy) }), t("of_photos", { n: run.n }),
      run.relabelled && t("relabelled", { ...run.relabelled, accuracy: percent1(run.relabelled.accuracy) }),
      // As in the report: photos of one game resemble each other, and no end is nearer than that of the interval by photos.
      run.interval && `${run.interval}` !== `${run.accuracy_ci95}` && t("interval_groups", { ...ends(run.interval), n: run.groups }),
      run.accuracy_ci95 && t("interval_photos", ends(run.accuracy_ci95))));
  }
  if (known(run.macro_f1)) found.push(tile(t("macro_f1"), run.macro_f1.toFixed(3), t("f1_note")));
  if (known(run.ece)) {
    const { nll, brier } = run.figures;
    found.push(tile(t("ece"), run.ece.toFixed(3), t(run.calibrated ? "ece_note" : "ece_raw"),
      known(nll) && known(brier) && t("nll_note", { nll: nll.toFixed(3), brier: brier.toFixed(3) })));
  }
  if (run.calibration) {
    const calibration = run.calibration;
    const value = calibration.threshold === null ? t("threshold_none", { n: (100 * calibration.target_accuracy).toFixed(0) })
      : calibration.threshold === 0 ? t("threshold_never") : t("percent", { n: percent1(calibration.threshold) });
    found.push(tile(t("threshold"), value, calibration.threshold && t("threshold_note", { n: percent1(calibration.coverage), of: calibration.n })));
  }
  if (run.epoch || run.max_epochs) {
    const kept = run.curves?.kept === "probe" ? t("probe_kept") : known(run.curves?.kept_epoch) && t("epochs_kept", { epoch: run.curves.kept_epoch });
    found.push(tile(t("epochs"), epochs(app, run), kept));
  }
  return found.length ? el("dl", { class: "tiles" }, found) : null;
}

/** Links from this run to other views. */
function links(app, run, address, others) {
  const { el, t } = app;
  const choose = el("select", { "aria-label": t("compare_with"), on: { change: () => { if (choose.value) app.go(`#/runs/compare?${new URLSearchParams({ a: choose.value, b: run.id })}`); } } },
    el("option", { value: "" }, t("compare_with")), others.map((id) => el("option", { value: id }, id)));
  const has = (part) => !run.missing.includes(part);
  const model = new URLSearchParams({ model: run.id });
  return el("div", { class: "row links" },
    has("report") && el("a", { class: "button primary", href: `${address}/report`, target: "_blank", rel: "noopener" }, t("open_report")),
    has("checkpoint") && el("a", { class: "button", href: `#/try?${model}` }, t("try_it")),
    has("answers") && el("a", { class: "button", href: link(run.id).replace("#/runs/", "#/review/") }, t("review_it")),
    others.length ? choose : null);
}

/** Accuracy and loss: validation, training without augmentation, the gap between, and the kept epoch. */
export function charts(app, found, training) {
  const { el, t } = app;
  if (!found) return el("p", { class: "soft" }, t(training ? "no_curves_yet" : "no_curves"));
  const stands = found.kept_epoch ? [{ epoch: found.kept_epoch, label: t("kept") }] : [];
  const one = (figure, learned, probe) => {
    const val = found.curves[`val/${figure}`];
    const gap = found.curves[`gap/${figure}`];
    const seen = seenCurve(val, gap);
    const low = { epochs: seen.epochs, values: seen.epochs.map((epoch) => at(val, epoch)) };
    const lines = [{ label: t("line_val"), className: "val", curve: val }];
    if (seen.epochs.length) lines.push({ label: t("line_seen"), className: "seen", curve: seen });
    lines.push({ label: t("line_learned"), className: "learned", curve: found.curves[learned], marks: false });
    return chart(app, {
      title: t(`chart_${figure}`), share: figure === "acc", lastEpoch: found.last_epoch, lines, stands,
      flats: known(probe) ? [{ label: t("line_probe"), className: "probe", value: probe }] : [],
      band: seen.epochs.length ? { low, high: seen } : null,
    });
  };
  return el("div", { class: "charts" }, one("acc", "train/acc", found.probe_acc), one("loss", "train/loss_epoch", found.probe_loss));
}

/** Curve of the training photos without augmentation: validation plus gap. */
export function seenCurve(val, gap) {
  const epochs = val.epochs.filter((epoch) => at(val, epoch) !== null && at(gap, epoch) !== null);
  return { epochs, values: epochs.map((epoch) => at(val, epoch) + at(gap, epoch)) };
}

function settings(app, run) {
  const { el, t } = app;
  if (!run.settings) return null;
  const rows = run.settings.map((item) => [el("code", {}, item.name), el("code", {}, item.value), el("code", { class: "soft" }, item.default || t("unknown_usual"))]);
  return el("section", {}, el("h2", {}, t("settings")),
    rows.length ? table(app, [t("setting"), t("value"), t("usual")], rows, "settings") : el("p", { class: "soft" }, t("no_settings")));
}

function commands(app, run) {
  const { el, t } = app;
  const shown = COMMANDS.filter((what) => run.commands[what] && (what !== "resume" || run.state === "stopped"));
  const more = (what) => (what === "tensorboard" ? el("a", { href: "http://localhost:6006", target: "_blank", rel: "noopener noreferrer" }, t("tensorboard_link")) : null);
  return el("section", {}, el("h2", {}, t("commands")), el("p", { class: "soft small" }, t("commands_where")),
    el("div", { class: "commands" }, shown.map((what) => command(app, t(`command_${what}`), run.commands[what], more(what)))));
}

