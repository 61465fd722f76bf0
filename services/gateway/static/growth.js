// How one figure of a run grew with the seconds it ran.

const MOST = 500; // points

export class Growth {
  // `name` is the figure's in the series that the gateway keeps; `points` are [seconds, value].
  constructor(name, points = []) {
    this.name = name;
    this.points = points;
    this.since = 0; // seconds before which only the sum is known
  }

  add(seconds, value) {
    if (value == null || seconds <= this.points.at(-1)?.[0]) return;
    this.points.push([seconds, value]);
    if (this.points.length > MOST) this.points = this.points.filter((_, i) => i % 2 === 0 || i === MOST);
  }

  // Take in what the gateway kept, which has what came before this page was opened, or while it was not connected.
  fill(series) {
    const kept = series.filter((one) => one[this.name] != null).map((one) => [one.seconds, one[this.name]]);
    if (!kept.length) return;
    const [first, last] = [kept[0][0], kept.at(-1)[0]];
    const before = this.points.filter(([seconds]) => seconds < first);
    if (before.length < 2) this.since = first;
    this.points = [...before, ...kept, ...this.points.filter(([seconds]) => seconds > last)];
  }
}
