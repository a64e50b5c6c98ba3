// Answers: that of the phone, and a column for each engine.

/** The answer of the phone, with its reason. */
export function phone(app, answer) {
  const { el, t } = app;
  const name = app.className(answer.predicted);
  const words = answer.unsure
    ? [t("perhaps"), el("span", { class: "rather" }, t("perhaps_what", { name }))]
    : [name];
  return el("div", { class: `phone ${answer.unsure ? "unsure" : ""}` }, el("p", { class: "soft small" }, t("phone_says")),
    el("p", { class: `said ${app.classStyle(answer.predicted, answer.probabilities.map((one) => one.name))}` }, words), el("p", { class: "soft small" }, why(app, answer)));
}

function why(app, answer) {
  const { t } = app;
  if (answer.calibration === "none") return t("no_calibration");
  if (answer.calibration === "no threshold") return t("no_threshold");
  if (answer.threshold === 0) return t("never_unsure");
  const fine = (share) => t("percent", { n: (100 * share).toFixed(1) });
  return t(answer.unsure ? "below" : "above", { share: fine(answer.confidence), threshold: fine(answer.threshold) });
}

/** Bars of the classes, in the order of the network. */
export function bars(app, answer) {
  const { el } = app;
  return el("dl", { class: "probability" }, answer.probabilities.map(({ name, share }) => {
    const best = name === answer.predicted ? "best" : "";
    return [el("dt", { class: best }, app.className(name)),
      el("dd", { class: app.classStyle(name, answer.probabilities.map((one) => one.name)) }, app.meter(share)),
      el("dd", { class: `share ${best}` }, app.percent(share))];
  }));
}

/** Column of an engine: name, bars, timings, and difference from `reference`, the checkpoint's answer. */
export function column(app, answer, title, reference, decodeMs) {
  const { el, t } = app;
  const [name, runtime, listed] = title;
  const doubt = listed || (answer.matches === false ? t("other_checkpoint") : "");
  // A long file name wraps before its suffix.
  const [stem, ...ending] = name.split(/(?=\.[a-z]+$)/);
  const head = [el("h4", {}, stem, ending.length ? [el("wbr"), ending] : null), el("p", { class: "soft small" }, runtime), doubt ? el("p", { class: "doubt small" }, doubt) : null];
  if (answer.error) return el("section", { class: "engine" }, head, el("p", { class: "notice bad small" }, t("failed", { reason: answer.error })));
  const other = answer !== reference && (answer.predicted !== reference.predicted || answer.unsure !== reference.unsure);
  const facts = [];
  if (answer !== reference) {
    const gap = answer.difference === null ? t("same_classes_not") : t("points", { n: points(answer.difference) });
    facts.push([t("difference"), gap, "wide"]);
  }
  facts.push([t("forward"), milliseconds(app, answer.forward_ms)], [t("preprocess"), milliseconds(app, answer.preprocess_ms)]);
  if (answer === reference) {
    facts.push([t("decode"), milliseconds(app, decodeMs)],
      [t("total"), milliseconds(app, decodeMs + answer.preprocess_ms + answer.forward_ms)]);
  }
  return el("section", { class: "engine" }, head, bars(app, answer),
    other ? el("p", { class: "doubt" }, answer.unsure ? t("says_unsure") : t("says", { name: app.className(answer.predicted) })) : null,
    el("dl", { class: "facts" }, facts.map(([name, value, kind]) => el("div", { class: kind }, el("dt", {}, name), el("dd", {}, value)))));
}

/** A difference of probabilities in percentage points, with its significant digits. */
function points(difference) {
  const value = 100 * difference;
  if (value === 0) return "0";
  if (value < 0.0001) return "< 0.0001";
  return value >= 1 ? value.toFixed(1) : String(Number(value.toPrecision(1)));
}

export function milliseconds(app, value) {
  return app.t("ms", { n: value < 10 ? value.toFixed(1) : value.toFixed(0) });
}
