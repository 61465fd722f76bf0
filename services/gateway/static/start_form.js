// The form that starts a run.

import * as api from "./api.js";
import { byId, element, providerDot, showMessage } from "./dom.js";

export class StartForm {
  constructor(onStarted) {
    this.form = byId("start");
    this.notes = new Map();
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit(onStarted);
    });
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

  async submit(onStarted) {
    const fields = new FormData(this.form);
    const request = { topic: fields.get("topic"), providers: fields.getAll("providers") };
    for (const name of ["producers", "iterations", "max_items", "max_seconds"]) {
      if (fields.get(name) !== "") request[name] = Number(fields.get(name));
    }
    if (!request.providers.length) return showMessage("start-error", "Choose at least one provider.");
    const button = this.form.querySelector("button");
    button.disabled = true;
    try {
      onStarted(await api.start(request));
      showMessage("start-error", "");
    } catch (error) {
      showMessage("start-error", error.message);
    } finally {
      button.disabled = false;
    }
  }
}

function note({ keyless, key, key_variable, producers }) {
  const cost = keyless ? "free, no key" : key ? "has a key" : `no usable key here: set ${key_variable}`;
  return producers ? `${cost} · ${producers} live` : cost;
}
