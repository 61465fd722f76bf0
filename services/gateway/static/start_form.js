// The form that starts a run, and what the run would take.

import * as api from "./api.js";
import { byId, element, providerDot, setText, showMessage } from "./dom.js";
import { compact, count, dollars } from "./wording.js";

const NUMBERS = ["producers", "iterations", "max_items", "max_seconds", "max_calls", "max_tokens", "max_usd", "request_size", "seed"];
const TEXTS = ["dedupe", "routing_strategy", "routing_config", "objective"];
const SETTLED = 500; // milliseconds without a keystroke before the forecast is asked for

export class StartForm {
  constructor(onStarted) {
    this.form = byId("start");
    this.notes = new Map();
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit(onStarted);
    });
    this.form.addEventListener("input", () => this.changed());
    this.form.addEventListener("reset", () => setTimeout(() => this.changed()));
  }

  // The first answer makes the checkboxes; later ones only bring the notes up to date and leave the user's choice alone.
  describe({ providers, default: chosen }) {
    if (!this.notes.size) byId("providers").replaceChildren(...providers.map((one) => this.choice(one, chosen.includes(one.provider))));
    for (const one of providers) this.notes.get(one.provider).textContent = note(one);
  }

  choice({ provider }, checked) {
    const box = element("input");
    Object.assign(box, { type: "checkbox", name: "providers", value: provider, checked });
    const hint = element("span", "hint");
    this.notes.set(provider, hint);
    return element("label", "", box, providerDot(provider), provider, hint);
  }

  request() {
    const fields = new FormData(this.form);
    const request = { topic: fields.get("topic"), providers: fields.getAll("providers") };
    for (const name of NUMBERS) if (fields.get(name)) request[name] = Number(fields.get(name));
    for (const name of TEXTS) if (fields.get(name)) request[name] = fields.get(name);
    if (fields.get("stop_below")) request.stop_below = Number(fields.get("stop_below")) / 100;
    const facets = fields.get("facets") === "list" ? fields.get("facet_list") : fields.get("facets");
    if (facets) request.facets = facets;
    return request;
  }

  changed() {
    this.form.elements.facet_list.disabled = this.form.elements.facets.value !== "list";
    this.key = undefined; // another request, so another key
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.forecast(), SETTLED);
  }

  async forecast() {
    const request = this.request();
    if (!request.topic.trim() || !request.providers.length || !this.form.checkValidity()) return setText("forecast", "");
    const asked = (this.asked = {});
    const words = await api.forecast(request).then(inWords, (error) => error.message);
    if (asked === this.asked) setText("forecast", words);
  }

  async submit(onStarted) {
    const request = this.request();
    if (!request.providers.length) return showMessage("start-error", "Choose at least one provider.");
    const button = this.form.querySelector("[type=submit]");
    button.disabled = true;
    this.key ??= newKey(); // kept when the answer is lost, so that trying again starts no second run
    try {
      onStarted(await api.start(request, this.key));
      this.key = undefined;
      showMessage("start-error", "");
    } catch (error) {
      showMessage("start-error", error.message);
    } finally {
      button.disabled = false;
    }
  }
}

// In the form of a run's id, which the gateway then makes of it: 20261124-103207-9f3ac1.
function newKey() {
  const [day, time] = new Date().toISOString().replaceAll(/[-:]/g, "").split(/[T.]/);
  const chance = [...crypto.getRandomValues(new Uint8Array(3))].map((byte) => byte.toString(16).padStart(2, "0"));
  return `${day}-${time}-${chance.join("")}`;
}

function note({ keyless, key, key_variable, producers }) {
  const cost = keyless ? "free, no key" : key ? "has a key" : producers ? "its producers have a key" : `no usable key here: set ${key_variable}`;
  return producers ? `${cost} · ${producers} live` : cost;
}

const LIMITS = {
  iterations: "calls each", max_calls: "most calls", max_items: "most attributes", max_tokens: "most tokens", max_usd: "most dollars",
};

function inWords({ calls, input_tokens, output_tokens, usd, most_usd, unpriced = [], limited_by: limit = "" }) {
  const what = calls == null ? "Each call" : `${count(calls)} calls, as far as “${LIMITS[limit] ?? limit}” allows`;
  const tokens = `about ${compact(input_tokens)} tokens in and ${compact(output_tokens)} out`;
  const money = usd == null ? `cost unknown: no price for ${unpriced.join(", ")}` : usd === 0 && !most_usd ? "free" : `about ${dollars(usd)}, at most ${dollars(most_usd)}`;
  return `${what}: ${tokens}, ${money}.${calls == null ? " No limit bounds the calls: it goes on until you stop it." : ""}`;
}
