// What a run had spent after how many seconds, from its start on.

const MOST = 500; // points

export class Spend {
  constructor() {
    this.points = [[0, 0]]; // [seconds, dollars]
    this.since = 0; // seconds before which only the total is known
  }

  add(seconds, usd) {
    if (usd == null || !(seconds > this.points.at(-1)[0])) return;
    this.points.push([seconds, usd]);
    if (this.points.length > MOST) this.points = this.points.filter((_, i) => i % 2 === 0 || i === MOST);
  }

  // Take in what the gateway kept, which has what came before this page was opened, or while it was not connected.
  fill(series) {
    const kept = series.filter((one) => one.usd != null).map((one) => [one.seconds, one.usd]);
    if (!kept.length) return;
    const [first, last] = [kept[0][0], kept.at(-1)[0]];
    const before = this.points.filter(([seconds]) => seconds < first);
    if (before.length < 2) this.since = first;
    this.points = [...before, ...kept, ...this.points.filter(([seconds]) => seconds > last)];
  }
}
