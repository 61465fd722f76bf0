// How complete the list is, in words, and how that grew.

import { byId, setText } from "./dom.js";
import { drawLines } from "./line_chart.js";
import { count, dollars, duration, percent } from "./wording.js";

export function showCoverage(store) {
  const state = store.state ?? {};
  const { coverage } = state;
  const known = coverage != null;
  const words = whatComesNext(state, store.ended);
  byId("coverage-card").hidden = !known && !words;
  setText("coverage", known ? percent(coverage) : "not known yet");
  setText("coverage-range", known && state.coverage_low != null ? `likely ${percent(state.coverage_low)} to ${percent(state.coverage_high)}` : "");
  setText("coverage-meaning", known
    ? "The share of what these models would say that the list already has; what they say often weighs more."
    : "It is told once enough calls were made as if nothing had been found yet.");
  setText("coverage-next", words);
  const { points } = store.coverage;
  byId("coverage-curve").hidden = points.length < 2;
  const line = { name: "Coverage", className: "unique", points };
  if (points.length > 1) drawLines(byId("coverage-curve"), [line], { unit: percent, label: `Coverage over time: ${percent(coverage)}` });
}

function whatComesNext({ spec, new_share: share, marginal_usd: usd, marginal_seconds: seconds, on_topic: fit, judged }, ended) {
  const words = [];
  const limit = spec?.stop_below && !ended ? `; the run ends below ${percent(spec.stop_below)}` : "";
  if (share != null) words.push(`Of what came last, ${percent(share)} was new${limit}.`);
  const price = [usd > 0 ? dollars(usd) : "", seconds > 0 ? duration(seconds) : ""].filter(Boolean).join(" and ");
  if (price && !ended) words.push(`The next new attribute takes about ${price}.`);
  if (fit != null) words.push(`${percent(fit)} belong to the topic, says a model of a sample of ${count(judged)}.`);
  return words.join(" ");
}
