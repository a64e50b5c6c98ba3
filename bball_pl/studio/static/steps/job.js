// The newest job: state, progress with time left, curves, log, Stop and Resume. It follows the job while it runs.

import { charts } from "../runs/run.js";
import { link } from "../runs/parts.js";
import { duration, forRuns, typedCommand } from "./parts.js";

const POLL_EVERY = 1500;
const CURVES_EVERY = 4000;
/** Milliseconds after which a job that does not stop may be ended at once. */
const PATIENCE = 20_000;
const RUNNING = ["running", "stopping"];
/** Exit status of a proof that fails. */
const NOT_PROVEN = 3;

export const isRunning = (job) => Boolean(job) && RUNNING.includes(job.state);

/** Return the panel: {element, show(job), focus(), leave()}.
 *
 * `act.start(step, options)` starts a job, `act.resume()` is the options that resume a run or null, `act.next()` the
 * step that makes sense next, `act.open(step)` shows a step, and `act.ended(job)` is called when the job has ended. */
export function makeJobPanel(app, act) {
  const { el, t } = app;
  const title = el("h2", { id: "steps-job", tabindex: "-1" });
  const time = el("span", { class: "soft small" });
  const buttons = el("div", { class: "row buttons" });
  const bar = el("progress", { "aria-label": t("progress_label") });
  const progress = el("span", { class: "small" });
  const notice = el("div", { class: "notice", hidden: true });
  const typed = el("div", { class: "typed" });
  const curves = el("section", { class: "curves", hidden: true });
  const log = el("pre", { class: "log", tabindex: "0", role: "region", "aria-label": t("log") });
  const logBox = el("details", { open: true }, el("summary", { class: "small" }, t("log")), log);
  const links = el("div", { class: "row links" });
  const element = el("section", { class: "card job", "aria-labelledby": "steps-job", hidden: true },
    el("div", { class: "row head" }, title, time, buttons), el("div", { class: "row progress" }, bar, progress), notice, links, typed, curves, logBox);
  let job = null;
  let tag = "";
  let timer = null;
  let received = 0;
  let curvesAt = 0;
  let curvesText = "";
  let stoppingAt = 0;
  let left = false;

  const stepName = (one) => t(`step_${one.step || "collect"}`);
  const stateName = (one) => t(`job_${one.state}`);

  function show(next) {
    const other = next?.id !== job?.id;
    job = next ? { ...(other ? {} : job), ...next } : null;
    element.hidden = !job;
    if (!job) return;
    if (other) {
      tag = "";
      curvesText = "";
      curves.hidden = true;
      log.replaceChildren();
    }
    received = Date.now();
    draw();
    schedule(0);
  }

  function draw() {
    const running = isRunning(job);
    title.textContent = job.step ? t("job_title", { step: stepName(job), state: stateName(job) }) : `${t("job")} ${job.id}`;
    element.dataset.state = job.state;
    bar.parentElement.hidden = !running;
    if (running && job.progress) {
      bar.max = job.progress.total;
      bar.value = job.progress.done;
    } else {
      bar.removeAttribute("value");
    }
    stoppingAt = job.state === "stopping" ? stoppingAt || Date.now() : 0;
    drawTime();
    const why = reasons();
    notice.hidden = !why.length;
    notice.className = `notice ${["failed", "lost", "damaged"].includes(job.state) ? "bad" : ""}`;
    notice.replaceChildren(...why.map((text) => el("p", {}, text)));
    links.replaceChildren(...(running ? [] : results()));
    typed.replaceChildren(...(job.command && job.step ? [typedCommand(app, job.command)] : []));
  }

  function drawTime() {
    const running = isRunning(job);
    drawButtons(running);
    const seconds = job.seconds === null || job.seconds === undefined ? null : job.seconds + (running ? (Date.now() - received) / 1000 : 0);
    time.textContent = seconds === null ? "" : t(running ? "running_for" : "took", { time: duration(t, seconds) });
    if (!running || !job.progress) { progress.textContent = ""; return; }
    const { label, done, total, seconds_left: more } = job.progress;
    const words = [label === "epoch" ? t("progress_epoch", { done, total }) : t("progress_of", { label, done, total })];
    if (more !== null) words.push(t("time_left", { time: duration(t, Math.max(0, more - (Date.now() - received) / 1000)) }));
    progress.textContent = words.join(" · ");
  }

  function drawButtons(running) {
    const focused = buttons.contains(document.activeElement);
    const shown = [];
    if (running) {
      if (job.state === "running") shown.push(el("button", { on: { click: () => stop(false) } }, t("stop")));
      else if (Date.now() - stoppingAt > PATIENCE) shown.push(el("button", { on: { click: () => stop(true) } }, t("kill")));
    } else if (job.step && job.state !== "finished") {
      const resumed = ["train", "resume"].includes(job.step) ? act.resume() : null;
      if (resumed) shown.push(el("button", { class: "primary", on: { click: () => act.start("resume", resumed) } }, t("resume")));
      shown.push(el("button", { on: { click: () => act.start(job.step, job.options) } }, t("again")));
    } else if (job.state === "finished" && act.next()) {
      const next = act.next();
      shown.push(el("button", { class: "primary", on: { click: () => act.open(next) } }, t("go_next", { step: t(`step_${next}`) })));
    }
    const before = [...buttons.children].map((button) => button.textContent).join();
    if (before === shown.map((button) => button.textContent).join()) return;
    buttons.replaceChildren(...shown);
    // What was pressed is gone: the keyboard stays with the job, and not on a button that does something else.
    if (focused) title.focus();
  }

  function reasons() {
    const found = [];
    if (job.state === "stopping") found.push(t("stopping"));
    if (job.state === "finished" && job.of === "train" && job.run && job.run !== app.checkpoint) {
      found.push(t("restart_hint", { name: app.checkpoint || t("no_model") }));
    }
    if (job.state === "lost") found.push(t("job_lost_why"));
    if (job.state === "damaged") found.push(t("job_damaged_why"));
    if (job.state === "failed") {
      const said = (job.log ?? []).findLast((line) => line.startsWith("error:"));
      if (job.status === NOT_PROVEN) found.push(t("not_proven_why"));
      found.push(said?.replace(/^error: /, "") ?? t("job_status", { n: job.status }));
    }
    return found;
  }

  /** Links to what the job has made. */
  function results() {
    if (job.state !== "finished") return [];
    const button = (href, text, more = {}) => el("a", { class: "button", href, ...more }, text);
    const tab = { target: "_blank", rel: "noopener" };
    if (job.of === "collect") return [button("#/sort", t("open_sort")), button("#/games", t("open_games"))];
    if (job.of === "audit") {
      const tree = job.options.tree ?? "";
      return [button(`/api/steps/audits/${encodeURIComponent(tree)}`, t("open_audit", { name: tree === "inbox" ? t("inbox") : tree }), tab)];
    }
    if (!job.run) return [];
    if (job.of === "train") return [button(link(job.run), t("open_run", { name: job.run }))];
    if (job.of === "evaluate") {
      return [button(`/api/runs/${job.run}/report`, t("open_report"), tab), button(link(job.run), t("open_run", { name: job.run })), button(`#/review/${job.run}`, t("open_review"))];
    }
    return [button(`#/try?${new URLSearchParams({ model: job.run })}`, t("open_try"))];
  }

  async function stop(force) {
    try {
      const next = await app.api("/api/steps/stop", { json: { job: job.id, force } });
      app.announce(t("announce_stopping"));
      // A job that has ended by now is shown with the end of its log.
      if (isRunning(next)) show(next);
      else schedule(0);
    } catch (problem) {
      notice.hidden = false;
      notice.replaceChildren(el("p", {}, problem.message));
    }
  }

  function drawLog() {
    // A reader who has scrolled up stays there.
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
    log.textContent = job.log.length ? job.log.join("\n") : t("log_empty");
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  async function drawCurves() {
    if (job.of !== "train" || !job.run || Date.now() - curvesAt < CURVES_EVERY) return;
    curvesAt = Date.now();
    const found = await app.api(`/api/runs/${job.run.split("/").map(encodeURIComponent).join("/")}`);
    const text = JSON.stringify(found.curves);
    if (text === curvesText || left) return;
    curvesText = text;
    const open = [...curves.querySelectorAll("details")].map((item) => item.open);
    curves.hidden = !found.curves;
    curves.replaceChildren(el("h3", {}, t("curves")), charts(forRuns(app), found.curves, true));
    curves.querySelectorAll("details").forEach((item, index) => { item.open = open[index] ?? false; });
  }

  function schedule(wait) {
    clearTimeout(timer);
    // A hidden tab asks for nothing; it goes on when it is shown again.
    if (!left && job && document.visibilityState === "visible") timer = setTimeout(poll, wait);
  }

  async function poll() {
    const asked = job.id;
    try {
      const found = await app.api(`/api/steps/jobs/${asked}?${new URLSearchParams({ seen: tag })}`);
      if (left || job?.id !== asked) return;
      const was = isRunning(job);
      if (found.tag !== tag) {
        tag = found.tag;
        job = { ...job, ...found };
        received = Date.now();
        drawLog();
        // Before the state is shown, because what comes next depends on what the job has made.
        if (was && !isRunning(job)) await act.ended(job);
        draw();
      } else {
        drawTime();
      }
      if (!isRunning(job)) curvesAt = 0;
      if (was && !isRunning(job)) app.announce(t("job_title", { step: stepName(job), state: stateName(job) }));
      await drawCurves();
    } catch {
      // The studio may be restarting; the job goes on, and the next look finds it.
    }
    if (isRunning(job)) schedule(POLL_EVERY);
  }

  function shown() {
    if (document.visibilityState === "visible" && isRunning(job)) schedule(0);
  }

  document.addEventListener("visibilitychange", shown);
  return {
    element,
    show,
    redraw: () => { if (job) draw(); },
    focus: () => title.focus(),
    job: () => job,
    leave: () => {
      left = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
    },
  };
}
