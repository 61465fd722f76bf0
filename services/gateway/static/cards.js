// The run's key figures, and how near each limit is.

import { byId, element, setText } from "./dom.js";
import { compact, count, dollars, duration, percent, perUnique, rate } from "./wording.js";

export function showCards(store) {
  const state = store.state ?? {};
  setText("unique", count(store.unique));
  setText("per-minute", store.perMinute == null ? "–" : rate(store.perMinute));
  setText("per-minute-name", store.ended ? "Unique / min" : "Unique, last 60 s");
  setText("candidates", count(store.candidates));
  setText("duplicates", count(store.duplicates));
  setText("covered", state.coverage == null ? "–" : percent(state.coverage));
  setText("calls", count(state.calls ?? 0));
  setText("tokens", state.tokens ? `· ${compact(state.tokens)} tokens` : "");
  setText("cost", "usd" in state ? dollars(state.usd) : "–");
  setText("cost-each", "usd" in state ? perUnique(state.usd, store.unique) : "–");
}

export function showProgress(store) {
  const measures = store.state ? measuresOf(store) : [];
  const host = byId("progress");
  host.hidden = !measures.length;
  if (host.childElementCount !== measures.length) host.replaceChildren(...measures.map(() => measure()));
  measures.forEach(([name, reached, limit, words], i) => {
    const [label, bar, value] = host.children[i].children;
    label.textContent = name;
    bar.max = limit;
    bar.value = Math.min(reached ?? 0, limit);
    value.textContent = `${reached == null ? "unknown" : words(reached)} of ${words(limit)}`;
  });
}

function measure() {
  return element("label", "measure", element("span"), element("progress"), element("span", "value"));
}

// Each limit of the run: its name, what is reached, the limit, and how both are written.
function measuresOf(store) {
  const { spec, calls, tokens, usd, seconds } = store.state;
  const all = [
    ["Attributes", store.unique, spec.max_items, count],
    ["Calls", calls, spec.iterations == null ? null : spec.iterations * spec.producers, count],
    ["Calls in all", calls, spec.max_calls, count],
    ["Tokens", tokens, spec.max_tokens, count],
    ["Cost", usd, spec.max_usd, dollars],
    ["Time", seconds, spec.max_seconds, duration],
  ];
  return all.filter(([, , limit]) => limit != null && limit > 0);
}
