// Sort: one photo at a time, a key for each class.

import { showAside } from "./aside.js";
import { showDefinitions } from "../definitions.js";
import { onKeys } from "../keys.js";
import { Pictures } from "../pictures.js";
import { remember, remembered } from "../words.js";
import { Flow } from "./flow.js";
import { Pace } from "./pace.js";
import { drawDone, drawEmpty } from "./pages.js";
import { drawCounts, drawFailure, drawLine } from "./parts.js";
import { strings } from "./strings.js";

export { strings };

export async function mount(root, app) {
  const start = await app.api("/api/sort");
  return new SortView(root, app, start).begin();
}

class SortView {
  constructor(root, app, start) {
    Object.assign(this, { root, app, start });
    this.pictures = new Pictures(18);
    this.beside = new Map();
    this.pace = new Pace();
    this.suggests = remembered("studio.suggestions") !== "no";
    const order = remembered("studio.order") ?? (start.suggests ? "doubt" : "album");
    const tab = crypto.randomUUID?.() ?? `${Math.random()}`.slice(2);
    this.flow = new Flow(app.api, tab, start.suggests ? order : "album", {
      changed: () => this.draw(),
      failed: (problem, unsaved) => this.fail(problem, unsaved),
      message: (key, values) => this.showMessage(key, values),
    });
    this.flow.progress = start;
  }

  async begin() {
    this.build();
    const dropKeys = onKeys((key) => this.hear(key));
    const leave = () => this.flow.end(true);
    const hold = (event) => { if (this.flow.unsaved) event.preventDefault(); };
    addEventListener("pagehide", leave);
    addEventListener("beforeunload", hold);
    // Keeps the leases of this tab's photos while the user looks at one.
    const beat = setInterval(() => { if (!document.hidden && !this.done) this.flow.beat(); }, 20_000);
    await this.flow.fill();
    this.draw();
    return () => {
      dropKeys();
      clearInterval(beat);
      clearTimeout(this.besideTimer);
      removeEventListener("pagehide", leave);
      removeEventListener("beforeunload", hold);
      this.dialog?.close();
      this.flow.end();
    };
  }

  build() {
    const { app, start } = this;
    const { el, t } = app;
    this.left = el("strong", {});
    this.sorted = el("span", { class: "soft" });
    this.rate = el("span", { class: "soft", title: "" });
    this.saving = el("span", { class: "soft small" });
    this.line = el("div", { class: "line" });
    this.order = el("select", { id: "order", on: { change: () => this.reorder() } },
      ["doubt", "none", "album"].map((name) => el("option", { value: name, selected: name === this.flow.order }, t(`order_${name}`))));
    this.suggestBox = el("input", { type: "checkbox", id: "suggestions", checked: this.suggests, on: { change: () => this.toggleSuggestions() } });
    this.notice = el("div", { class: "notice bad", role: "alert", hidden: true });
    this.stage = el("div", { class: "stage", role: "group", "aria-label": t("photo") });
    this.caption = el("p", { class: "caption small" });
    this.looking = el("p", { class: "looking", hidden: true });
    this.keys = app.classes.map((item) => {
      const meter = app.meter(0);
      const share = el("span", { class: "share small" });
      const button = el("button", { class: `answer class-${item.key}`, "aria-keyshortcuts": item.key, dataset: { name: item.name }, on: { click: () => this.decide("label", item.name) } },
        el("span", { class: "top" }, el("kbd", {}, item.key), el("span", { class: "name" }, app.classPieces(item.name)), share), meter);
      return { name: item.name, key: item.key, button, meter: meter.querySelector(".fill"), share };
    });
    this.acts = {};
    const action = (key, text, act) => {
      this.acts[key] = el("button", { class: "act", "aria-keyshortcuts": key, on: { click: act } }, el("kbd", {}, key), t(text));
      return this.acts[key];
    };
    this.undoButton = action("z", "undo", () => this.undo());
    this.feedback = el("p", { class: "feedback small" });
    this.seen = el("p", { class: "seen small soft", hidden: true });
    this.asideButton = el("button", { class: "small help aside-open", hidden: true, "aria-keyshortcuts": "n", on: { click: () => this.aside() } });
    this.similar = el("ul", { class: "similar" });
    this.similarNote = el("p", { class: "soft small" });
    this.counts = el("dl", { class: "probability counts" });
    this.work = el("div", { class: "work" },
      el("div", { class: "strip" }, this.left, this.sorted, this.rate, this.saving,
        el("div", { class: "row options" },
          start.suggests ? el("label", { class: "small row", for: "order" }, t("order"), this.order) : null,
          start.suggests ? el("label", { class: "small check", for: "suggestions" }, this.suggestBox, t("suggestions")) : null,
          this.asideButton,
          el("button", { class: "small help", "aria-keyshortcuts": "?", on: { click: () => this.help() } }, el("kbd", {}, "?"), el("span", {}, t("help")))),
        this.seen),
      this.line,
      el("div", { class: "desk" },
        el("div", { class: "middle" }, this.stage, this.caption, this.looking, this.feedback,
          el("div", { class: "answers", role: "group", "aria-label": t("classes") }, this.keys.map((key) => key.button)),
          el("div", { class: "acts", role: "group", "aria-label": t("more") },
            action("x", "not_usable", () => this.decide("quarantine")),
            action("s", "skip", () => this.decide("skip")),
            this.undoButton,
            el("button", { class: "act look", "aria-label": t("back"), on: { click: () => this.flow.look(-1) } }, el("kbd", {}, "←")),
            el("button", { class: "act look", "aria-label": t("forward"), on: { click: () => this.flow.look(1) } }, el("kbd", {}, "→")))),
        el("aside", { class: "side", "aria-label": t("beside") },
          el("h2", {}, t("similar")), this.similarNote, this.similar,
          el("h2", {}, t("so_far")), this.counts)));
    this.page = el("div", { class: "page", hidden: true });
    this.root.append(el("h1", { class: "unseen" }, t("heading")), this.notice, this.work, this.page);
    if (start.links) this.root.append(el("p", { class: "soft small" }, t("links", { n: start.links })));
  }

  hear(key) {
    if (this.done && !["z", "ArrowLeft", "?"].includes(key)) return false;
    const chosen = this.keys.find((one) => one.key === key);
    if (chosen) this.decide("label", chosen.name);
    else if (key === "x") this.decide("quarantine");
    else if (key === "s") this.decide("skip");
    else if (key === "z") this.undo();
    else if (key === "?" || key === "d") this.help();
    else if (key === "n") this.aside();
    else if (key === "ArrowLeft") this.flow.look(-1);
    else if (key === "ArrowRight") this.flow.look(1);
    else return false;
    return true;
  }

  stateName(state) {
    const { t } = this.app;
    if (state === "quarantine") return t("quarantined");
    if (state === "skip") return t("skipped");
    return state ? this.app.className(state) : t("unsorted");
  }

  decide(action, name) {
    if (!this.flow.current || this.halted()) return;
    this.notice.hidden = true;
    this.pace.step();
    const chosen = this.keys.find((one) => action === "label" && one.name === name);
    const key = chosen?.key ?? (action === "skip" ? "s" : "x");
    this.last = { key, photo: this.flow.current, text: "went", state: action === "label" ? name : action };
    this.press(chosen?.button ?? this.acts[key]);
    this.flow.decide(action, name);
    this.app.announce(this.app.t("decided", { state: this.stateName(action === "label" ? name : action), left: this.flow.left }));
  }

  /** Whether unsaved changes block the keys, which were meant for other photos. */
  halted() {
    if (!this.flow.failed.length) return false;
    this.notice.querySelector("button")?.focus();
    return true;
  }

  undo() {
    if (this.halted()) return;
    this.notice.hidden = true;
    this.pace.back();
    this.press(this.acts.z);
    this.flow.undo();
  }

  /** Show for a moment which button a key has pressed. */
  press(button) {
    button.classList.remove("pressed");
    // The animation begins again only if the style was computed without it.
    button.getBoundingClientRect();
    button.classList.add("pressed");
  }

  /** The grid of the photos that the model answers with none. */
  async aside() {
    if (this.dialog?.open || this.halted() || !this.flow.progress.aside) return;
    const undone = () => new Promise((done) => {
      this.undo();
      const look = () => (this.flow.unsaved ? setTimeout(look, 30) : done());
      look();
    });
    this.dialog = await showAside(this.app, this.flow, {
      undo: undone,
      changed: (answer) => {
        if (answer.photos.length) this.last = { key: "n", text: "went_many", n: answer.photos.length, state: "none" };
        this.app.announce(this.app.t("aside_done", { n: answer.photos.length, name: this.app.className("none") }));
        this.draw();
      },
    }).catch((problem) => { this.fail(problem, []); return null; });
  }

  async help() {
    const { t } = this.app;
    if (this.dialog?.open) return;
    this.dialog = await showDefinitions(this.app, { title: t("definitions"), close: t("close"), none: t("no_definitions") }).catch(() => null);
  }

  reorder() {
    remember("studio.order", this.order.value);
    this.flow.reorder(this.order.value);
    this.order.blur();
  }

  toggleSuggestions() {
    this.suggests = this.suggestBox.checked;
    remember("studio.suggestions", this.suggests ? "yes" : "no");
    this.suggestBox.blur();
    this.draw();
  }

  showMessage(key, values) {
    const text = this.app.t(key, { ...values, state: values.state === undefined ? "" : this.stateName(values.state) });
    this.app.announce(text);
    if (key === "undo_none") this.last = { key: "z", text: "undo_none" };
    if (key === "undone") {
      const [photo] = values.photos;
      this.last = values.n === 1 ? { key: "z", text: "back_again", photo, state: photo.state } : { key: "z", text: "back_many", n: values.n };
      if (values.left_over?.length) this.last.more = this.app.t("aside_elsewhere", { names: values.left_over.join(", ") });
    }
    if (key === "elsewhere" || key === "missing") {
      this.notice.replaceChildren(this.app.el("p", {}, text));
      this.notice.hidden = false;
    }
  }

  fail(problem, unsaved) {
    this.last = null;
    const retry = () => {
      this.notice.hidden = true;
      if (unsaved.length) this.flow.retry();
      else this.flow.fill();
    };
    const drop = () => {
      this.flow.failed = [];
      this.notice.hidden = true;
    };
    this.notice.replaceChildren(...drawFailure(this.app, problem, unsaved, (state) => this.stateName(state), retry, drop));
    this.notice.hidden = false;
    if (unsaved.length) this.notice.querySelector("button").focus();
  }

  draw() {
    const { app, flow } = this;
    const { t } = app;
    const photo = flow.current;
    this.done = !photo && flow.dry && !flow.filling;
    const sorted = Object.keys(flow.progress.counts).reduce((sum, name) => sum + flow.count(name), 0);
    this.left.textContent = t("left", { n: flow.left });
    this.sorted.textContent = t("sorted", { n: sorted });
    const rate = this.pace.rate;
    this.rate.textContent = rate === null ? t("rate_none") : t("rate", { n: rate });
    this.root.dataset.saving = flow.unsaved;
    this.saving.textContent = flow.unsaved > 2 ? t("waiting_save", { n: flow.unsaved }) : "";
    this.line.replaceChildren(drawLine(app, flow, sorted));
    this.counts.replaceChildren(...drawCounts(app, flow, sorted));
    const scoring = flow.progress.scoring;
    this.order.options[0].textContent = scoring > 0 ? t("order_doubt_wait", { n: scoring }) : t("order_doubt");
    this.undoButton.disabled = false;
    this.drawSeen();
    this.drawFeedback();
    this.work.hidden = this.done;
    this.page.hidden = !this.done;
    if (this.done) {
      this.drawPage(sorted);
      this.page.prepend(this.feedback);
    } else {
      if (this.feedback.previousSibling !== this.looking) this.looking.after(this.feedback);
      if (photo) this.drawPhoto(photo);
    }
    for (const next of [...flow.ahead.slice(0, 7), ...flow.behind.slice(-2).map((item) => item.photo)]) this.pictures.load(next.id);
  }

  /** Which model suggests, and what it was trained on. */
  drawSeen() {
    const { el, t, language, checkpoint } = this.app;
    const { aside, seen } = this.flow.progress;
    const shown = this.suggests && this.start.suggests && seen?.[language];
    this.seen.hidden = !shown;
    if (shown) {
      this.seen.replaceChildren(t("suggested_by", { name: checkpoint }), " ", el("strong", {}, shown.origin), " ",
        el("span", { class: "training" }, shown.training));
    }
    this.asideButton.hidden = !(aside && this.suggests);
    this.asideButton.replaceChildren(el("kbd", {}, "n"), el("span", {}, t("aside", { n: aside })));
  }

  /** What the last key did, and where the photo went. */
  drawFeedback() {
    const { el, t } = this.app;
    const { last } = this;
    if (!last) return this.feedback.replaceChildren();
    const saved = !this.flow.queue.some((op) => op.photo === last.photo);
    const folder = last.photo && saved ? last.photo.folder : "";
    this.feedback.replaceChildren(el("kbd", {}, last.key), " ",
      el("span", { class: "what" }, t(last.text, { name: last.photo?.name ?? "", n: last.n ?? "", state: this.stateName(last.state ?? "") })),
      folder ? el("span", { class: "soft folder" }, folder) : "", last.more ? el("span", {}, last.more) : "");
  }

  drawPhoto(photo) {
    const { el, t } = this.app;
    const picture = this.pictures.load(photo.id);
    if (this.shown !== photo.id || this.shownState !== `${picture.ready}${picture.problem}`) {
      this.shown = photo.id;
      this.shownState = `${picture.ready}${picture.problem}`;
      picture.image.alt = photo.name;
      this.stage.replaceChildren(picture.problem ? el("p", { class: "broken" }, t("unreadable", { reason: picture.problem })) : picture.image);
      this.stage.classList.toggle("loading", !picture.ready && !picture.problem);
      if (!picture.ready && !picture.problem) picture.done.then(() => { if (this.flow.current === photo) this.draw(); });
    }
    this.caption.replaceChildren(el("span", { class: "file" }, photo.name), el("span", { class: "soft" }, photo.album));
    const looking = this.flow.looking >= 0;
    this.looking.hidden = !looking && !photo.state;
    this.looking.textContent = looking ? t("looking", { state: this.stateName(photo.state) }) : t("now", { state: this.stateName(photo.state) });
    for (const key of this.keys) key.button.setAttribute("aria-pressed", String(photo.state === key.name));
    this.drawBeside(photo);
  }

  drawBeside(photo) {
    const { app } = this;
    const { el, t } = app;
    const found = this.beside.get(photo.id);
    const shares = this.suggests ? found?.probabilities ?? photo.probabilities : null;
    const best = shares ? Object.entries(shares).sort((a, b) => b[1] - a[1])[0][0] : "";
    for (const key of this.keys) {
      key.meter.setAttribute("width", `${100 * (shares?.[key.name] ?? 0)}%`);
      key.share.textContent = shares && key.name in shares ? app.percent(shares[key.name]) : "";
      key.button.classList.toggle("best", key.name === best);
    }
    this.work.classList.toggle("suggesting", Boolean(this.suggests && this.start.suggests));
    if (this.besideOf !== photo.id) {
      this.besideOf = photo.id;
      clearTimeout(this.besideTimer);
      // A photo that is decided at once needs no similar photos.
      this.besideTimer = setTimeout(() => this.lookBeside(photo), found ? 0 : 40);
    }
    const similar = found?.similar ?? [];
    const shape = similar.map((one) => one.id + one.class).join();
    if (found && this.similarShape !== shape) {
      this.similarShape = shape;
      this.similar.replaceChildren(...similar.map((one) => el("li", { class: app.classStyle(one.class) },
        el("img", { src: `/api/photos/${one.id}/thumb`, alt: "", loading: "lazy", width: 160, height: 120 }), el("p", {}, app.classPieces(one.class)))));
    }
    this.similar.hidden = !similar.length && Boolean(found);
    const problem = this.flow.progress.problem;
    this.similarNote.textContent = problem ? t("no_suggestions", { message: problem })
      : similar.length || !found ? "" : t(found.waiting ? "similar_wait" : "similar_none");
  }

  async lookBeside(photo, again = 0) {
    try {
      const found = await this.app.api(`/api/sort/beside/${photo.id}`);
      this.beside.set(photo.id, found);
      if (this.beside.size > 200) this.beside.delete(this.beside.keys().next().value);
      if (this.flow.current !== photo) return;
      this.drawPhoto(photo);
      if (found.waiting && again < 20) this.besideTimer = setTimeout(() => this.lookBeside(photo, again + 1), 1_000);
    } catch {
      // Sorting works without suggestions and similar photos.
    }
  }

  drawPage(sorted) {
    const empty = sorted === 0 && this.flow.progress.skipped === 0 && this.flow.progress.quarantined === 0;
    const again = async () => {
      await this.app.api("/api/sort");
      await this.flow.fill();
      this.draw();
    };
    const draw = empty ? drawEmpty : drawDone;
    this.page.replaceChildren(...draw(this.app, this.start, { sorted, progress: this.flow.progress, left: this.flow.left }, {
      again, undo: () => this.undo(), skipped: () => this.flow.skipped() }));
  }
}
