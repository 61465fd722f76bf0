// One panel a producer: what it does, how long it waits, what went wrong, in words.

import { byId, element, providerName, setText } from "./dom.js";
import { count, duration, plural } from "./wording.js";

export function showProducers(producers, store) {
  const wanted = store?.state?.spec.providers;
  const shown = producers.filter((one) => !wanted || wanted.includes(one.provider));
  byId("producers").replaceChildren(...shown.map((one) => panel(one, store)));
  setText("producers-note", note(shown, store));
}

function note(shown, store) {
  if (!shown.length) return store?.ended ? "None is live." : "None is live: the run waits until one joins.";
  const waits = shown.map((one) => (one.state === "paused" ? (one.paused_seconds ?? 0) : 0));
  const all = waits.every((seconds) => seconds > 0);
  return plural(shown.length, "producer") + (all ? `, all at their rate limits: on in ${duration(Math.ceil(Math.min(...waits)))}` : "");
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
    ...task(producer),
    ...(found ? [element("p", "hint found", `${count(found.unique)} new, last: ${found.last}`)] : []),
    ...(error ? [element("p", "trouble", error)] : []),
  );
}

function state({ state: name = "idle", paused_seconds: wait = 0 }) {
  return name === "paused" && wait > 0 ? `waits ${duration(Math.ceil(wait))}` : name;
}

function work({ busy = 0, slots = 1, run = "", state: name }, store) {
  if (name === "paused" && !busy) return "Waits for its rate limit; the run goes on with the others.";
  if (!busy) return "Waits for a task.";
  const where = !run || run === store?.run ? "" : ", for another run";
  return `${plural(busy, "call")} under way of ${Math.max(busy, slots)}${where}`;
}

const KINDS = {
  adjudicate: "asks whether possible duplicates are one and the same",
  facets: "asks what parts the topic has",
  judge: "asks whether a sample belongs to the topic",
};

// The task that it has longest. Its number says more than the whole id, which the title has.
function task({ task: id, kind = "", facet, task_seconds: seconds = 0 }) {
  if (!id) return [];
  const what = KINDS[kind] ?? `asks for ${facet || "anything of the topic"}`;
  const line = element("p", "task", seconds < 1 ? what : `${what}, for ${duration(Math.floor(seconds))}`);
  line.title = `task ${id}`;
  return [line];
}
