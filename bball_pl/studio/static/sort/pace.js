// Sorting speed.

/** Decisions per minute over the last minute. */
export class Pace {
  constructor() {
    this.times = [];
  }

  step() {
    this.times.push(performance.now());
  }

  back() {
    this.times.pop();
  }

  get rate() {
    const now = performance.now();
    this.times = this.times.filter((time) => now - time < 60_000);
    if (this.times.length < 4) return null;
    return Math.round((60_000 * this.times.length) / Math.max(now - this.times[0], 2_000));
  }
}
