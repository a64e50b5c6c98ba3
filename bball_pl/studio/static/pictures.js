// Cache of decoded photos, filled in advance.

/** The display pictures of a few photos. */
export class Pictures {
  constructor(most = 16) {
    this.most = most;
    this.kept = new Map();
  }

  /** Begin to load a photo's picture; returns {image, ready, problem, done: a promise that never fails}. */
  load(id) {
    const known = this.kept.get(id);
    // A file that could not be shown may be complete after a while.
    if (known && (!known.problem || performance.now() - known.failed < 10_000)) {
      this.kept.delete(id);
      this.kept.set(id, known);
      return known;
    }
    const image = new Image();
    const picture = { image, ready: false, problem: "" };
    image.decoding = "async";
    image.src = `/api/photos/${id}/display`;
    picture.done = image.decode().then(() => { picture.ready = true; }, async () => {
      picture.problem = await reason(id);
      picture.failed = performance.now();
    });
    this.kept.set(id, picture);
    while (this.kept.size > this.most) this.kept.delete(this.kept.keys().next().value);
    return picture;
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
