// State of the sorting, without display: photos ahead, decisions behind, and the ordered requests to the server.

const AHEAD = 10;

export class Flow {
  /** listener: {changed(), failed(problem, unsaved), message(key, values)} */
  constructor(api, tab, order, listener) {
    this.api = api;
    this.tab = tab;
    this.order = order;
    this.listener = listener;
    this.known = new Map();
    this.ahead = [];
    this.behind = [];
    this.looking = -1;
    this.queue = [];
    this.busy = false;
    this.dry = false;
    this.progress = { left: 0, skipped: 0, quarantined: 0, counts: {}, at: 0, scoring: 0 };
    this.failed = [];
    this.filling = null;
    this.ended = false;
    /** Photos in the grid of photos without a move, and those that a person has kept out of it. */
    this.grid = [];
    this.kept = new Set();
    this.batches = 0;
  }

  get current() {
    return this.looking >= 0 ? this.behind[this.looking].photo : this.ahead[0] ?? null;
  }

  get unsaved() {
    return this.queue.length;
  }

  /** Number of photos left; unsaved decisions count. */
  get left() {
    const pending = this.queue.reduce((sum, op) => sum + op.takes, 0);
    return Math.max(0, this.progress.left - pending);
  }

  count(name) {
    const pending = this.queue.filter((op) => op.kind === "decide" && op.state === name && op.takes).length;
    return (this.progress.counts[name] ?? 0) + pending;
  }

  /** The shared object of a photo, updated. */
  take(photo) {
    const known = this.known.get(photo.id);
    if (known) return Object.assign(known, photo);
    this.known.set(photo.id, photo);
    return photo;
  }

  /** Take the progress in an answer, unless a later one has overtaken it: decisions and photos are asked for at the same time. */
  adopt(answer) {
    if (answer.at >= this.progress.at) this.progress = { ...this.progress, ...answer, photo: undefined, photos: undefined };
  }

  async fill() {
    if (this.filling || this.ended || this.ahead.length >= AHEAD) return this.filling;
    this.filling = (async () => {
      try {
        const have = [...new Set([...this.ahead, ...this.queue.map((op) => op.photo).filter(Boolean)].map((photo) => photo.id))];
        const order = this.order;
        const answer = await this.api("/api/sort/next", { json: { tab: this.tab, have, count: AHEAD - this.ahead.length, order } });
        if (this.ended) return;
        this.adopt(answer);
        const present = new Set([...this.ahead, ...this.queue.map((op) => op.photo).filter(Boolean)].map((photo) => photo.id));
        if (order === this.order) this.ahead.push(...answer.photos.filter((photo) => !present.has(photo.id)).map((photo) => this.take(photo)));
        this.dry = answer.photos.length === 0;
      } catch (problem) {
        if (!this.ended && this.ahead.length === 0) this.listener.failed(problem, []);
      } finally {
        this.filling = null;
        if (!this.ended) this.listener.changed();
      }
    })();
    return this.filling;
  }

  /** Renew the leases of this tab's photos, and fetch the progress of other tabs. */
  async beat() {
    const have = [...new Set([...this.ahead, ...this.grid].map((photo) => photo.id))];
    try {
      const answer = await this.api("/api/sort/next", { json: { tab: this.tab, have, count: 0 } });
      if (!this.queue.length) this.adopt(answer);
      if (!this.ended) this.listener.changed();
    } catch {
      // The next decision reports the problem.
    }
  }

  reorder(order) {
    this.order = order;
    // The photo on screen stays; what follows is chosen anew.
    this.ahead.splice(1);
    return this.fill();
  }

  async skipped() {
    const answer = await this.api("/api/sort/skipped");
    const present = new Set(this.ahead.map((photo) => photo.id));
    this.ahead.push(...answer.photos.filter((photo) => !present.has(photo.id)).map((photo) => this.take(photo)));
    this.listener.changed();
  }

  look(step) {
    if (!this.behind.length) return;
    const from = this.looking < 0 ? this.behind.length : this.looking;
    const to = from + step;
    this.looking = to >= this.behind.length ? -1 : Math.max(0, to);
    this.listener.changed();
  }

  decide(action, className) {
    const photo = this.current;
    if (!photo) return;
    const state = action === "label" ? className : action;
    const looked = this.looking >= 0;
    const before = photo.state;
    if (looked && before === state) {
      this.looking = -1;
      this.listener.changed();
      return;
    }
    const item = { photo, state, number: 0, revision: looked };
    if (looked) this.looking = -1;
    else this.ahead.shift();
    photo.state = state;
    this.behind.push(item);
    this.put({
      kind: "decide", photo, state, takes: before === "" ? 1 : 0,
      run: () => this.api("/api/sort/decide", { json: { tab: this.tab, photo: photo.id, action, class_name: className ?? "", seen: photo.seen } }),
      done: (answer) => { item.number = answer.number; photo.seen = answer.number; photo.folder = answer.photo?.folder ?? photo.folder; },
      back: () => {
        photo.state = before;
        this.behind.splice(this.behind.indexOf(item), 1);
        if (!looked) this.ahead.unshift(photo);
      },
      again: () => {
        if (looked) this.looking = this.behind.findLastIndex((one) => one.photo === photo);
        if (this.current === photo) this.decide(action, className);
      },
      conflict: (present) => {
        this.behind = this.behind.filter((one) => one !== item);
        this.looking = -1;
        if (present) this.take(present);
      },
    });
  }

  undo() {
    this.looking = -1;
    const item = this.behind.pop();
    if (!item) {
      this.put({
        kind: "undo", photo: null, takes: 0,
        run: () => this.api("/api/sort/undo", { json: { tab: this.tab, number: 0 } }),
        done: (answer) => {
          if (!answer.photos.length) return this.listener.message("undo_none", {});
          const photos = answer.photos.map((photo) => this.take(photo));
          const open = photos.filter((photo) => photo.state === "" || photo.state === "skip").slice(0, AHEAD);
          this.ahead = [...open, ...this.ahead.filter((one) => !open.includes(one))];
          this.undone(photos, answer);
        },
        back: () => {}, again: () => this.undo(), conflict: () => {},
      });
      return;
    }
    if (item.batch) return this.undoBatch(item);
    const { photo, state } = item;
    const earlier = this.behind.findLastIndex((one) => one.photo === photo);
    const before = earlier >= 0 ? this.behind[earlier].state : "";
    photo.state = before;
    if (earlier >= 0) this.looking = earlier;
    else this.ahead.unshift(photo);
    this.put({
      kind: "undo", photo, takes: earlier >= 0 ? 0 : -1,
      run: () => this.api("/api/sort/undo", { json: { tab: this.tab, number: item.number } }),
      done: (answer) => this.undone(answer.photos.map((one) => this.take(one)), answer),
      back: () => {
        photo.state = state;
        this.looking = -1;
        if (earlier < 0) this.ahead = this.ahead.filter((one) => one !== photo);
        this.behind.push(item);
      },
      again: () => this.undo(),
      conflict: (present) => {
        if (present) this.take(present);
        if (photo.state !== "" && photo.state !== "skip") this.ahead = this.ahead.filter((one) => one !== photo);
      },
    });
  }

  /** Undo what one confirmation in the grid has done. */
  undoBatch(item) {
    const items = [...this.behind.filter((one) => one.batch === item.batch), item];
    const photos = items.map((one) => one.photo);
    this.behind = this.behind.filter((one) => one.batch !== item.batch);
    for (const photo of photos) photo.state = "";
    this.ahead = [...photos.slice(0, AHEAD), ...this.ahead];
    this.put({
      kind: "undo", photo: item.photo, takes: -items.length,
      run: () => this.api("/api/sort/undo", { json: { tab: this.tab, number: item.number } }),
      done: (answer) => {
        const undone = answer.photos.map((one) => this.take(one));
        for (const photo of photos) if (!undone.includes(photo)) photo.state = item.state;
        this.ahead = this.ahead.filter((photo) => photo.state === "");
        this.undone(undone, answer);
      },
      back: () => {
        for (const photo of photos) photo.state = item.state;
        this.ahead = this.ahead.filter((one) => !photos.includes(one));
        this.behind.push(...items);
      },
      again: () => this.undo(),
      conflict: () => {
        for (const photo of photos) photo.state = item.state;
        this.ahead = this.ahead.filter((one) => !photos.includes(one));
      },
    });
  }

  undone(photos, answer) {
    this.listener.message("undone", { photos, name: photos[0]?.name ?? "", n: photos.length, left_over: answer.conflicts });
  }

  /** Sort several photos as none, with one undo; returns the answer of the server once they are on disk. */
  async setAside(photos) {
    while (this.queue.length && !this.failed.length) await new Promise((done) => setTimeout(done, 30));
    const json = { tab: this.tab, photos: photos.map((photo) => ({ photo: photo.id, seen: photo.seen })) };
    const answer = await this.api("/api/sort/set-aside", { json });
    const done = answer.photos.map((photo) => this.take(photo));
    const batch = ++this.batches;
    this.looking = -1;
    this.ahead = this.ahead.filter((photo) => !done.includes(photo));
    this.behind.push(...done.map((photo, index) => ({ photo, state: photo.state, number: answer.numbers[index], batch })));
    this.adopt(answer);
    this.listener.changed();
    this.fill();
    return answer;
  }

  put(op) {
    this.failed = [];
    this.queue.push(op);
    this.listener.changed();
    this.work();
    this.fill();
  }

  async work() {
    if (this.busy) return;
    this.busy = true;
    // To the end, also when the view is left: what was pressed is a decision.
    while (this.queue.length) {
      const op = this.queue[0];
      try {
        const answer = await op.run();
        this.queue.shift();
        this.adopt(answer);
        op.done(answer);
      } catch (problem) {
        if (problem.code === "conflict") {
          this.queue.shift();
          this.meet(op, problem);
        } else {
          // Reverted from the last to the first.
          const unsaved = this.queue.splice(0);
          for (const one of [...unsaved].reverse()) one.back();
          this.failed = unsaved;
          if (!this.ended) this.listener.failed(problem, unsaved);
        }
      }
      if (!this.ended) this.listener.changed();
    }
    this.busy = false;
    if (this.ended) this.leave();
    else this.fill();
  }

  /** Handle a conflict: the change was made by another tab, or by this one and its response was lost. */
  meet(op, problem) {
    const present = problem.state;
    if (op.repeated && present && op.kind === "decide" && present.state === op.state) {
      op.done({ number: present.seen });
      return;
    }
    op.conflict(present);
    const name = present?.name ?? op.photo?.name ?? "";
    this.listener.message(present && present.exists ? "elsewhere" : "missing", { name, state: present?.state ?? "" });
  }

  /** Repeat the unsaved changes. */
  retry() {
    const ops = this.failed;
    this.failed = [];
    for (const op of ops) {
      op.again();
      const made = this.queue.at(-1);
      if (made) made.repeated = true;
    }
  }

  /** End with the view; `now` where the page goes as well and nothing can be saved any more. */
  end(now) {
    this.ended = true;
    if (now || !this.busy) this.leave();
  }

  leave() {
    this.api("/api/sort/leave", { json: { tab: this.tab }, keepalive: true }).catch(() => {});
  }
}
