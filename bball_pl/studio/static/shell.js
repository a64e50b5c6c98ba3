// Frame of the page: navigation, language, and the functions that the views share.

import { el, meter, svg } from "./dom.js";
import { makeApi, session } from "./net.js";
import { keepReachable } from "./reachable.js";
import { firstLanguage, remember, shellStrings, speaker } from "./words.js";

const VIEWS = ["steps", "sort", "games", "review", "try", "runs"];

const bar = document.getElementById("bar");
const main = document.getElementById("main");
const announcer = document.getElementById("announcer");
let about = { classes: [], checkpoint: "", shipped: false, language: "" };
let language = "en";
let t = speaker(language, shellStrings);
let unmount = null;
let turn = 0;

function announce(text) {
  // Emptied first, so that screen readers repeat an identical sentence.
  announcer.textContent = "";
  setTimeout(() => { announcer.textContent = text; }, 50);
}

function viewName() {
  const name = location.hash.replace(/^#\/?/, "").split(/[/?]/)[0];
  return VIEWS.includes(name) ? name : "sort";
}

function drawBar() {
  document.documentElement.lang = language;
  const skip = document.getElementById("skip");
  skip.textContent = t("skip");
  const current = viewName();
  document.title = `${t(current)} · ${t("title")}`;
  const other = language === "en" ? "zh-Hant" : "en";
  bar.replaceChildren(
    el("a", { class: "home", href: "#/sort", "aria-label": t("title") }, el("img", { src: "static/icon.svg", alt: "" }), el("span", {}, t("title"))),
    el("nav", { "aria-label": t("views") }, el("ul", {}, VIEWS.map((name) => el("li", {},
      el("a", { href: `#/${name}`, "aria-current": name === current ? "page" : null }, t(name)))))),
    el("div", { class: "side" },
      el("span", { class: "model", title: about.checkpoint },
        about.checkpoint ? t("model", { name: modelName(t) }) : t("no_model")),
      el("button", { class: "language", lang: other, "aria-label": t("language_label"), on: { click: () => speak(other) } },
        t("language_other"))),
  );
}

/** Name of the current model: its run, or its file. */
function modelName(say) {
  return about.shipped ? say("shipped") : about.checkpoint;
}

function speak(chosen) {
  language = chosen;
  t = speaker(language, shellStrings);
  remember("studio.language", chosen);
  show(true);
}

/** Functions and data for a view. */
function appFor(strings) {
  const say = speaker(language, strings, shellStrings);
  return {
    api: makeApi(say),
    imageUrl: (path) => new URL(path, location.origin).href,
    t: say,
    language,
    announce,
    el,
    svg,
    meter,
    classes: about.classes,
    /** Style of a class: its colour in Sort, or by its index in `names` if Sort does not have it. */
    classStyle: (name, names = []) => `class-${about.classes.find((one) => one.name === name)?.key ?? 1 + names.indexOf(name)}`,
    /** Display name of a class in the current language. */
    className: (name) => {
      const known = about.classes.find((one) => one.name === name);
      if (!known?.chinese) return name;
      return language === "en" ? `${known.name} ${known.chinese}` : `${known.chinese} ${known.name}`;
    },
    /** The same as elements that do not wrap inside. */
    classPieces: (name, chinese = about.classes.find((one) => one.name === name)?.chinese) => {
      if (!chinese) return [el("span", {}, name)];
      const pieces = [el("span", { class: "nowrap" }, name), el("span", { class: "nowrap", lang: "zh-Hant" }, chinese)];
      return language === "en" ? [pieces[0], " ", pieces[1]] : [pieces[1], " ", pieces[0]];
    },
    percent: (share) => {
      const text = (100 * share).toFixed(share > 0.9995 || share < 0.0005 ? 1 : 0);
      return say("percent", { n: share < 1 && text.startsWith("100") ? ">99" : text.replace(/\.0$/, "") });
    },
    /** Load the style sheet of a view whose parts are shown in another one. */
    style: link,
    checkpoint: modelName(say),
    shipped: about.shipped,
    go: (hash) => { location.hash = hash; },
  };
}

function link(name) {
  const href = `static/${name}/${name}.css`;
  const known = document.querySelector(`link[href="${href}"]`);
  if (known) return Promise.resolve();
  return new Promise((resolve) => {
    // Not every view has a style sheet.
    document.head.append(el("link", { rel: "stylesheet", href, on: { load: resolve, error: resolve } }));
  });
}

async function show(keepFocus = false) {
  const name = viewName();
  const current = ++turn;
  drawBar();
  unmount?.();
  unmount = null;
  main.className = name;
  main.replaceChildren(el("p", { class: "waiting" }, t("loading")));
  try {
    const [view] = await Promise.all([import(`./${name}/${name}.js`), link(name)]);
    if (current !== turn) return;
    const root = el("div", { class: `view ${name}-view` });
    main.replaceChildren(root);
    const left = await view.mount(root, appFor(view.strings));
    if (current === turn) unmount = left;
    else left?.();
    if (!keepFocus && current === turn && document.activeElement === document.body) main.focus({ preventScroll: true });
  } catch (error) {
    if (current !== turn) return;
    console.warn(error);
    main.replaceChildren(el("div", { class: "empty" }, el("h1", {}, t(name)), el("p", { class: "notice bad" }, t("view_failed"), " ", error.message),
      el("button", { on: { click: () => show() } }, t("again"))));
  }
}

keepReachable();
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
// A page from the back-forward cache has released its photos.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
addEventListener("hashchange", (event) => {
  const name = (url) => new URL(url).hash.replace(/^#\/?/, "").split(/[/?]/)[0] || "sort";
  // Each view handles the part behind its name by itself.
  if (name(event.oldURL) !== name(event.newURL)) show();
});

try {
  about = await session();
} catch (error) {
  t = speaker(firstLanguage(""), shellStrings);
  about.problem = t(`problem_${error.code}`) || error.message;
}
language = firstLanguage(about.language);
t = speaker(language, shellStrings);
if (about.problem) main.replaceChildren(el("h1", {}, t("title")), el("p", { class: "notice bad" }, about.problem));
else await show(true);
