// Card of one photo: the picture with a heat map, the network's input, and the answers.

import { column, phone } from "./answers.js";

/** Return {element, draw, wait, remove} for a shot: {blob, name, answer, problem}. */
export function makeCard(app, shot, { engines, remove }) {
  const { el, t } = app;
  const status = el("p", { class: "soft small busy" });
  const close = el("button", { class: "plain close", "aria-label": t("remove", { name: shot.name }), on: { click: remove } }, "×");
  const body = el("div", { class: "body" });
  const element = el("article", { class: "photo-card" },
    el("header", {}, el("h3", {}, shot.name), status, close), body);
  let heat = null;

  function wait(text) {
    status.textContent = text;
    element.setAttribute("aria-busy", "true");
  }

  function draw() {
    status.textContent = shot.answer ? about(shot.answer) : "";
    element.removeAttribute("aria-busy");
    if (shot.problem) {
      body.replaceChildren(el("p", { class: "notice bad" }, t("failed", { reason: shot.problem })));
      return;
    }
    if (!shot.answer) return;
    const { answer } = shot;
    const [first] = answer.answers;
    // The overlay belongs to one model; it stays when an engine is ticked.
    if (heat?.model !== engines.model() || first.error) heat = makeHeat(app, shot, first, engines);
    heat.picture.src = answer.pictures.photo;
    // With the photo's proportions, photo and overlay align exactly.
    const shape = answer.width / answer.height;
    heat.frame.style.aspectRatio = String(shape);
    heat.frame.style.maxWidth = `${26 * shape}rem`;
    const fit = t(`fit_${answer.input.fit}`, { n: answer.input.size });
    const seen = el("figure", { class: "seen" },
      el("img", { src: answer.pictures.input, alt: t("sees"), width: answer.input.size, height: answer.input.size }),
      el("figcaption", { class: "small" }, el("b", {}, t("sees")), el("span", { class: "soft" }, fit)));
    const columns = answer.answers.map((one) => column(app, one, engines.title(one.engine), first, answer.decode_ms));
    body.replaceChildren(
      el("div", { class: "pictures" }, heat.frame, heat.tools, seen),
      el("div", { class: "result" }, first.error ? null : phone(app, first), el("div", { class: "columns" }, columns)));
  }

  function about(answer) {
    const size = answer.bytes >= 1e6 ? t("bytes", { n: (answer.bytes / 1e6).toFixed(1) }) : t("kilobytes", { n: Math.ceil(answer.bytes / 1e3) });
    return `${t("pixels", { w: answer.width, h: answer.height })} · ${size}`;
  }

  if (shot.answer || shot.problem) draw();
  return { element, draw, wait, remove: close };
}

/** The picture with a heat map that is loaded on demand. */
function makeHeat(app, shot, reference, engines) {
  const { el, t } = app;
  const model = engines.model();
  const picture = el("img", { alt: shot.name });
  const overlay = el("img", { class: "overlay", alt: "", hidden: true });
  const frame = el("div", { class: "frame" }, picture, overlay);
  const note = el("p", { class: "soft small", role: "status" });
  const strength = el("input", { type: "range", min: "0", max: "100", value: "65", "aria-label": t("strength"),
    on: { input: () => { overlay.style.opacity = strength.value / 100; } } });
  const names = reference.error ? [] : reference.probabilities.map(({ name }) => name);
  const select = el("select", { "aria-label": t("look_for"), on: { change: explain } },
    names.map((name) => el("option", { value: name }, app.className(name))));
  select.value = reference.predicted;
  const more = el("div", { class: "row more", hidden: true }, select, strength);
  const toggle = el("button", { "aria-pressed": "false", on: { click: () => {
    const on = toggle.getAttribute("aria-pressed") !== "true";
    toggle.setAttribute("aria-pressed", String(on));
    more.hidden = !on;
    overlay.hidden = !on || !overlay.src;
    note.hidden = !on;
    if (on && !overlay.src) explain();
  } } }, t("look"));
  const tools = el("div", { class: "look" }, toggle, more, note);
  let turn = 0;

  async function explain() {
    const request = ++turn;
    note.textContent = t("looking");
    try {
      const query = new URLSearchParams({ model, class_name: select.value });
      const found = await app.api(`/api/try/explain?${query}`, { method: "POST", body: shot.blob });
      if (request !== turn) return;
      overlay.src = found.overlay;
      overlay.style.opacity = strength.value / 100;
      overlay.hidden = toggle.getAttribute("aria-pressed") !== "true";
      const values = { name: app.className(found.class), n: found.ms.toFixed(0) };
      note.textContent = t(found.nothing ? "look_nothing" : "look_note", values);
    } catch (problem) {
      if (request === turn) note.textContent = problem.message;
    }
  }

  return { model, picture, frame, tools };
}
