// Shared parts of the Runs pages: numbers, badges, commands, tables.

export const link = (name) => `#/runs/${name.split("/").map(encodeURIComponent).join("/")}`;
export const percent1 = (share) => (100 * share).toFixed(1);
export const known = (value) => value !== null && value !== undefined;

export function day(app, iso) {
  if (!iso) return "–";
  const date = new Date(iso);
  return new Intl.DateTimeFormat(app.language === "en" ? "en-GB" : "zh-TW",
    { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false }).format(date);
}

export function badge(app, run) {
  const { el, t } = app;
  const broken = run.problems.length ? el("span", { class: "badge is-damaged" }, t("damaged")) : null;
  // A run with unreadable figures is not shown as finished.
  const state = broken && run.state === "finished" && !known(run.accuracy) ? null : el("span", { class: `badge is-${run.state}` }, t(`state_${run.state}`));
  return el("span", { class: "badges" }, state, broken);
}

export function epochs(app, run) {
  if (!run.epoch && !run.max_epochs) return "–";
  return run.max_epochs ? app.t("epochs_of", { epoch: run.epoch, max: run.max_epochs }) : String(run.epoch);
}

/** An accuracy and its interval on a scale from `start` to 1. */
export function whisker(app, value, [low, high], start) {
  const { svg } = app;
  const x = (share) => `${(100 * (share - start)) / (1 - start)}%`;
  return svg("svg", { class: "whisker", "aria-hidden": "true" },
    svg("rect", { class: "rail", y: "45%", width: "100%", height: "10%" }),
    svg("rect", { class: "span", x: x(low), y: "20%", width: x(start + Math.max(high - low, 0.005)), height: "60%" }),
    svg("circle", { class: "dot", cx: x(value), cy: "50%", r: "3.5" }));
}

/** A command with a button that copies it. */
export function command(app, purpose, text, more = null) {
  const { el, t } = app;
  const code = el("code", {}, text);
  const button = el("button", { class: "copy", "aria-label": t("copy_label", { what: purpose }), on: { click: async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = t("copied");
      app.announce(t("copied"));
      setTimeout(() => { button.textContent = t("copy"); }, 2000);
    } catch {
      // Only secure pages may write to the clipboard: select the text for Ctrl-C instead.
      getSelection().selectAllChildren(code);
    }
  } } }, t("copy"));
  return el("div", { class: "command" }, el("p", { class: "small" }, purpose, more && [" · ", more]), el("pre", {}, code), button);
}

export function table(app, heads, rows, className = "", caption = null) {
  const { el } = app;
  return el("div", { class: "scroll" }, el("table", { class: className }, caption && el("caption", {}, caption),
    el("thead", {}, el("tr", {}, heads.map((head) => (head ? el("th", { scope: "col" }, head) : el("td", {}))))),
    el("tbody", {}, rows.map(([first, ...rest]) => el("tr", {}, el("th", { scope: "row" }, first), rest.map((cell) => el("td", {}, cell)))))));
}

export function emptyPage(app) {
  const { el, t } = app;
  return el("div", { class: "empty" }, el("h1", { tabindex: "-1" }, t("empty_title")), el("p", {}, t("empty_why")),
    el("pre", {}, el("code", {}, "bball fit --data.root data/photos")), el("pre", {}, el("code", {}, "bball demo && bball fit --config demo")));
}
