// Steps: the way from photos to a phone file as an ordered list, and the job that is running.

import { onFileDrop } from "../drop.js";
import { link } from "../runs/parts.js";
import { makeCollect } from "./collect.js";
import { isRunning, makeJobPanel } from "./job.js";
import { bytes, date, duration, fieldElement, typedCommand } from "./parts.js";
import { strings } from "./words.js";

export { strings };

const ORDER = ["collect", "sort", "audit", "split", "train", "evaluate", "export"];

// Options that were changed and not started yet, by step; kept until the page is closed.
const kept = {};

export async function mount(root, app) {
  const { el, t } = app;
  await app.style("runs");
  let found = await app.api("/api/steps");
  const ended = new AbortController();
  const act = { start, refresh, open, next: () => found.next, resume, ended: async () => { await refresh(); } };
  const panel = makeJobPanel(app, act);
  const collect = makeCollect(app, root, act);
  const cards = new Map(ORDER.map((name, index) => [name, makeCard(name, index + 1)]));
  const earlier = el("details", { class: "earlier" });
  const problem = el("p", { class: "notice bad", role: "alert", hidden: true });

  /** Options that resume the run that was not trained to its end; null if there is none. */
  function resume() {
    const [field] = found.steps.find((step) => step.id === "resume").fields;
    return field.choices.length ? { run: field.value } : null;
  }

  async function start(step, options) {
    problem.hidden = true;
    try {
      const job = await app.api("/api/steps/start", { json: { step, options } });
      delete kept[step];
      app.announce(t("announce_start", { step: t(`step_${step}`) }));
      panel.show(job);
      panel.focus();
      await refresh();
    } catch (error) {
      problem.hidden = false;
      problem.textContent = error.code === "busy" ? t("busy_now") : error.message;
      await refresh();
      problem.scrollIntoView({ block: "nearest" });
    }
  }

  async function refresh() {
    try {
      found = await app.api("/api/steps");
    } catch {
      return; // the studio may be restarting
    }
    if (!ended.signal.aborted) draw();
  }

  function open(step) {
    const card = cards.get(step);
    card.box.open = true;
    card.summary.focus();
    card.box.scrollIntoView({ block: "nearest" });
  }

  function makeCard(name, number) {
    const state = el("span", { class: "soft small state" });
    const badge = el("span", { class: "badge", hidden: true });
    const summary = el("summary", {}, el("span", { class: "number", "aria-hidden": "true" }, String(number)), el("h2", {}, t(`step_${name}`)), badge, state);
    const body = el("div", { class: "body" });
    const box = el("details", {}, summary, body);
    return { box, summary, body, state, badge, item: el("li", { dataset: { step: name } }, box) };
  }

  function draw() {
    const focus = document.activeElement?.id;
    const newest = found.jobs[0];
    const current = panel.job();
    if (newest && (current?.id !== newest.id || current.state !== newest.state)) panel.show(newest);
    else panel.redraw();
    collect.draw(found);
    for (const name of ORDER) drawCard(name);
    earlier.hidden = found.jobs.length < 2;
    earlier.replaceChildren(el("summary", {}, t("earlier")), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("earlier") }, el("table", {},
      el("thead", {}, el("tr", {}, [t("when"), t("what"), t("result")].map((text) => el("th", { scope: "col" }, text)))),
      el("tbody", {}, found.jobs.slice(1).map((job) => el("tr", {}, el("th", { scope: "row" }, job.started ? date(app, job.started, true) : job.id), el("td", {}, el("code", {}, job.step ? job.command : "–")),
        el("td", {}, [t(`job_${job.state}`), job.seconds === null ? "" : duration(t, job.seconds)].filter(Boolean).join(", "))))))));
    if (focus && document.activeElement === document.body) document.getElementById(focus)?.focus();
  }

  function drawCard(name) {
    const card = cards.get(name);
    const state = stateOf(name);
    const isNext = found.next === name;
    card.item.classList.toggle("is-next", isNext);
    card.item.classList.toggle("is-done", state.done);
    if (isNext) card.item.setAttribute("aria-current", "step");
    else card.item.removeAttribute("aria-current");
    card.badge.hidden = !isNext && !state.done;
    card.badge.textContent = t(isNext ? "next" : "done");
    card.state.textContent = state.text || t("ready_none");
    // Opened once for the step that comes next; then it is the reader's choice.
    if ((isNext && !card.wasNext) || (card.wasNext === undefined && !found.next && name === ORDER.at(-1))) card.box.open = true;
    // The last one stays open: it has the files.
    if (!isNext && card.wasNext) card.box.open = name === ORDER.at(-1) || card.box.contains(document.activeElement);
    card.wasNext = isNext;
    const about = el("p", { class: "soft" }, t(`about_${name}`));
    if (name === "collect") {
      if (!card.body.firstChild) card.body.replaceChildren(about, collect.element);
    } else if (name === "sort") {
      card.body.replaceChildren(about, el("div", { class: "row" }, el("a", { class: "button primary", href: "#/sort", id: "steps-sort" }, t("open_sort")), el("a", { class: "button", href: "#/games", id: "steps-games" }, t("open_games"))));
    } else {
      card.body.replaceChildren(...[about, facts(name), form(name), name === "export" ? exported() : null].filter(Boolean));
    }
  }

  /** State of a step, as text and whether there is something. */
  function stateOf(name) {
    const { photos, unsorted } = found.inbox;
    const run = found.runs.find((one) => one.evaluated) ?? null;
    const made = found.exports[0];
    const audit = found.audits.inbox ?? Object.values(found.audits)[0];
    const audited = audit && [t("state_audit", { n: audit.findings, date: date(app, audit.time) }), audit.unlicensed ? t("state_unlicensed", { n: audit.unlicensed }) : ""].filter(Boolean).join(" · ");
    const states = {
      collect: { done: photos > 0, text: photos ? t("state_collect", { n: photos }) : "" },
      sort: { done: photos > 0 && unsorted === 0, text: photos ? t("state_sort", { sorted: photos - unsorted, left: unsorted }) : "" },
      audit: { done: Boolean(audit) && !audit.stale, text: audit ? (audit.stale ? t("state_audit_stale", { date: date(app, audit.time) }) : audited) : "" },
      split: { done: found.datasets.length > 0, text: found.datasets.length ? t("state_split", { names: found.datasets.map((one) => one.name).join(", ") }) : "" },
      train: { done: found.runs.some((one) => one.has_best && !one.unfinished), text: found.runs.length ? t("state_train", { n: found.runs.length }) : "" },
      evaluate: { done: Boolean(run), text: run && run.accuracy !== null ? t("state_evaluate", { name: run.id, accuracy: t("percent", { n: (100 * run.accuracy).toFixed(1) }) }) : "" },
      export: { done: found.exports.some((one) => one.proven), text: made ? t(made.proven ? "state_export_proven" : "state_export_rejected", { name: made.name }) : "" },
    };
    return states[name];
  }

  /** What there is of a step already, with links to it. */
  function facts(name) {
    const lines = [];
    const tab = { target: "_blank", rel: "noopener" };
    if (name === "audit") {
      if (found.inbox.problem) lines.push(found.inbox.problem);
      for (const [tree, audit] of Object.entries(found.audits)) {
        if (audit.page) lines.push(el("a", { href: `/api/steps/audits/${encodeURIComponent(tree)}`, id: `steps-audit-page-${tree}`, ...tab }, t("open_audit", { name: tree === "inbox" ? t("inbox") : tree })));
      }
    } else if (name === "split") {
      lines.push(...found.datasets.map((one) => one.problem || t("counts", { name: one.name, counts: Object.entries(one.counts).map(([split, n]) => t("count_split", { n, split })).join(", ") })));
    } else if (name === "train") {
      lines.push(...found.runs.slice(0, 3).map((run) => el("a", { href: link(run.id), id: `steps-run-${run.id}` }, t("open_run", { name: run.id }))));
    } else if (name === "evaluate") {
      const run = found.runs.find((one) => one.report);
      if (run) lines.push(el("a", { href: `/api/runs/${run.id}/report`, id: "steps-report", ...tab }, `${t("open_report")} (${run.id})`));
    }
    return lines.length ? el("ul", { class: "facts small" }, lines.map((line) => el("li", {}, line))) : null;
  }

  function form(name) {
    const step = found.steps.find((one) => one.id === name);
    if (!step.ready) return el("p", { class: "soft" }, t(`missing_${name}`));
    const values = (kept[name] ??= {});
    const wrong = el("p", { class: "notice bad", role: "alert", hidden: !step.problem }, step.problem);
    const typed = el("div", { class: "typed" }, step.command && !Object.keys(values).length ? typedCommand(app, step.command) : null);
    let turn = 0;
    let timer = null;
    function changed() {
      clearTimeout(timer);
      timer = setTimeout(preview, 250);
    }
    async function preview() {
      const current = ++turn;
      try {
        const made = await app.api("/api/steps/command", { json: { step: name, options: values }, signal: ended.signal });
        if (current !== turn) return;
        wrong.hidden = true;
        typed.replaceChildren(typedCommand(app, made.command));
      } catch (error) {
        if (current !== turn || error.name === "AbortError") return;
        wrong.hidden = false;
        wrong.textContent = error.message;
      }
    }
    if (Object.keys(values).length) preview();
    const busy = isRunning(found.jobs[0]);
    const button = el("button", { class: "primary", type: "submit", id: `steps-start-${name}`, disabled: busy, "aria-label": t("start_label", { step: t(`step_${name}`) }) }, t("start"));
    const resumed = name === "train" && !busy ? resume() : null;
    return el("form", { on: { submit: (event) => { event.preventDefault(); start(name, { ...values }); } } },
      el("div", { class: "fields" }, step.fields.map((field) => fieldElement(app, name, field, values, changed))), wrong, typed,
      el("div", { class: "row" }, button, busy && el("span", { class: "soft small" }, t("busy")),
        resumed && el("button", { type: "button", id: "steps-resume", on: { click: () => start("resume", resumed) } }, `${t("step_resume")}: ${resumed.run}`)));
  }

  /** The exports with their files and the verdict of their proof. */
  function exported() {
    if (!found.exports.length) return null;
    return el("div", { class: "exports" }, found.exports.map((one) => el("section", {},
      el("h3", {}, one.name), one.proven ? null : el("p", { class: "notice bad" }, t("export_rejected")),
      el("p", { class: "soft small" }, t("export_place", { path: `${found.folders.exports}/${one.name}` })),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": one.name }, el("table", {}, el("thead", {}, el("tr", {}, [t("file"), t("size"), t("proof")].map((text) => el("th", { scope: "col" }, text)))),
        el("tbody", {}, one.files.map((file) => el("tr", {},
          el("th", { scope: "row" }, el("a", { href: `/api/steps/exports/${file.id.split("/").map(encodeURIComponent).join("/")}`, download: "", "aria-label": t("save", { name: file.file }), id: `steps-save-${file.id}` }, file.file)),
          el("td", {}, bytes(file.size)), el("td", { class: file.proven ? "good" : "bad" }, t(file.proven ? "proven" : "not_proven"))))))),
      el("div", { class: "row" }, el("button", { id: `steps-verify-${one.name}`, disabled: isRunning(found.jobs[0]), "aria-label": t("verify_label", { name: one.name }), on: { click: () => start("verify", { export: one.name }) } }, t("verify"))))));
  }

  onFileDrop(root, ended.signal, (dropped) => {
    cards.get("collect").box.open = true;
    collect.drop(dropped);
  });
  // Photos may have been sorted in another view, and jobs started in another tab.
  addEventListener("focus", refresh, { signal: ended.signal });

  root.append(el("h1", { tabindex: "-1" }, t("steps")), el("p", { class: "soft" }, t("intro", { project: found.folders.project })), problem, panel.element,
    el("ol", { class: "way" }, [...cards.values()].map((card) => card.item)), earlier);
  draw();
  return () => {
    ended.abort();
    collect.leave();
    panel.leave();
  };
}
