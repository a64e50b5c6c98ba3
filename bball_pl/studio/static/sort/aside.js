// Grid of the photos that the model answers with none; a person unticks those that show a move and confirms the rest.

/** Show the grid; `flow` sorts, `changed(answer)` is called after each confirmation. Returns the dialog. */
export async function showAside(app, flow, { changed, undo }) {
  const { el, t } = app;
  const ticks = new Map();
  const list = el("ul", { class: "grid", "aria-label": t("aside_list") });
  const status = el("p", { class: "small", role: "status" });
  const confirm = el("button", { class: "primary", on: { click: () => decide() } });
  const undoButton = el("button", { hidden: true, on: { click: () => takeBack() } }, el("kbd", {}, "z"), t("undo"));
  const note = el("p", { class: "soft small" });
  const dialog = el("dialog", { class: "aside", "aria-labelledby": "aside-title" },
    el("div", { class: "row head" },
      el("h2", { id: "aside-title", class: "grow" }, t("aside_title", { name: app.className("none") })),
      el("button", { on: { click: () => dialog.close() } }, t("close"), " ", el("kbd", {}, "Esc"))),
    note, list,
    el("div", { class: "row foot" }, confirm, undoButton, status));

  const ticked = () => flow.grid.filter((photo) => ticks.get(photo.id).checked);

  function count() {
    const n = ticked().length;
    confirm.textContent = n ? t("aside_confirm", { n, name: app.className("none") }) : t("aside_none_ticked");
    confirm.hidden = !flow.grid.length;
  }

  async function load() {
    const page = await app.api("/api/sort/aside", { json: { tab: flow.tab, kept: [...flow.kept] } });
    flow.grid = page.photos.map((photo) => flow.take(photo));
    ticks.clear();
    list.replaceChildren(...flow.grid.map((photo) => {
      const tick = el("input", { type: "checkbox", checked: true, on: { change: count } });
      ticks.set(photo.id, tick);
      const sure = photo.probabilities?.none;
      return el("li", {}, el("label", {},
        el("img", { src: `/api/photos/${photo.id}/thumb`, alt: "", width: 320, height: 240 }),
        el("span", { class: "line tiny" }, tick, el("span", { class: "file" }, photo.name),
          sure === undefined ? null : el("span", { class: "soft" }, app.percent(sure)))));
    }));
    note.textContent = flow.grid.length ? [t("aside_text"), page.of > flow.grid.length ? t("aside_pages", { n: flow.grid.length, all: page.of }) : ""].join(" ") : t("aside_empty");
    count();
    list.scrollTop = 0;
    (ticks.values().next().value ?? dialog.querySelector("button")).focus();
  }

  async function decide() {
    const chosen = ticked();
    const rest = flow.grid.filter((photo) => !chosen.includes(photo));
    confirm.disabled = true;
    try {
      let text = "";
      if (chosen.length) {
        const answer = await flow.setAside(chosen);
        changed(answer);
        const n = answer.photos.length;
        text = [t("aside_done", { n, name: app.className("none") }),
          answer.conflicts.length ? t("aside_elsewhere", { names: answer.conflicts.join(", ") }) : "",
          answer.unsaved ? t("not_saved", { message: answer.unsaved }) : ""].join(" ");
        undoButton.hidden = !n;
      }
      for (const photo of rest) flow.kept.add(photo.id);
      await load();
      status.textContent = text;
    } catch (problem) {
      status.textContent = t("not_saved", { message: problem.message });
    } finally {
      confirm.disabled = false;
    }
  }

  async function takeBack() {
    undoButton.hidden = true;
    status.textContent = "";
    try {
      await undo();
      await load();
    } catch (problem) {
      status.textContent = problem.message;
    }
  }

  /** The arrow keys go from tick to tick. */
  function move(event) {
    const boxes = [...ticks.values()];
    const from = boxes.indexOf(document.activeElement);
    const top = (box) => box.closest("li").offsetTop;
    const columns = boxes.filter((box) => top(box) === top(boxes[0])).length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (from < 0 || !step) return false;
    boxes[from + step]?.focus();
    return true;
  }

  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key === "z" && !undoButton.hidden) takeBack();
    else if (key === "n") dialog.close();
    else if (!move(event)) return;
    event.preventDefault();
  });
  dialog.addEventListener("close", () => {
    flow.grid = [];
    dialog.remove();
  });
  await load();
  document.body.append(dialog);
  dialog.showModal();
  (ticks.values().next().value ?? dialog.querySelector("button")).focus();
  app.announce(t("aside_found", { n: flow.grid.length }));
  return dialog;
}
