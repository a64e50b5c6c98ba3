// Review: the errors and doubtful labels of a run, one photo at a time.

import { showDefinitions } from "../definitions.js";
import { onKeys } from "../keys.js";
import { Pictures } from "../pictures.js";
import { drawDetail, drawItem } from "./detail.js";
import { drawMatrix } from "./matrix.js";
import { strings } from "./strings.js";

export { strings };

const PAGE = 60;

export async function mount(root, app) {
  return new Review(root, app).begin();
}

class Review {
  constructor(root, app) {
    Object.assign(this, { root, app });
    this.pictures = new Pictures(10);
    this.filter = { show: "", true: "", predicted: "", group: "", order: "doubt" };
    this.photos = [];
    this.total = 0;
    this.index = 0;
    this.changes = [];
    this.saving = Promise.resolve();
    this.pending = 0;
    root.dataset.saving = 0;
  }

  /** Run one action after the other, in the order of the keys. */
  after(act) {
    this.root.dataset.saving = ++this.pending;
    this.saving = this.saving.then(act).finally(() => { this.root.dataset.saving = --this.pending; });
    return this.saving;
  }

  async begin() {
    const { el, t } = this.app;
    this.root.append(el("h1", { class: "unseen" }, t("heading")));
    this.tables = await this.app.api("/api/review");
    if (!this.tables.runs.length) {
      this.root.append(el("div", { class: "empty" }, el("h2", {}, t("no_runs")), el("p", {}, t("no_runs_text")),
        el("pre", {}, "bball fit --data.root data/photos\nbball evaluate")));
      return () => {};
    }
    const [, , experiment, version, split] = location.hash.split("/");
    const asked = this.tables.runs.find((run) => run.id === `${decodeURIComponent(experiment ?? "")}/${version}`);
    this.table = asked ?? this.tables.runs.find((run) => run.id === this.tables.current) ?? this.tables.runs[0];
    this.split = this.table.splits.includes(split) ? split : this.table.splits[0];
    this.build();
    const dropKeys = onKeys((key) => this.hear(key));
    await this.open();
    return () => {
      dropKeys();
      this.ended = true;
      this.dialog?.close();
    };
  }

  get url() {
    const [experiment, version] = this.table.id.split("/");
    return `/api/review/${encodeURIComponent(experiment)}/${version}/${this.split}`;
  }

  get photo() {
    return this.photos[this.index] ?? null;
  }

  name(name) {
    const known = this.summary?.classes.find((one) => one.name === name);
    if (!known?.chinese) return name;
    return this.app.language === "en" ? `${known.name} ${known.chinese}` : `${known.chinese} ${known.name}`;
  }

  pieces(name) {
    return this.app.classPieces(name, this.summary.classes.find((one) => one.name === name)?.chinese);
  }

  number(name) {
    return 1 + this.summary.classes.findIndex((one) => one.name === name);
  }

  style(name) {
    return this.app.classStyle(name, this.summary.classes.map((item) => item.name));
  }

  stateName(state) {
    return ["quarantine", "missing"].includes(state) ? this.app.t(state === "missing" ? "missing" : "quarantined") : this.name(state);
  }

  build() {
    const { el, t } = this.app;
    const field = (id, text, control) => el("label", { class: "field", for: id }, el("span", { class: "small soft" }, text), control);
    this.runSelect = el("select", { id: "run", on: { change: () => this.choose(this.runSelect.value) } },
      this.tables.runs.map((run) => el("option", { value: run.id, selected: run === this.table }, run.id)));
    this.splitSelect = el("select", { id: "split", on: { change: () => { this.split = this.splitSelect.value; this.filter.show = ""; this.open(); } } });
    this.showSelect = el("select", { id: "show", on: { change: () => this.refilter({ show: this.showSelect.value }) } });
    this.groupSelect = el("select", { id: "group", on: { change: () => this.refilter({ group: this.groupSelect.value }) } });
    this.orderSelect = el("select", { id: "order", on: { change: () => this.refilter({ order: this.orderSelect.value }) } },
      ["doubt", "confident", "unsure"].map((name) => el("option", { value: name }, t(`order_${name}`))));
    this.groupField = field("group", t("group"), this.groupSelect);
    this.notice = el("div", { class: "notice bad", role: "alert", hidden: true });
    this.matrix = el("section", { class: "matrix", "aria-label": t("matrix") });
    this.note = el("div", { class: "notice stale", hidden: true });
    this.chosen = el("p", { class: "chosen small" });
    this.list = el("ul", { class: "list" });
    this.moreButton = el("button", { class: "more", on: { click: () => this.load(false) } }, t("more"));
    this.count = el("p", { class: "small soft count" });
    this.feedback = el("p", { class: "feedback small" });
    this.detail = el("section", { class: "detail", "aria-label": t("detail") });
    this.listPane = el("section", { class: "list-pane", "aria-label": t("photos") }, this.chosen, this.count, this.list, this.moreButton);
    this.desk = el("div", { class: "desk" },
      el("aside", { class: "filters" },
        el("div", { class: "fields" }, field("run", t("run"), this.runSelect), field("split", t("split"), this.splitSelect)),
        this.matrix,
        el("div", { class: "fields" }, field("show", t("show"), this.showSelect), this.groupField, field("order", t("order"), this.orderSelect)),
        this.note),
      this.detail,
      this.listPane);
    this.root.append(this.notice, this.desk);
  }

  choose(id) {
    this.table = this.tables.runs.find((run) => run.id === id);
    this.split = this.table.splits[0];
    this.filter = { show: "", true: "", predicted: "", group: "", order: "doubt" };
    return this.open();
  }

  async open() {
    const { el, t } = this.app;
    history.replaceState(null, "", `#/review/${this.table.id.split("/").map(encodeURIComponent).join("/")}/${this.split}`);
    this.splitSelect.replaceChildren(...this.table.splits.map((name) => el("option", { value: name, selected: name === this.split }, t(`split_${name}`))));
    this.notice.hidden = true;
    const url = this.url;
    this.photos = []; // of the table before, which keys must not change any more
    // Another table may be chosen before the answer is there.
    const isLate = () => url !== this.url || this.ended;
    try {
      const summary = await this.app.api(url);
      if (isLate()) return;
      this.summary = summary;
    } catch (problem) {
      if (isLate()) return;
      this.showNotice(t("unavailable", { message: problem.message }));
      for (const part of [this.matrix, this.list, this.detail, this.chosen, this.count]) part.replaceChildren();
      this.note.hidden = this.moreButton.hidden = true;
      return;
    }
    const names = this.summary.classes.map((item) => item.name);
    const keyOf = (name) => this.app.classes.find((item) => item.name === name)?.key;
    // The keys of Sort where it has all classes of the run.
    const shared = names.every(keyOf);
    this.keys = names.slice(0, 10).map((name, index) => ({ name, key: shared ? keyOf(name) : String(index + 1) }));
    if (!this.filter.show) this.filter.show = !this.summary.errors ? "all" : this.first;
    else if (!this.summary.errors && ["errors", "blind"].includes(this.filter.show)) this.filter.show = "all";
    this.groupField.hidden = !this.summary.groups.length;
    this.groupSelect.replaceChildren(el("option", { value: "" }, t("any_group")),
      ...this.summary.groups.map((item) => el("option", { value: item.name, selected: item.name === this.filter.group }, t("group_item", item))));
    this.drawFilters();
    await this.load(true);
  }

  /** The list that a table opens with: of test photos, the one in which labels can be decided. */
  get first() {
    return this.split === "test" ? "blind" : "errors";
  }

  /** Whether the label of a photo may be decided: of a test photo only before its prediction is shown. */
  mayDecide(photo) {
    return this.split !== "test" || photo.hidden || photo.changed || photo.confirmed || !photo.probabilities;
  }

  drawFilters() {
    const { el, t } = this.app;
    const { summary } = this;
    const counts = { ...(this.split === "test" ? { blind: summary.blind } : {}), all: summary.photos, errors: summary.errors,
      doubtful: summary.doubtful, audit: summary.audit, changed: summary.changed };
    this.showSelect.replaceChildren(...Object.entries(counts).filter(([name, n]) => n || name === "all" || name === "errors" || name === this.filter.show)
      .map(([name, n]) => el("option", { value: name, selected: name === this.filter.show }, t(`show_${name}`, { n }).replace("{n}", n))));
    const focused = this.matrix.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    this.matrix.replaceChildren(drawMatrix(this.app, summary.classes.map((item) => item.name), summary.matrix, (name) => this.name(name), (name) => this.pieces(name), this.filter,
      async (label, predicted) => {
        await this.refilter({ show: "all", true: label, predicted });
        if (getComputedStyle(this.desk).display === "flex") this.detail.scrollIntoView({ block: "start" });
      }));
    if (focused) [...this.matrix.querySelectorAll("button")].find((button) => button.getAttribute("aria-label") === focused)?.focus();
    this.note.hidden = !summary.changed;
    if (summary.changed) this.note.replaceChildren(el("p", { class: "small" }, t("moved_note", { n: summary.changed })), el("pre", {}, summary.command));
  }

  refilter(change) {
    this.filter = { ...this.filter, ...change };
    if (change.show && !("true" in change)) Object.assign(this.filter, { true: "", predicted: "" });
    this.drawFilters();
    return this.load(true);
  }

  async load(reset) {
    const { t } = this.app;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const url = this.url;
    const query = new URLSearchParams({ ...this.filter, offset: reset ? 0 : this.photos.length, limit: PAGE });
    try {
      const page = await this.app.api(`${url}/photos?${query}`);
      if (turn !== this.turn || url !== this.url || this.ended) return;
      this.total = page.total;
      this.photos = reset ? page.photos : [...this.photos, ...page.photos];
      if (reset) this.index = 0;
      this.drawList(reset);
      this.drawDetail();
      if (reset) this.app.announce(t("n_photos", { n: page.total }));
    } catch (problem) {
      if (turn === this.turn && !this.ended) this.showNotice(problem.message);
    }
  }

  drawList(reset) {
    const { el, t } = this.app;
    const { filter } = this;
    const parts = filter.true && filter.predicted ? [t("chosen", { true: this.name(filter.true), predicted: this.name(filter.predicted) })]
      : [filter.true && t("label_is", { name: this.name(filter.true) }), filter.predicted && t("answer_is", { name: this.name(filter.predicted) })];
    const text = parts.filter(Boolean).join(" · ");
    this.chosen.replaceChildren(text ? el("strong", {}, text) : "", text ? el("button", { class: "plain small", on: { click: () => this.refilter({ show: this.first, true: "", predicted: "" }) } }, "×", el("span", { class: "unseen" }, t("clear"))) : "");
    this.chosen.hidden = !text;
    this.count.textContent = this.total ? t("n_photos", { n: this.total }) : t("none");
    this.list.replaceChildren(...this.photos.map((photo, index) => el("li", {}, drawItem(this, photo, index))));
    this.moreButton.hidden = this.photos.length >= this.total;
    if (reset) this.list.parentElement.scrollTop = 0;
  }

  redraw(photo) {
    const index = this.photos.findIndex((one) => one.path === photo.path);
    if (index < 0) return;
    this.photos[index] = photo;
    this.list.children[index]?.replaceChildren(drawItem(this, photo, index));
  }

  go(index) {
    if (!this.photos.length) return;
    const before = this.index;
    this.index = Math.max(0, Math.min(index, this.photos.length - 1));
    this.list.children[before]?.firstElementChild.removeAttribute("aria-current");
    const current = this.list.children[this.index]?.firstElementChild;
    current?.setAttribute("aria-current", "true");
    current?.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.drawDetail();
    if (this.index > this.photos.length - 8 && this.photos.length < this.total) this.load(false);
  }

  drawDetail() {
    const { photo } = this;
    if (!photo) {
      this.detail.replaceChildren(this.app.el("p", { class: "soft none" }, this.app.t("none")));
      return;
    }
    const focused = document.activeElement?.dataset?.act;
    this.detail.replaceChildren(...drawDetail(this, photo));
    if (focused) [...this.detail.querySelectorAll("[data-act]")].find((button) => button.dataset.act === focused)?.focus();
    for (const next of this.photos.slice(this.index + 1, this.index + 4)) if (next.id) this.pictures.load(next.id);
  }

  hear(key) {
    const chosen = this.keys?.find((one) => one.key === key);
    if (chosen) this.change("label", chosen.name);
    else if (key === "c") this.change("confirm");
    else if (key === "x") this.change("quarantine");
    else if (key === "z") this.undo();
    else if (key === "?" || key === "d") this.help();
    else if (key === "ArrowRight" || key === "ArrowDown") this.go(this.index + 1);
    else if (key === "ArrowLeft" || key === "ArrowUp") this.go(this.index - 1);
    else return false;
    return true;
  }

  /** Change the current photo and show the next one; the change is saved in the background. */
  change(action, className) {
    const { t } = this.app;
    const photo = this.photo;
    if (!photo?.id) return;
    if (!this.mayDecide(photo)) return this.say("", t("decide_blind"));
    const state = action === "label" ? this.name(className) : t(action === "confirm" ? "confirmed" : "quarantined");
    if (action === "label" && className === photo.now) return this.change("confirm");
    if (action === "confirm" && photo.confirmed) return this.go(this.index + 1);
    this.notice.hidden = true;
    const index = this.index;
    const url = this.url;
    if (index < this.photos.length - 1) this.go(index + 1);
    const key = action === "label" ? this.keys.find((one) => one.name === className)?.key : { confirm: "c", quarantine: "x" }[action];
    this.say(key, t("decided", { name: photo.path, state }));
    return this.after(async () => {
      // The version after the latest response: an earlier change may just have been saved.
      const seen = (this.photos.find((one) => one.path === photo.path) ?? photo).seen;
      try {
        const answer = await this.app.api(`${url}/change`, { json: { path: photo.path, action, class_name: className ?? "", seen } });
        this.changes.push({ number: answer.number, url });
        this.keep(answer.photo, url);
        if (answer.photo.place !== photo.path) this.say(key, t("decided", { name: photo.path, state }), answer.photo.place);
        if (this.pending === 1) await this.recount();
      } catch (problem) {
        this.say("", "");
        if (problem.state) this.keep(problem.state, url);
        this.showNotice(problem.code === "conflict" ? t("elsewhere", { name: photo.path }) : t("not_saved", { name: photo.path, state, message: problem.message }));
        if (problem.code !== "conflict" && url === this.url) this.go(this.photos.findIndex((one) => one.path === photo.path));
      }
    });
  }

  undo() {
    const { t } = this.app;
    this.notice.hidden = true;
    const url = this.url;
    return this.after(async () => {
      const last = this.changes.findLastIndex((one) => one.url === url);
      try {
        const answer = await this.app.api(`${url}/undo`, { json: { number: last >= 0 ? this.changes[last].number : 0 } });
        if (last >= 0) this.changes.splice(last, 1);
        if (!answer.photo) return this.say("z", t("undo_none"));
        this.keep(answer.photo, url);
        const index = url !== this.url ? -1 : this.photos.findIndex((one) => one.path === answer.photo.path);
        if (index >= 0) this.go(index);
        this.say("z", t("undone", { name: answer.photo.path, state: this.stateName(answer.photo.now) }), answer.photo.place);
        if (this.pending === 1) await this.recount();
      } catch (problem) {
        if (problem.code === "conflict" && last >= 0) this.changes.splice(last, 1);
        this.showNotice(problem.message);
      }
    });
  }

  /** Show and announce what a key did, and where the photo lies now. */
  say(key, text, place = "") {
    const { el } = this.app;
    this.feedback.replaceChildren(key ? el("kbd", {}, key) : "", el("span", { class: "what" }, text), place ? el("span", { class: "soft" }, place) : "");
    if (text && text !== this.said) this.app.announce(text);
    this.said = text;
  }

  /** Show a photo as it is now, if the table that says so is still the one on screen: others have other answers. */
  keep(photo, url) {
    if (url !== this.url) return;
    this.redraw(photo);
    if (this.photo?.path === photo.path) this.drawDetail();
  }

  async recount() {
    const url = this.url;
    const summary = await this.app.api(url).catch(() => null);
    if (!summary || url !== this.url || this.ended) return;
    this.summary = summary;
    this.drawFilters();
  }

  showNotice(text) {
    this.notice.replaceChildren(this.app.el("p", {}, text));
    this.notice.hidden = false;
  }

  async help() {
    const { t } = this.app;
    if (this.dialog?.open) return;
    this.dialog = await showDefinitions(this.app, { title: t("definitions"), close: t("close"), none: t("no_definitions") }).catch(() => null);
  }
}
