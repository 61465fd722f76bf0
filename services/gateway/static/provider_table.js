// What each provider, and each of its models, did in the run.

import { byId, element, providerName } from "./dom.js";
import { compact, count, dollars, errorKinds, perDollar } from "./wording.js";

const each = (part, calls) => (calls > 0 ? (part / calls).toFixed(1) : "–");

export function showProviders(store) {
  const { providers = {}, models = {} } = store.state ?? {};
  const rows = Object.keys(providers).sort().flatMap((provider) => {
    const own = Object.keys(models).filter((name) => name.startsWith(`${provider}/`)).sort();
    return [
      row(providerName(provider), store.counts(provider, providers[provider])),
      ...own.map((name) => row(name.slice(provider.length + 1), store.counts(name, models[name]), "model")),
    ];
  });
  byId("provider-rows").replaceChildren(...rows);
}

function row(name, counts, className = "") {
  const { calls = 0, failed = 0, accepted, candidates, usd = 0, seconds = 0, left } = counts;
  const cells = [
    count(calls),
    count(failed),
    count(candidates),
    count(accepted),
    each(accepted, calls),
    compact((counts.input_tokens ?? 0) + (counts.output_tokens ?? 0)),
    dollars(usd),
    perDollar(usd, accepted),
    calls > 0 ? `${(seconds / calls).toFixed(1)} s` : "–",
  ].map((text) => element("td", "", text));
  const words = left ? `left the run: ${left}` : [errorKinds(counts.errors), counts.last_error].filter(Boolean).join(" · ");
  const state = element("td", left ? "trouble" : "hint", words);
  const head = element("th", "", name);
  head.scope = "row";
  head.title = head.textContent; // a long name is cut off
  return element("tr", className, head, ...cells, state);
}
