// Webcam: one frame at a time is sent to the server; frames in between are dropped.

import { bars, phone } from "./answers.js";

const LONG_SIDE = 640;
const PAUSE_AFTER_ERROR = 1500;
const ANNOUNCE_INTERVAL = 4000;

/** Return {button, panel, stop}: `keep` takes a frame as a blob. */
export function makeWebcam(app, { engines, keep, signal }) {
  const { el, t } = app;
  const video = el("video", { playsinline: true, muted: true, autoplay: true, "aria-label": t("live") });
  const canvas = el("canvas");
  const answer = el("div", { class: "live-answer" });
  const rate = el("p", { class: "soft small" });
  const note = el("p", { class: "notice bad", role: "status", hidden: true });
  const sides = ["user", "environment"].map((side) => el("button", { value: side, "aria-pressed": "false",
    on: { click: () => { facing = side; start(); } } }, t(side === "user" ? "front" : "back")));
  const kept = el("button", { disabled: true, on: { click: keepFrame } }, t("keep"));
  const stage = el("div", { class: "card stage" }, el("div", { class: "frame" }, video),
    el("div", { class: "result" }, answer, rate, el("div", { class: "row" }, kept,
      el("div", { class: "row sides", role: "group", "aria-label": t("camera") }, sides))));
  const panel = el("section", { class: "webcam", "aria-label": t("webcam"), hidden: true }, note, stage);
  const button = el("button", { "aria-pressed": "false", on: { click: () => (stream || starting ? stop() : start()) } }, t("webcam"));
  let facing = "user";
  let stream = null;
  let starting = false;
  let run = 0;
  let lastName = "";
  let lastTime = 0;

  async function start() {
    release();
    const current = ++run;
    starting = true;
    panel.hidden = false;
    note.hidden = true;
    stage.hidden = false;
    kept.disabled = true;
    answer.replaceChildren(el("p", { class: "soft" }, t("camera_waiting")));
    rate.textContent = "";
    mark();
    if (!navigator.mediaDevices?.getUserMedia) return fail(t("camera_insecure"));
    let opened;
    try {
      opened = await navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: { ideal: facing }, width: { ideal: 1280 } } });
    } catch (error) {
      if (current === run) fail(reason(error));
      return undefined;
    }
    if (current !== run || signal.aborted) {
      for (const track of opened.getTracks()) track.stop();
      return undefined;
    }
    stream = opened;
    starting = false;
    mark();
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => { if (current === run) fail(t("camera_gone")); });
    // People expect a mirror image of the front camera; the network gets the original frame.
    const side = track.getSettings?.().facingMode;
    video.classList.toggle("mirror", (side ?? facing) === "user");
    video.srcObject = stream;
    await video.play().catch(() => {});
    if (current === run) loop(current);
    return undefined;
  }

  function reason(error) {
    const known = { NotAllowedError: "camera_denied", NotFoundError: "camera_none", OverconstrainedError: "camera_none", NotReadableError: "camera_busy" };
    return known[error.name] ? t(known[error.name]) : t("camera_failed", { reason: error.message });
  }

  async function loop(current) {
    let times = [];
    while (current === run && !signal.aborted) {
      await nextFrame();
      if (current !== run || document.hidden || !video.videoWidth) continue;
      try {
        const blob = await frame();
        const found = await app.api(`/api/try/answer?${engines.query()}&pictures=false`, { method: "POST", body: blob, signal });
        if (current !== run) return;
        times = [...times.filter((time) => performance.now() - time < 3000), performance.now()];
        draw(found, times);
      } catch (problem) {
        if (problem.name === "AbortError" || current !== run) return;
        answer.replaceChildren(el("p", { class: "notice bad" }, problem.message));
        await new Promise((resolve) => { setTimeout(resolve, PAUSE_AFTER_ERROR); });
      }
    }
  }

  /** Wait for a new frame, with a time-out: a hidden page has none. */
  function nextFrame() {
    return new Promise((resolve) => {
      const late = setTimeout(resolve, 500);
      const soon = () => { clearTimeout(late); resolve(); };
      if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(soon);
      else requestAnimationFrame(soon);
    });
  }

  function frame() {
    const scale = Math.min(1, LONG_SIDE / Math.max(video.videoWidth, video.videoHeight));
    canvas.width = Math.round(scale * video.videoWidth);
    canvas.height = Math.round(scale * video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve, reject) => {
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error(t("camera_failed", { reason: "" })))), "image/jpeg", 0.9);
    });
  }

  function draw(found, times) {
    kept.disabled = false;
    const [first, ...rest] = found.answers;
    const rows = rest.map((one) => el("div", {}, el("h4", {}, engines.title(one.engine)[0]),
      one.error ? el("p", { class: "notice bad small" }, one.error) : bars(app, one)));
    if (first.error) {
      answer.replaceChildren(el("p", { class: "notice bad" }, first.error));
      return;
    }
    answer.replaceChildren(phone(app, first), bars(app, first), ...rows);
    const spent = times.length > 1 ? (times.at(-1) - times[0]) / 1000 : 0;
    const took = found.decode_ms + first.preprocess_ms + first.forward_ms;
    rate.textContent = [t("ms", { n: took.toFixed(0) }), spent > 0 && t("rate", { n: ((times.length - 1) / spent).toFixed(1) })]
      .filter(Boolean).join(" · ");
    const name = first.unsure ? t("perhaps") : app.className(first.predicted);
    // Screen readers could not follow every frame.
    if (name !== lastName && performance.now() - lastTime > ANNOUNCE_INTERVAL) {
      lastName = name;
      lastTime = performance.now();
      app.announce(name);
    }
  }

  async function keepFrame() {
    keep(await frame());
  }

  function fail(text) {
    release();
    run += 1;
    note.textContent = text;
    note.hidden = false;
    stage.hidden = true;
    mark();
  }

  function release() {
    starting = false;
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    video.srcObject = null;
  }

  function stop() {
    run += 1;
    release();
    panel.hidden = true;
    mark();
  }

  function mark() {
    const on = Boolean(stream) || starting;
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? t("webcam_stop") : t("webcam");
    for (const side of sides) side.setAttribute("aria-pressed", String(side.value === facing));
  }

  return { button, panel, stop };
}
