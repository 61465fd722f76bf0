// The story of one attribute: who said it, when, asked for what, and what repeated it.

import { byId, element, providerName, setText } from "./dom.js";
import { count, moment, plural, share, tier } from "./wording.js";

const SHOWN = 200; // duplicates shown; the recorder's files have all

export class Story {
  constructor() {
    this.dialog = byId("story");
    byId("story-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // a click beside it
    });
  }

  open(store, attribute) {
    setText("story-text", attribute.text);
    byId("story-facts").replaceChildren(...facts(attribute).flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]));
    this.near(store, attribute);
    const repeats = store.repeats.get(attribute.ordinal) ?? [];
    const more = repeats.length > SHOWN ? `, the first ${SHOWN} of them` : "";
    setText("story-count", repeats.length ? `Found again ${plural(repeats.length, "time")}${more}` : "Nobody else has found it.");
    byId("story-repeats").replaceChildren(...repeats.slice(0, SHOWN).map(repeat));
    if (!this.dialog.open) this.dialog.showModal();
  }

  near(store, { ordinal, near, near_text: text, near_score: score, near_why: why }) {
    byId("story-near").hidden = !near;
    if (!near) return;
    const other = store.attributes.find((one) => one.ordinal === near);
    const name = element(other ? "button" : "span", other ? "link" : "", text || `#${near}`);
    name.addEventListener("click", () => other && this.open(store, other));
    byId("story-near").replaceChildren("Possible duplicate of ", name, ` (#${count(near)}, likeness ${share(score, 1)}${why ? `: ${why}` : ""}). `, verdict(store.settled.get(ordinal)));
  }
}

function verdict(settled) {
  if (!settled) return "No model has settled it.";
  return `${settled.model || settled.provider} says: ${settled.same ? "one and the same" : "two different things"}.`;
}

function facts(attribute) {
  return [
    ["Number", count(attribute.ordinal)],
    ["Said by", providerName(attribute.provider)],
    ["Model", attribute.model || "–"],
    ["Producer", attribute.producer],
    ["When", moment(attribute.at)],
    ["Asked for", attribute.facet || (attribute.probe ? "anything, as if nothing had been found yet" : "anything of the topic")],
    ["Task", attribute.task],
    ...(attribute.trace ? [["Trace", attribute.trace]] : []),
  ];
}

function repeat(duplicate) {
  const why = `${tier(duplicate.tier)}, ${share(duplicate.score, 1)}`;
  const words = duplicate.why ? [element("span", "why", duplicate.why)] : [];
  return element(
    "li",
    "",
    element("span", "text", duplicate.text),
    ...words,
    element("span", "hint", providerName(duplicate.provider), ` ${duplicate.model} · ${why} · ${moment(duplicate.at)}`),
  );
}
