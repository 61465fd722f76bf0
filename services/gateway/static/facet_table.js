// The parts of the topic that were asked for one at a time.

import { byId, element } from "./dom.js";
import { count, percent } from "./wording.js";

export function showFacets(store) {
  const facets = Object.entries(store.state?.facets ?? {});
  byId("facets-card").hidden = !facets.length;
  const focused = document.activeElement?.dataset?.facet;
  byId("facet-rows").replaceChildren(...facets.sort(byFound).map(([name, counts]) => row(name, counts)));
  if (focused !== undefined) byId("facet-rows").querySelector(`[data-facet="${CSS.escape(focused)}"]`)?.focus();
}

const byFound = ([, a], [, b]) => (b.accepted ?? 0) - (a.accepted ?? 0);

function row(name, { calls = 0, accepted = 0, new_share: share, closed }) {
  const cells = [count(calls), count(accepted), share == null ? "–" : percent(share)].map((text) => element("td", "", text));
  const head = element("th", "", filterButton(name), ...(closed ? [element("p", "hint", closed)] : []));
  head.scope = "row";
  return element("tr", "", head, ...cells);
}

// A click shows the facet's attributes alone.
function filterButton(name) {
  const button = element("button", "link", name);
  button.type = "button";
  button.dataset.facet = name;
  button.title = "Show what was found here";
  button.addEventListener("click", () => {
    const choice = byId("by-facet");
    if (![...choice.options].some((option) => option.value === name)) return;
    choice.value = choice.value === name ? "" : name;
    choice.dispatchEvent(new Event("input"));
  });
  return button;
}
