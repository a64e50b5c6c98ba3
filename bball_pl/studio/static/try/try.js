// Try: the checkpoint and exported files answer photos and webcam frames side by side.

import { onFileDrop } from "../drop.js";
import { makeCard } from "./card.js";
import { makeEngines } from "./engines.js";
import { makeWebcam } from "./webcam.js";
import { strings } from "./words.js";

export { strings };

const MOST_CARDS = 40;
const MOST_BYTES = 30_000_000;

// Kept until the page is closed, across views and languages.
const shots = [];
let frames = 0;

export async function mount(root, app) {
  const { el, t } = app;
  const found = await app.api("/api/try/models");
  if (!found.models.length && !found.file) return mountEmpty(root, app);

  const list = el("div", { class: "cards" });
  const clear = el("button", { class: "plain", on: { click: removeAll } }, t("clear"));
  const tools = el("div", { class: "row tools" }, el("h2", {}, t("results")), clear);
  const notice = el("p", { class: "notice bad", role: "status", hidden: true });
  const cards = new Map();
  const waiting = [];
  const ended = new AbortController();
  let busy = false;

  const engines = makeEngines(app, found, () => { for (const shot of [...shots].reverse()) ask(shot); });
  const webcam = makeWebcam(app, { engines, keep: (blob) => add([{ blob, name: t("frame", { n: ++frames }) }]), signal: ended.signal });

  const input = el("input", { type: "file", id: "try-files", class: "unseen", accept: "image/*,.heic,.heif,.avif,.tif,.tiff", multiple: true,
    on: { change: () => { addFiles(input.files); input.value = ""; } } });
  const drop = el("div", { class: "drop" },
    el("div", { class: "row" },
      input, el("label", { class: "button primary", for: "try-files" }, t("choose")), webcam.button),
    el("p", { class: "soft small invite" }, t("drop")),
    el("p", { class: "let-go", "aria-hidden": "true" }, t("drop_now")));

  root.append(el("h1", {}, t("try")), el("p", { class: "soft" }, t("private")),
    el("div", { class: "setup" }, engines.element, drop), notice, webcam.panel, tools, list);

  function refresh() {
    tools.hidden = shots.length === 0;
  }

  function addFiles(files) {
    add([...files].map((file) => ({ blob: file, name: file.name || t("pasted") })));
  }

  function add(photos) {
    notice.hidden = photos.length <= MOST_CARDS;
    if (!notice.hidden) notice.textContent = t("too_many", { n: photos.length, most: MOST_CARDS });
    for (const photo of photos.slice(0, MOST_CARDS)) {
      const shot = { ...photo, answer: null, problem: "", key: "" };
      shots.unshift(shot);
      show(shot);
      ask(shot);
    }
    for (const old of shots.slice(MOST_CARDS)) remove(old);
    refresh();
  }

  function show(shot) {
    const card = makeCard(app, shot, { engines, remove: () => remove(shot, true) });
    cards.set(shot, card);
    // Newest first, as in shots.
    const next = shots[shots.indexOf(shot) + 1];
    list.insertBefore(card.element, cards.get(next)?.element ?? null);
  }

  function remove(shot, byHand = false) {
    const index = shots.indexOf(shot);
    if (index < 0) return;
    shots.splice(index, 1);
    cards.get(shot).element.remove();
    cards.delete(shot);
    // Keeps the keyboard focus on the page.
    if (byHand) (cards.get(shots[Math.min(index, shots.length - 1)])?.remove ?? input).focus();
    refresh();
  }

  function removeAll() {
    for (const shot of [...shots]) remove(shot);
    input.focus();
  }

  function ask(shot) {
    if (shot.blob.size > MOST_BYTES) {
      shot.problem = t("too_large", { n: (shot.blob.size / 1e6).toFixed(0) });
      cards.get(shot)?.draw();
      return;
    }
    if (!waiting.includes(shot)) waiting.push(shot);
    cards.get(shot)?.wait(t("waiting"));
    work();
  }

  // One photo at a time, so that timings are comparable.
  async function work() {
    if (busy) return;
    busy = true;
    while (waiting.length && !ended.signal.aborted) {
      const shot = waiting.shift();
      const card = cards.get(shot);
      if (!card) continue;
      card.wait(t("answering"));
      const key = engines.query();
      try {
        shot.answer = await app.api(`/api/try/answer?${key}`, { method: "POST", body: shot.blob, signal: ended.signal });
        shot.problem = "";
        shot.key = key;
        announce(shot);
      } catch (problem) {
        if (problem.name === "AbortError") break;
        shot.answer = null;
        shot.problem = problem.message;
        app.announce(`${shot.name}: ${t("failed", { reason: problem.message })}`);
      }
      card.draw();
    }
    busy = false;
  }

  function announce(shot) {
    const [answer] = shot.answer.answers;
    if (answer.error) return;
    const values = { photo: shot.name, answer: app.className(answer.predicted), share: app.percent(answer.confidence) };
    app.announce(t(answer.unsure ? "announce_unsure" : "announce_answer", values));
  }

  onFileDrop(root, ended.signal, (dropped) => addFiles(dropped.files));
  addEventListener("paste", (event) => { if (event.clipboardData?.files.length) { event.preventDefault(); addFiles(event.clipboardData.files); } }, { signal: ended.signal });

  for (const shot of [...shots].reverse()) show(shot);
  refresh();
  await engines.load();
  for (const shot of [...shots].reverse()) if (!shot.problem && shot.key !== engines.query()) ask(shot);

  return () => {
    ended.abort();
    webcam.stop();
  };
}

/** Page without a model. */
function mountEmpty(root, app) {
  const { el, t } = app;
  const command = (text) => el("pre", {}, el("code", {}, text));
  const again = el("button", { class: "primary", on: { click: async () => {
    root.replaceChildren();
    leave = await mount(root, app);
  } } }, t("look_again"));
  let leave = null;
  root.append(el("div", { class: "empty" }, el("h1", {}, t("empty_title")), el("p", {}, t("empty_why")),
    command("bball fit --data.root data/photos"), command("bball demo && bball fit --config demo"),
    el("p", { class: "soft" }, t("empty_after")), again));
  return () => leave?.();
}
