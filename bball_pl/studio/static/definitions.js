// The definitions of the classes in a dialog, as plain text.

/** Show the definitions; returns the dialog. */
export async function showDefinitions(app, words) {
  const { el } = app;
  const sections = await app.api(`/api/sort/definitions?language=${encodeURIComponent(app.language)}`);
  const dialog = el("dialog", { class: "definitions", "aria-labelledby": "definitions-title" },
    el("div", { class: "row head" },
      el("h2", { id: "definitions-title", class: "grow" }, words.title),
      el("button", { on: { click: () => dialog.close() } }, words.close, " ", el("kbd", {}, "Esc"))),
    sections.length ? null : el("p", {}, words.none),
    el("div", { class: "sections", tabindex: 0 }, sections.map((section) => {
      const number = app.classNumber(section.name);
      return el("section", { class: number > 0 ? `class-${number}` : "" },
        el("h3", {}, number > 0 ? el("kbd", {}, String(number)) : null, number > 0 ? " " : null, section.heading),
        el("p", {}, section.intro),
        el("ul", {}, section.rules.map((rule) => el("li", {}, rule))));
    })));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("keydown", (event) => {
    if (["?", "d"].includes(event.key)) {
      event.preventDefault();
      dialog.close();
    }
  });
  // A click beside it closes it: the dialog itself is hit only outside of what it holds.
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
