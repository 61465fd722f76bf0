// The list of a run: searched, filtered, in either order.

import { byId, element, providerDot, setText } from "./dom.js";
import { VirtualList } from "./virtual_list.js";
import { count, plural } from "./wording.js";

const FRESH = 1_200; // milliseconds a new row is marked
const MARKED = 20; // rows that come together and are marked; more would only flicker

export class AttributeList {
  constructor(choose) {
    this.rows = new VirtualList(byId("list"), { make: makeRow, fill: (row, item) => this.fill(row, item), choose });
    for (const id of ["search", "by-provider", "by-facet", "order"]) byId(id).addEventListener("input", () => this.filter());
  }

  show(store) {
    this.store = store;
    this.generation = store.generation;
    this.arrived = new Map(); // when rows came that are still marked
    this.fillChoices("by-provider", []);
    this.fillChoices("by-facet", []);
    byId("search").value = "";
    this.filter();
  }

  // Take in what is new; all of it when the list began anew.
  update() {
    if (this.generation !== this.store.generation) return this.show(this.store);
    this.fillChoices("by-provider", [...new Set([...this.store.found.keys()].filter((name) => !name.includes("/")))]);
    this.fillChoices("by-facet", [...this.store.facets]);
    const before = this.found.length;
    this.take();
    const shifted = this.found.length - before;
    if (shifted) this.present(this.newestFirst ? shifted : 0);
    else this.describe();
    const told = this.store.repeated + this.store.settled.size;
    if (this.told !== told) this.rows.refill();
    this.told = told;
  }

  filter() {
    this.words = byId("search").value.trim().toLocaleLowerCase();
    this.provider = byId("by-provider").value;
    this.facet = byId("by-facet").value;
    this.newestFirst = byId("order").value === "newest";
    this.found = [];
    this.taken = 0;
    this.take();
    this.rows.view.scrollTop = 0;
    this.rows.active = -1;
    this.present();
  }

  take() {
    const { attributes } = this.store;
    const live = attributes.length - this.taken <= MARKED;
    const now = performance.now();
    for (; this.taken < attributes.length; this.taken += 1) {
      const attribute = attributes[this.taken];
      if (!this.matches(attribute)) continue;
      this.found.push(attribute);
      if (live && this.taken) this.arrived.set(attribute.ordinal, now);
    }
  }

  matches({ text, provider, facet }) {
    if (this.provider && provider !== this.provider) return false;
    if (this.facet && facet !== this.facet) return false;
    return !this.words || text.toLocaleLowerCase().includes(this.words);
  }

  present(shifted = 0) {
    const last = this.found.length - 1;
    this.rows.show(this.found.length, this.newestFirst ? (i) => this.found[last - i] : (i) => this.found[i], shifted);
    this.describe();
  }

  describe() {
    const total = this.store.attributes.length;
    const all = this.found.length === total;
    setText("list-note", all ? plural(total, "attribute") : `${count(this.found.length)} of ${count(total)}`);
    byId("list-empty").hidden = this.found.length > 0;
    setText("list-empty", total ? "Nothing here matches." : this.store.ended ? "The list is empty." : "Nothing accepted yet.");
  }

  fill(row, attribute) {
    const [ordinal, text, repeats, by] = row.children;
    ordinal.textContent = count(attribute.ordinal);
    text.textContent = attribute.text;
    text.title = attribute.text;
    const times = this.store.repeats.get(attribute.ordinal)?.length ?? 0;
    const near = doubt(attribute, this.store.settled.get(attribute.ordinal));
    repeats.textContent = [near, times ? `× ${count(times + 1)}` : ""].filter(Boolean).join(" · ");
    repeats.title = times ? `found again ${plural(times, "time")}` : "";
    by.replaceChildren(providerDot(attribute.provider), attribute.provider);
    by.title = attribute.model;
    row.classList.toggle("near", Boolean(near));
    row.classList.toggle("fresh", this.isFresh(attribute.ordinal));
  }

  isFresh(ordinal) {
    const since = this.arrived.get(ordinal);
    if (since === undefined) return false;
    if (performance.now() - since < FRESH) return true;
    this.arrived.delete(ordinal);
    return false;
  }

  fillChoices(id, values) {
    const select = byId(id);
    const first = select.options[0];
    if (select.options.length - 1 === values.length) return;
    const chosen = select.value;
    select.replaceChildren(first, ...values.sort().map((value) => Object.assign(element("option", "", value), { value })));
    select.value = values.includes(chosen) ? chosen : "";
    select.hidden = values.length < 2;
  }
}

// What remains of the doubt whether an attribute repeats another, which a model may have settled.
function doubt({ near }, settled) {
  if (!near || settled?.same === false) return "";
  return settled ? "duplicate, says a model" : "possible duplicate";
}

function makeRow() {
  return element(
    "div",
    "row",
    element("span", "ordinal"),
    element("span", "text"),
    element("span", "repeats"),
    element("span", "by"),
  );
}
