// One photo of Review: in the pile, and large with what can be done to it.

/** A photo in the pile. */
export function drawItem(review, photo, place) {
  const { el, t } = review.app;
  const tag = (name, before = "") => el("span", { class: `class-${review.number(name)} tag` }, before, review.name(name));
  const wrong = photo.predicted && photo.predicted !== photo.label;
  return el("button", { class: "photo", "aria-current": place === review.place ? "true" : null, on: { click: () => review.go(place) } },
    photo.id ? el("img", { src: `/api/photos/${photo.id}/thumb`, alt: "", loading: "lazy", width: 160, height: 120 }) : el("span", { class: "blank" }),
    el("span", { class: "words tiny" },
      tag(photo.label),
      wrong ? tag(photo.predicted, "→ ") : null,
      photo.changed ? el("span", { class: "done" }, "✓ ", photo.now !== photo.label ? review.stateName(photo.now) : t("confirmed")) : null));
}

/** The photo, what is said of it, and the keys. */
export function drawDetail(review, photo) {
  const { el, t, meter, percent } = review.app;
  const answer = (name, place) => {
    const share = photo.probabilities?.[review.number(name) - 1];
    return el("button", {
      class: `answer class-${place + 1}`, dataset: { act: name }, "aria-keyshortcuts": String(place + 1),
      "aria-pressed": String(photo.now === name), disabled: !photo.id, on: { click: () => review.change("label", name) },
    },
    el("span", { class: "top" }, el("kbd", {}, String(place + 1)), el("span", { class: "name" }, review.pieces(name)),
      el("span", { class: "share small" }, share === undefined ? "" : percent(share))),
    meter(share ?? 0));
  };
  const act = (key, text, run, disabled = false) => el("button", { class: "act", dataset: { act: text }, "aria-keyshortcuts": key, disabled, on: { click: run } }, el("kbd", {}, key), t(text));
  return [
    drawStage(review, photo),
    drawCaption(review, photo),
    photo.suggested ? el("p", { class: "small audit" }, t("suggested", { name: review.name(photo.suggested) }), " ",
      photo.why ? t("why", { why: photo.why }) : "", photo.probabilities ? "" : ` ${t("not_answered")}`) : "",
    el("div", { class: "answers", role: "group", "aria-label": t("relabel") }, review.keys.map(answer)),
    el("div", { class: "acts", role: "group", "aria-label": t("more_actions") },
      act("c", "confirm", () => review.change("confirm"), !photo.id),
      act("x", "quarantine", () => review.change("quarantine"), !photo.id),
      act("z", "undo", () => review.undo()),
      act("?", "help", () => review.help())),
  ];
}

function drawStage({ app, pictures }, photo) {
  const { el, t } = app;
  if (!photo.id) return el("div", { class: "stage" }, el("p", { class: "broken" }, t("gone_note")));
  const own = pictures.load(photo.id);
  own.image.alt = photo.path;
  const stage = el("div", { class: "stage" }, own.image);
  own.done.then(() => {
    if (own.problem) stage.replaceChildren(el("p", { class: "broken" }, t("unreadable", { reason: own.problem })));
  });
  return stage;
}

function drawCaption(review, photo) {
  const { el, t } = review.app;
  const wrong = photo.predicted && photo.predicted !== photo.label;
  const fact = (text, name, style = "") => el("span", {}, el("span", { class: "soft" }, text, " "), el("strong", { class: style }, review.name(name)));
  const now = photo.now === photo.label ? t("confirmed")
    : ["quarantine", "gone"].includes(photo.now) ? review.stateName(photo.now) : t("now", { name: review.name(photo.now) });
  return el("p", { class: "caption small" },
    fact(t("label"), photo.label),
    photo.probabilities ? fact(t("answer"), photo.predicted, wrong ? "wrong" : "") : null,
    photo.changed ? el("span", { class: "done" }, "✓ ", now) : null,
    el("span", { class: "file soft" }, photo.path),
    photo.group ? el("span", { class: "soft" }, photo.group) : null,
    el("span", { class: "soft place" }, t("count", { n: review.place + 1, all: review.total })));
}
