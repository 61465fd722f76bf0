// How a run's counts grew over time, in a bounded number of steps however long it runs.

const STEPS = 240;
const FIRST_STEP = 250; // milliseconds

export class Curve {
  constructor() {
    this.clear();
  }

  clear() {
    this.start = undefined;
    this.step = FIRST_STEP;
    this.steps = []; // counts within each step: [unique, duplicates]
  }

  add(time, index) {
    if (Number.isNaN(time)) return;
    this.start ??= time;
    const place = () => Math.max(0, Math.floor((time - this.start) / this.step));
    while (place() >= STEPS) this.widen();
    while (this.steps.length <= place()) this.steps.push([0, 0]);
    this.steps[place()][index] += 1;
  }

  widen() {
    const halved = [];
    for (let i = 0; i < this.steps.length; i += 2) {
      const [a, b] = [this.steps[i], this.steps[i + 1] ?? [0, 0]];
      halved.push([a[0] + b[0], a[1] + b[1]]);
    }
    this.steps = halved;
    this.step *= 2;
  }

  // Points [seconds, count] of what was unique, and of all candidates.
  points() {
    const unique = [[0, 0]];
    const candidates = [[0, 0]];
    let [u, c] = [0, 0];
    this.steps.forEach(([accepted, repeated], i) => {
      u += accepted;
      c += accepted + repeated;
      const seconds = ((i + 1) * this.step) / 1000;
      unique.push([seconds, u]);
      candidates.push([seconds, c]);
    });
    return { unique, candidates };
  }
}
