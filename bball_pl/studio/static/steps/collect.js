// The step Collect: choose or drop photos, name the collection, upload, and start the command.

import { bytes, fieldElement, typedCommand } from "./parts.js";
import { chosenFiles, droppedFiles, inputFiles, sendFiles } from "./upload.js";

// Kept until the page is closed, across views and languages.
const kept = { chosen: null, values: {} };

/** Return the step's form: {element, draw(found), drop(transfer), leave()}.
 *
 * `act.start(step, options)` starts a job and `act.refresh()` reads the state again. */
export function makeCollect(app, root, act) {
  const { el, t } = app;
  const ended = new AbortController();
  let found = null;
  let sending = null;

  const photos = el("input", { type: "file", id: "steps-photos", class: "unseen", multiple: true, on: { change: () => take(inputFiles(photos)) } });
  const folder = el("input", { type: "file", id: "steps-folder", class: "unseen", webkitdirectory: true, multiple: true, on: { change: () => take(inputFiles(folder)) } });
  const summary = el("p", { class: "small", role: "status" });
  const sent = el("progress", { "aria-label": t("uploaded"), hidden: true });
  const problem = el("p", { class: "notice bad", role: "alert", hidden: true });
  // Of the fields' values alone: an answer that comes late must not hide what became of the upload.
  const wrong = el("p", { class: "notice bad", role: "alert", hidden: true });
  const fields = el("div", { class: "fields" });
  const typed = el("div", { class: "typed" });
  const start = el("button", { class: "primary", type: "submit", "aria-label": t("start_label", { step: t("step_collect") }) }, t("start"));
  const stop = el("button", { type: "button", hidden: true, on: { click: () => sending?.abort() } }, t("upload_stop"));
  const waiting = el("div", { class: "waiting-uploads" });
  const form = el("form", { on: { submit: (event) => { event.preventDefault(); send(); } } },
    el("div", { class: "drop" },
      el("div", { class: "row" }, folder, el("label", { class: "button", for: "steps-folder" }, t("choose_folder")),
        photos, el("label", { class: "button", for: "steps-photos" }, t("choose_files"))),
      el("p", { class: "soft small" }, t("or_drop")), el("p", { class: "let-go", "aria-hidden": "true" }, t("drop_now"))),
    summary, sent, fields, wrong, problem, typed, el("div", { class: "row" }, start, stop));
  const element = el("div", {}, waiting, form);

  function say(text, place = problem) {
    place.hidden = !text;
    place.textContent = text;
  }

  function take(files) {
    if (!files.length) return;
    kept.chosen = chosenFiles(files, found.suffixes);
    if (kept.chosen.title) kept.values.collection = kept.chosen.title;
    say(kept.chosen.files.length ? "" : t("none_chosen"));
    drawFields();
    drawSummary();
  }

  function drawSummary() {
    const chosen = kept.chosen;
    summary.textContent = !chosen?.files.length ? t("none_yet")
      : [t("chosen", { n: chosen.files.length, size: bytes(chosen.size) }), chosen.leftOut ? t("left_out", { n: chosen.leftOut }) : ""].filter(Boolean).join(" · ");
  }

  function drawFields() {
    const own = found.steps.find((step) => step.id === "collect").fields.filter((field) => field.name !== "upload");
    const all = [{ name: "collection", kind: "text", value: "photos" }, ...own];
    const focus = document.activeElement?.id;
    fields.replaceChildren(...all.map((field) => fieldElement(app, "collect", field, kept.values, preview)));
    if (focus) fields.querySelector(`#${CSS.escape(focus)}`)?.focus();
    preview();
  }

  const options = () => ({ collection: "photos", ...kept.values });

  let turn = 0;
  let timer = null;
  function preview() {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const current = ++turn;
      try {
        const { command } = await app.api("/api/steps/command", { json: { step: "collect", options: options() }, signal: ended.signal });
        if (current !== turn) return;
        say("", wrong);
        typed.replaceChildren(typedCommand(app, command));
      } catch (error) {
        if (current === turn && error.name !== "AbortError") say(error.message, wrong);
      }
    }, 250);
  }

  async function send() {
    if (sending) return;
    if (!kept.chosen?.files.length) {
      say(t("choose_first"));
      folder.focus();
      return;
    }
    sending = new AbortController();
    const { files, size } = kept.chosen;
    const { collection, ...rest } = options();
    say("");
    start.disabled = true;
    stop.hidden = sent.hidden = false;
    sent.max = size;
    let told = 0;
    function report(done, arrived) {
      sent.value = arrived;
      // Not for each photo: a screen reader reads it out.
      if (Date.now() - told < 700 && done < files.length) return;
      told = Date.now();
      summary.textContent = t("uploading", { done, n: files.length, size: bytes(arrived), all: bytes(size) });
    }
    try {
      const { upload } = await sendFiles(app.api, collection, files, report, sending.signal);
      kept.chosen = null;
      photos.value = folder.value = "";
      if (!ended.signal.aborted) await act.start("collect", { ...rest, upload });
    } catch (error) {
      say(error.name === "AbortError" ? t("upload_stopped") : error.code === "upload" ? t("upload_gone") : error.message);
      await act.refresh();
    } finally {
      sending = null;
      start.disabled = false;
      stop.hidden = sent.hidden = true;
      drawSummary();
    }
  }

  function drawWaiting() {
    waiting.replaceChildren(...found.uploads.map((upload) => el("div", { class: "notice row" },
      el("span", { class: "grow" }, t("waiting", { name: upload.name, n: upload.files })),
      el("button", { on: { click: () => { const { collection, ...rest } = kept.values; act.start("collect", { ...rest, upload: upload.id }); } } }, t("collect_waiting", { name: upload.name })),
      el("button", { "aria-label": t("discard_label", { name: upload.name }), on: { click: () => discard(upload) } }, t("discard")))));
  }

  async function discard(upload) {
    try {
      await app.api(`/api/steps/discard/${upload.id}`, { json: {} });
    } catch (error) {
      say(error.message);
    }
    await act.refresh();
    folder.focus();
  }

  // Leaving the page cuts the upload short; the browser asks before.
  addEventListener("beforeunload", (event) => { if (sending) event.preventDefault(); }, { signal: ended.signal });

  return {
    element,
    draw(next) {
      const first = found === null;
      found = next;
      drawWaiting();
      if (first) drawFields();
      if (!sending) drawSummary();
    },
    drop: async (transfer) => take(await droppedFiles(transfer)),
    leave() {
      sending?.abort();
      ended.abort();
      clearTimeout(timer);
    },
  };
}
