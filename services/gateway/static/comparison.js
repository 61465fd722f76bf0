// Several runs side by side: their figures, and their curves in one picture.

import { byId, element, oncePerFrame } from "./dom.js";
import { drawLines } from "./line_chart.js";
import { count, dollars, duration, percent, perUnique, rate, share, status } from "./wording.js";

const LINES = [
  ["Status", (store) => (store.state ? status(store.state.status) : "…")],
  ["Unique", (store) => count(store.unique)],
  ["Unique / min", (store) => (store.perMinute == null ? "–" : rate(store.perMinute))],
  ["Candidates", (store) => count(store.candidates)],
  ["New of them", (store) => share(store.unique, store.candidates)],
  ["Coverage", (store) => (store.state?.coverage == null ? "–" : percent(store.state.coverage))],
  ["Calls", (store) => count(store.state?.calls ?? 0)],
  ["Cost", (store) => (store.state ? dollars(store.state.usd) : "–")],
  ["Cost per unique", (store) => (store.state ? perUnique(store.state.usd, store.unique) : "–")],
  ["Time", (store) => duration(store.state?.seconds ?? 0)],
  ["Why it ended", (store) => (store.ended ? store.state.reason : "–")],
];

export class Comparison {
  // `drop(run)` takes a run out of the comparison.
  constructor(drop) {
    this.drop = drop;
    this.stores = [];
    this.draw = oncePerFrame(() => this.render());
  }

  show(stores) {
    this.listening?.abort();
    this.listening = new AbortController();
    this.stores = stores;
    byId("comparison").hidden = stores.length < 2;
    for (const store of stores) store.addEventListener("change", this.draw, { signal: this.listening.signal });
    this.draw();
  }

  render() {
    if (this.stores.length < 2) return;
    byId("compared-head").replaceChildren(element("td"), ...this.stores.map((store, i) => this.head(store, i)));
    byId("compared").replaceChildren(...LINES.map(([name, words]) => {
      const cells = this.stores.map((store) => element("td", "", words(store)));
      return element("tr", "", element("th", "", name), ...cells);
    }));
    const lines = this.stores.map((store, i) => ({
      name: store.state?.topic ?? store.run,
      className: `run-${i}`,
      points: store.curve.points().unique,
    }));
    drawLines(byId("compared-curves"), lines, { label: "Unique attributes of each run over time" });
  }

  head(store, i) {
    const name = element("span", `legend run-${i}`, store.state?.topic ?? store.run);
    if (!i) return element("th", "", name);
    const close = element("button", "close", "✕");
    close.setAttribute("aria-label", "Take out of the comparison");
    close.addEventListener("click", () => this.drop(store.run));
    return element("th", "", name, close);
  }
}
