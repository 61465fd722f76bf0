// For each provider, and each of its models: its share of the list, and how much of what it said was new.

import { element, providerDot } from "./dom.js";
import { share } from "./wording.js";

export function drawShares(figure, store) {
  const { providers = {}, models = {} } = store.state ?? {};
  const names = [...new Set([...Object.keys(providers), ...store.found.keys()].filter((name) => !name.includes("/")))].sort();
  const rows = names.flatMap((provider) => {
    const own = [...new Set([...Object.keys(models), ...store.found.keys()])].filter((name) => name.startsWith(`${provider}/`));
    const more = own.length > 1 ? own.sort() : []; // one model is its provider
    return [
      row(provider, provider, store.counts(provider, providers[provider] ?? {}), store.unique),
      ...more.map((name) => row(name.slice(provider.length + 1), provider, store.counts(name, models[name] ?? {}), store.unique, "model")),
    ];
  });
  figure.replaceChildren(...rows);
}

function row(name, provider, counts, unique, className = "") {
  return element(
    "div",
    `shares ${className}`,
    element("span", "name", className ? "" : providerDot(provider), name),
    bar("of the list", counts.accepted, unique, provider),
    bar("new", counts.accepted, counts.candidates, provider),
  );
}

function bar(what, part, all, provider) {
  const filled = element("span", `filled ground-${/^[a-z]+$/.test(provider) ? provider : "other"}`);
  filled.style.width = all > 0 ? `${(100 * part) / all}%` : "0";
  return element("span", "measure", element("span", "bar", filled), element("span", "value", `${share(part, all)} ${what}`));
}
