// One photo of Review: as an item of the list, and enlarged with its actions.

/** A photo in the list. */
export function drawItem(review, photo, index) {
  const { el, t } = review.app;
  const tag = (name, before = "") => el("span", { class: `${review.style(name)} tag` }, before, review.name(name));
  const wrong = photo.predicted && photo.predicted !== photo.label;
  return el("button", { class: "photo", "aria-current": index === review.index ? "true" : null, on: { click: () => review.go(index) } },
    photo.id ? el("img", { src: `/api/photos/${photo.id}/thumb`, alt: "", loading: "lazy", width: 160, height: 120 }) : el("span", { class: "blank" }),
    el("span", { class: "words tiny" },
      tag(photo.label),
      wrong ? tag(photo.predicted, "→ ") : null,
      photo.changed || photo.confirmed ? el("span", { class: "done" }, "✓ ", photo.changed ? review.stateName(photo.now) : t("confirmed")) : null));
}

/** The enlarged photo with its facts and buttons. */
export function drawDetail(review, photo) {
  const { el, t, meter, percent } = review.app;
  const closed = !photo.id || !review.mayDecide(photo);
  const answer = ({ name, key }) => {
    const share = photo.probabilities?.[review.number(name) - 1];
    return el("button", {
      class: `answer ${review.style(name)}`, dataset: { act: name }, "aria-keyshortcuts": key,
      "aria-pressed": String(photo.now === name), disabled: closed, on: { click: () => review.change("label", name) },
    },
    el("span", { class: "top" }, el("kbd", {}, key), el("span", { class: "name" }, review.pieces(name)),
      el("span", { class: "share small" }, share === undefined ? "" : percent(share))),
    meter(share ?? 0));
  };
  const act = (key, text, run, disabled = false) => el("button", { class: "act", dataset: { act: text }, "aria-keyshortcuts": key, disabled, on: { click: run } }, el("kbd", {}, key), t(text));
  return [
    drawStage(review, photo),
    drawCaption(review, photo),
    review.feedback,
    photo.hidden ? el("p", { class: "small audit" }, t("hidden")) : "",
    photo.id && closed ? el("p", { class: "small audit" }, t("decide_blind"), " ",
      el("button", { class: "plain small", on: { click: () => review.refilter({ show: "blind" }) } }, t("to_blind"))) : "",
    photo.suggested ? el("p", { class: "small audit" }, t("suggested", { name: review.name(photo.suggested) }), " ",
      photo.why ? t("why", { why: photo.why }) : "", photo.probabilities || photo.hidden ? "" : ` ${t("not_answered")}`) : "",
    el("div", { class: "answers", role: "group", "aria-label": t("relabel") }, review.keys.map(answer)),
    el("div", { class: "acts", role: "group", "aria-label": t("more_actions") },
      act("c", "confirm", () => review.change("confirm"), closed),
      act("x", "quarantine", () => review.change("quarantine"), closed),
      act("z", "undo", () => review.undo()),
      act("?", "help", () => review.help())),
  ];
}

function drawStage({ app, pictures }, photo) {
  const { el, t } = app;
  if (!photo.id) return el("div", { class: "stage" }, el("p", { class: "broken" }, t("missing_note")));
  const picture = pictures.load(photo.id);
  picture.image.alt = photo.path;
  const stage = el("div", { class: "stage" }, picture.image);
  picture.done.then(() => {
    if (picture.problem) stage.replaceChildren(el("p", { class: "broken" }, t("unreadable", { reason: picture.problem })));
  });
  return stage;
}

function drawCaption(review, photo) {
  const { el, t } = review.app;
  const wrong = photo.predicted && photo.predicted !== photo.label;
  const fact = (text, name, style = "") => el("span", {}, el("span", { class: "soft" }, text, " "), el("strong", { class: style }, review.name(name)));
  const now = !photo.changed ? t("confirmed")
    : ["quarantine", "missing"].includes(photo.now) ? review.stateName(photo.now) : t("now", { name: review.name(photo.now) });
  return el("p", { class: "caption small" },
    fact(t("label"), photo.label),
    photo.probabilities ? fact(t("answer"), photo.predicted, wrong ? "wrong" : "") : null,
    photo.changed || photo.confirmed ? el("span", { class: "done" }, "✓ ", now) : null,
    el("span", { class: "file soft" }, photo.path),
    photo.group ? el("span", { class: "soft" }, photo.group) : null,
    el("span", { class: "soft position" }, t("count", { n: review.index + 1, all: review.total })));
}
