// Photos as decoded images, ready before they are looked at.

/** Keeps the display pictures of a few photos. */
export class Pictures {
  constructor(most = 16) {
    this.most = most;
    this.kept = new Map();
  }

  /** Begin to load a photo's picture; returns {image, ready, problem, done: a promise that never fails}. */
  load(id) {
    const known = this.kept.get(id);
    // A file that could not be shown may be whole some time later.
    if (known && (!known.problem || performance.now() - known.failed < 10_000)) {
      this.kept.delete(id);
      this.kept.set(id, known);
      return known;
    }
    const image = new Image();
    const own = { image, ready: false, problem: "" };
    image.decoding = "async";
    image.src = `/api/photos/${id}/display`;
    own.done = image.decode().then(() => { own.ready = true; }, async () => {
      own.problem = await reason(id);
      own.failed = performance.now();
    });
    this.kept.set(id, own);
    while (this.kept.size > this.most) this.kept.delete(this.kept.keys().next().value);
    return own;
  }
}

async function reason(id) {
  try {
    const response = await fetch(`/api/photos/${id}/display`, { cache: "no-store" });
    return (await response.json()).message ?? `${response.status}`;
  } catch {
    return "…";
  }
}
