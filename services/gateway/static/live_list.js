// The newest attributes, newest first. The page holds at most `ROWS` of them, however long the list grows.

import { byId, element, providerDot, setText } from "./dom.js";
import { count, moment } from "./wording.js";

const ROWS = 500;
const MARKED = 20; // rows that arrive together and are marked as new; more would only flicker

export class LiveList {
  constructor() {
    this.list = byId("list");
    this.clear();
  }

  clear() {
    this.waiting = [];
    this.total = 0;
    this.list.replaceChildren();
    this.describe();
  }

  // Rows are drawn once a frame, and only those that will stay: a replay of 10,000 costs as much as one of 500.
  add(attribute) {
    this.waiting.push(attribute);
    this.total = Math.max(this.total, attribute.ordinal);
    if (this.waiting.length > 2 * ROWS) this.waiting = this.waiting.slice(-ROWS);
    this.scheduled ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.scheduled = undefined;
    const fresh = this.waiting.slice(-ROWS).reverse().map(row);
    this.waiting = [];
    if (fresh.length <= MARKED) for (const node of fresh) node.classList.add("fresh");
    this.list.prepend(...fresh);
    while (this.list.childElementCount > ROWS) this.list.lastElementChild.remove();
    this.describe();
  }

  describe() {
    byId("list-empty").hidden = this.total > 0;
    setText("list-note", this.total > ROWS ? `the newest ${ROWS} of ${count(this.total)}; the downloads have all` : "newest first");
  }
}

function row(attribute) {
  const by = element("span", "by", providerDot(attribute.provider), attribute.provider);
  by.title = [attribute.model, attribute.producer, moment(attribute.at)].filter(Boolean).join(" · ");
  return element(
    "li",
    "",
    element("span", "ordinal", count(attribute.ordinal)),
    element("span", "text", attribute.text),
    by,
  );
}
