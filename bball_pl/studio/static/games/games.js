// Games: proposals of photos of one game; a person accepts the ticked ones or refuses the proposal.

import { strings } from "./strings.js";

export { strings };

function card(app, proposal) {
  const { el, t } = app;
  const ticks = new Map();
  const note = el("p", { class: "soft", role: "status" });
  const buttons = el("div", { class: "acts" });
  const game = el("input", { type: "text", maxlength: 80, list: "games", placeholder: proposal.name });
  const named = el("label", { class: "game" }, t("game"), game);
  const photos = el("ul", { class: "photos", "aria-label": t("belongs") }, proposal.photos.map((photo) => {
    const tick = el("input", { type: "checkbox", checked: true });
    ticks.set(photo.id, tick);
    return el("li", {}, el("label", {},
      el("img", { src: `/api/photos/${photo.id}/thumb`, alt: photo.class ? photo.name : "", loading: "lazy" }),
      el("span", { class: "line" }, tick, photo.class ? app.className(photo.class) : photo.name)));
  }));

  async function decide(oneGame) {
    const all = proposal.photos.map((photo) => photo.id);
    const chosen = oneGame ? all.filter((id) => ticks.get(id).checked) : all;
    if (chosen.length < 2) { note.textContent = t("few"); return; }
    // A second click would record the same once more, and Undo takes back one record.
    for (const button of buttons.children) button.disabled = true;
    try {
      const answer = await app.api("/api/games/decide", { json: { name: proposal.name, photos: chosen, one_game: oneGame, game: game.value } });
      shown(oneGame ? t("accepted", { n: chosen.length }) : t("refused"), answer.numbers);
    } catch (problem) {
      note.textContent = problem.message;
      for (const button of buttons.children) button.disabled = false;
    }
  }

  async function undo(numbers) {
    try {
      await app.api("/api/games/undo", { json: { numbers } });
      shown(t("undone"), []);
    } catch (problem) {
      note.textContent = problem.message;
    }
  }

  /** Show what was decided, or the choice again. */
  function shown(text, numbers) {
    const decided = numbers.length > 0;
    photos.hidden = decided;
    named.hidden = decided;
    note.textContent = text;
    buttons.replaceChildren(...(decided
      ? [el("button", { on: { click: () => undo(numbers) } }, t("undo"))]
      : [el("button", { class: "primary", on: { click: () => decide(true) } }, t("yes")),
        el("button", { on: { click: () => decide(false) } }, t("no"))]));
    if (decided) buttons.firstChild.focus();
  }

  shown("", []);
  return el("section", { class: "proposal" }, el("h2", {}, t("proposal", { n: proposal.photos.length })), photos, named, note, buttons);
}

export async function mount(root, app) {
  const { el, t } = app;

  async function show() {
    const found = await app.api("/api/games");
    const parts = [
      el("h1", { tabindex: "-1" }, t("heading")),
      el("p", {}, t("why")),
      el("p", { class: "soft" }, t("counts", { named: found.named, n: found.photos, inbox: found.inbox })),
      found.proposals.length === 0 && el("p", { class: "notice" }, t("none")),
      el("datalist", { id: "games" }, found.games.map((name) => el("option", { value: name }))),
      ...found.proposals.map((proposal) => card(app, proposal)),
      found.more > 0 && el("p", { class: "soft" }, t("more", { n: found.more })),
      found.proposals.length > 0 && el("button", { on: { click: show } }, t("again")),
    ];
    root.replaceChildren(...parts.filter(Boolean));
  }

  await show();
  return () => {};
}
