// Runs: the table, the page of a run, and the comparison of two runs, selected by the address.

import { mountCompare } from "./compare.js";
import { mountRun } from "./run.js";
import { mountTable } from "./table.js";
import { strings } from "./words.js";

export { strings };

const POLL_EVERY = 10_000;

/** The page in the address, behind #/runs: {page, ...}. */
function route() {
  const [path, query] = location.hash.replace(/^#\/runs\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  if (parts[0] === "compare") {
    const given = new URLSearchParams(query);
    return { page: "compare", a: given.get("a") ?? "", b: given.get("b") ?? "" };
  }
  return parts.length === 2 ? { page: "run", name: parts.join("/") } : { page: "table" };
}

export async function mount(root, app) {
  let current = null;
  let turn = 0;

  async function show() {
    const request = ++turn;
    const target = route();
    const shown = app.el("div", { class: target.page });
    let next;
    try {
      if (target.page === "run") next = await mountRun(shown, app, target.name);
      else if (target.page === "compare") next = await mountCompare(shown, app, target);
      else next = await mountTable(shown, app);
    } catch (problem) {
      next = {};
      shown.replaceChildren(app.el("h1", {}, app.t("runs")), app.el("p", {}, app.el("a", { href: "#/runs" }, "← ", app.t("all"))),
        app.el("p", { class: "notice bad" }, problem.message));
    }
    if (request !== turn) { next.leave?.(); return; }
    current?.leave?.();
    current = next;
    root.replaceChildren(shown);
    next.shown?.();
  }

  async function moved() {
    if (!/^#\/?runs\b/.test(location.hash)) return;
    await show();
    scrollTo(0, 0);
    root.querySelector("h1")?.focus({ preventScroll: true });
  }

  // Follows a run in training while the page is visible.
  const poll = setInterval(() => { if (document.visibilityState === "visible") current?.refresh?.(); }, POLL_EVERY);
  addEventListener("hashchange", moved);
  await show();
  return () => {
    turn += 1;
    clearInterval(poll);
    removeEventListener("hashchange", moved);
    current?.leave?.();
  };
}
