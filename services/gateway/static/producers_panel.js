// One panel a producer: what it does, how long it waits, what went wrong, in words.

import { byId, element, providerName, setText } from "./dom.js";
import { count, duration, plural } from "./wording.js";

export function showProducers(producers, store) {
  const wanted = store?.state?.spec.providers;
  const shown = producers.filter((one) => !wanted || wanted.includes(one.provider));
  byId("producers").replaceChildren(...shown.map((one) => panel(one, store)));
  setText("producers-note", shown.length ? plural(shown.length, "producer") : "None is live: the run waits until one joins.");
}

function panel(producer, store) {
  const { provider, models = [], error = "" } = producer;
  const found = store?.byProducer.get(producer.producer);
  const status = element("span", "status", state(producer));
  status.dataset.state = { working: "running", paused: "paused" }[producer.state] ?? "";
  return element(
    "li",
    "producer",
    element("div", "producer-head", providerName(provider, producer.producer), status),
    element("p", "hint", models.join(", ")),
    element("p", "", work(producer, store)),
    ...(found ? [element("p", "hint found", `${count(found.unique)} new, last: ${found.last}`)] : []),
    ...(error ? [element("p", "trouble", error)] : []),
  );
}

function state({ state: name = "idle", paused_seconds: wait = 0 }) {
  return name === "paused" && wait > 0 ? `waits ${duration(Math.ceil(wait))}` : name;
}

function work({ busy = 0, slots = 1, run = "", state: name }, store) {
  if (name === "paused") return "Waits for its rate limit; the run goes on with the others.";
  if (!busy) return "Waits for a task.";
  const where = !run || run === store?.run ? "this run" : "another run";
  return `${plural(busy, "call")} under way of ${Math.max(busy, slots)}, for ${where}`;
}
