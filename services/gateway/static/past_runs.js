// The list of runs, newest first.

import { byId, element } from "./dom.js";
import { count, dollars, moment, status } from "./wording.js";

// `shown` are the runs on the page; `open(run)` shows one, `beside(run)` puts one next to it.
export function showRuns(runs, shown, open, beside) {
  byId("past-empty").hidden = runs.length > 0;
  const focused = document.activeElement?.dataset?.run;
  byId("past").replaceChildren(...runs.map((run) => element("li", "", link(run, shown, open), ...besideButton(run, shown, beside))));
  if (focused) byId("past").querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus();
}

function link(run, shown, open) {
  const cost = run.usd === 0 ? "" : ` · ${run.usd == null ? "cost unknown" : dollars(run.usd)}`;
  const node = element(
    "a",
    "",
    element("span", "name", run.topic),
    element("span", "count", count(run.accepted)),
    element("span", "hint", `${status(run.status)} · ${moment(run.created)}${cost}`),
  );
  node.href = `/?run=${encodeURIComponent(run.run)}`;
  node.dataset.run = run.run;
  if (run.run === shown[0]) node.setAttribute("aria-current", "page");
  node.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    open(run.run);
  });
  return node;
}

function besideButton(run, shown, beside) {
  if (!shown.length || shown.includes(run.run)) return [];
  const button = element("button", "beside", "+");
  button.type = "button";
  button.dataset.run = `${run.run}-beside`;
  button.title = "Show beside the open run";
  button.setAttribute("aria-label", `Show ${run.topic} beside the open run`);
  button.addEventListener("click", () => beside(run.run));
  return [button];
}
