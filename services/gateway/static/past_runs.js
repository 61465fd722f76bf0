// The list of runs, newest first.

import { byId, element } from "./dom.js";
import { count, moment } from "./wording.js";

export function showRuns(runs, current, open) {
  byId("past-empty").hidden = runs.length > 0;
  const focused = document.activeElement?.dataset?.run;
  byId("past").replaceChildren(...runs.map((run) => element("li", "", link(run, current, open))));
  if (focused) byId("past").querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus();
}

function link(run, current, open) {
  const node = element(
    "a",
    "",
    element("span", "name", run.topic),
    element("span", "count", count(run.accepted)),
    element("span", "hint", `${run.status} · ${moment(run.created)}`),
  );
  node.href = `/?run=${encodeURIComponent(run.run)}`;
  node.dataset.run = run.run;
  if (run.run === current) node.setAttribute("aria-current", "page");
  node.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    open(run.run);
  });
  return node;
}
