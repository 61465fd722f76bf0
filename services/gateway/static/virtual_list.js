// A list of any length of which only what is in view exists. Moved by wheel, touch and keys; a listbox to screen readers.

import { element, oncePerFrame } from "./dom.js";

const BEYOND = 8; // rows kept ready above and below the view

export class VirtualList {
  // `fill(row, item)` writes an item into a row made by `make()`; `choose(item)` is called on Enter or a click.
  constructor(view, { make, fill, choose }) {
    this.view = view;
    this.make = make;
    this.fill = fill;
    this.choose = choose;
    this.ground = element("div", "ground");
    this.rows = new Map(); // by index
    this.spare = [];
    this.item = () => undefined;
    this.count = 0;
    this.active = -1;
    this.draw = oncePerFrame(() => this.render());
    this.height = 0; // of a row; known once the view has been laid out
    view.replaceChildren(this.ground);
    view.addEventListener("scroll", this.draw, { passive: true });
    view.addEventListener("keydown", (event) => this.key(event));
    view.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => {
      this.height = parseFloat(getComputedStyle(view).getPropertyValue("--row"));
      this.refill();
    }).observe(view);
  }

  // Show `count` items, the i-th by `item(i)`. `shifted` rows came in above: who reads further down stays where he is.
  show(count, item, shifted = 0) {
    this.count = count;
    this.item = item;
    if (this.active >= count) this.active = count - 1;
    if (shifted && this.active >= 0) this.active += shifted;
    if (shifted && this.view.scrollTop > 0) {
      this.stretch();
      this.view.scrollTop += shifted * this.height;
    }
    this.stale = true;
    this.render(); // now, not in the next frame: what the page says elsewhere is of now too
  }

  refill() {
    this.stale = true;
    this.draw();
  }

  stretch() {
    const height = `${this.count * this.height}px`;
    this.ground.style.height = height;
    this.view.style.setProperty("--content", height); // a short list takes no more room than it needs
  }

  render() {
    if (!this.height) return;
    this.stretch();
    const first = Math.max(0, Math.floor(this.view.scrollTop / this.height) - BEYOND);
    const last = Math.min(this.count, Math.ceil((this.view.scrollTop + this.view.clientHeight) / this.height) + BEYOND);
    for (const [index, row] of this.rows) {
      if (index >= first && index < last) continue;
      this.rows.delete(index);
      this.spare.push(row);
      row.hidden = true;
    }
    for (let index = first; index < last; index += 1) this.place(index);
    this.stale = false;
    const row = this.rows.get(this.active);
    if (row) this.view.setAttribute("aria-activedescendant", row.id);
    else this.view.removeAttribute("aria-activedescendant");
  }

  place(index) {
    let row = this.rows.get(index);
    const fresh = !row;
    if (fresh) {
      row = this.spare.pop() ?? this.newRow();
      row.hidden = false;
      this.rows.set(index, row);
      row.style.transform = `translateY(${index * this.height}px)`;
    }
    row.setAttribute("aria-selected", String(index === this.active));
    if (!fresh && !this.stale) return;
    row.dataset.index = index;
    row.setAttribute("aria-posinset", index + 1);
    row.setAttribute("aria-setsize", this.count);
    row.style.transform = `translateY(${index * this.height}px)`;
    this.fill(row, this.item(index));
  }

  newRow() {
    const row = this.make();
    row.id = `row-${(VirtualList.made = (VirtualList.made ?? 0) + 1)}`;
    row.setAttribute("role", "option");
    this.ground.append(row);
    return row;
  }

  click(event) {
    const row = event.target.closest("[role=option]");
    if (!row) return;
    this.activate(Number(row.dataset.index));
    this.choose(this.item(this.active));
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.view.clientHeight / this.height) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.count, End: this.count };
    if (event.key in steps) {
      event.preventDefault();
      this.activate(Math.min(this.count - 1, Math.max(0, this.active + steps[event.key])));
    } else if (event.key === "Enter" && this.active >= 0 && this.active < this.count) {
      event.preventDefault();
      this.choose(this.item(this.active));
    }
  }

  activate(index) {
    this.active = index;
    const top = index * this.height;
    if (top < this.view.scrollTop) this.view.scrollTop = top;
    const bottom = top + this.height - this.view.clientHeight;
    if (bottom > this.view.scrollTop) this.view.scrollTop = bottom;
    this.draw();
  }
}
