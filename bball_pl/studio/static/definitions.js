// Dialog with the definitions of the classes, as plain text.

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
      const key = app.classes.find((one) => one.name === section.name)?.key;
      return el("section", { class: key ? `class-${key}` : "" },
        el("h3", {}, key ? [el("kbd", {}, key), " "] : null, section.heading),
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
  // A click on the backdrop has the dialog itself as its target.
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
