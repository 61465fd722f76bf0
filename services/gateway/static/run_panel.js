// One run: its state, counters, providers and list.

import * as api from "./api.js";
import { byId, element, providerDot, setText, showMessage } from "./dom.js";
import { LiveList } from "./live_list.js";
import { RunEvents } from "./run_events.js";
import { count, duration, ENDED, limits, rate } from "./wording.js";

const POSSIBLE = { pause: ["running"], resume: ["paused"], stop: ["running", "paused"] };

export class RunPanel {
  constructor(onConnection, onChange) {
    this.onConnection = onConnection;
    this.onChange = onChange;
    this.list = new LiveList();
    for (const what of Object.keys(POSSIBLE)) byId(what).addEventListener("click", () => this.change(what));
  }

  show(run) {
    this.hide();
    this.run = run;
    this.state = null;
    byId("welcome").hidden = true;
    byId("panel").hidden = false;
    document.body.classList.add("watching");
    for (const id of ["topic", "status", "reason", "limits", "seconds"]) setText(id, "");
    for (const what of Object.keys(POSSIBLE)) byId(what).disabled = true;
    for (const id of ["unique", "candidates", "duplicates", "calls"]) setText(id, "0");
    for (const id of ["per-minute", "live-producers"]) setText(id, "–");
    byId("provider-rows").replaceChildren();
    setText("run-id", run);
    showMessage("run-error", "");
    for (const format of ["txt", "json"]) byId(format).href = api.attributesPath(run, format);
    this.list.clear();
    this.events = new RunEvents(run, {
      connection: (state) => this.connection(run, state),
      hello: (state) => this.update(state),
      run: (state) => this.update(state),
      snapshot: (snapshot) => this.snapshot(snapshot),
      accepted: (attribute) => this.accepted(attribute),
      reset: () => this.list.clear(),
      done: (end) => this.done(end),
    });
  }

  hide() {
    this.events?.close();
    this.events = undefined;
    byId("welcome").hidden = false;
    byId("panel").hidden = true;
    document.body.classList.remove("watching");
    document.title = "Chorus";
  }

  // A stream that cannot be had may have a reason that only a plain request tells, such as a run that does not exist.
  async connection(run, state) {
    this.onConnection(state);
    if (state === "live") showMessage("run-error", "");
    if (state !== "waiting") return;
    const problem = await api.run(run).then(() => null, (error) => error);
    if (run !== this.run || !problem || this.events.closed) return;
    showMessage("run-error", problem.message);
    if (problem.status === 404) {
      this.events.close();
      this.onConnection("");
    }
  }

  // An answer or a snapshot may be overtaken by the run's end, which is final.
  update(state) {
    const before = this.state?.status;
    if (ENDED.includes(before) && !ENDED.includes(state.status)) return;
    this.state = state;
    setText("topic", state.topic);
    document.title = `${state.topic} · Chorus`;
    setText("limits", `· ${limits(state.spec)}`);
    this.describe(state);
    if (before !== state.status) this.onChange();
  }

  snapshot(snapshot) {
    const candidates = Object.values(snapshot.state.providers ?? {}).reduce((sum, one) => sum + (one.candidates ?? 0), 0);
    this.update({ ...snapshot.state, topic: snapshot.state.spec.topic, candidates });
    setText("per-minute", rate(snapshot.per_minute));
    setText("live-producers", count(snapshot.producers));
  }

  accepted(attribute) {
    this.list.add(attribute);
    this.countUnique();
  }

  done(end) {
    const providers = Object.values(end.providers);
    const sum = (field) => providers.reduce((total, one) => total + one[field], 0);
    this.update({ ...this.state, ...end, candidates: sum("candidates"), calls: Math.max(this.state.calls, sum("calls")) });
    if (end.seconds > 0) setText("per-minute", rate((60 * end.accepted) / end.seconds));
    setText("live-producers", "–");
  }

  describe(state) {
    setText("status", state.status);
    byId("status").dataset.state = state.status;
    setText("reason", state.reason ? `${ENDED.includes(state.status) ? "Why it ended: " : ""}${state.reason}` : "");
    for (const [what, states] of Object.entries(POSSIBLE)) byId(what).disabled = !states.includes(state.status);
    this.countUnique();
    for (const field of ["candidates", "duplicates", "calls"]) setText(field, count(state[field]));
    setText("seconds", `· ran ${duration(state.seconds)}`);
    byId("provider-rows").replaceChildren(...Object.entries(state.providers).map(providerRow));
  }

  // Attributes and snapshots come by different ways, so either may be ahead.
  countUnique() {
    setText("unique", count(Math.max(this.list.total, this.state?.accepted ?? 0)));
  }

  async change(what) {
    const run = this.run;
    byId(what).disabled = true;
    try {
      const state = await api.change(run, what);
      if (run === this.run) this.update(state);
      showMessage("run-error", "");
    } catch (error) {
      if (run !== this.run) return;
      showMessage("run-error", error.message);
      if (this.state) this.describe(this.state);
    }
  }
}

function providerRow([provider, counts]) {
  const numbers = ["calls", "failed", "candidates", "accepted", "duplicates"].map((field) => element("td", "", count(counts[field] ?? 0)));
  return element("tr", "", element("td", "", providerDot(provider), provider), ...numbers, element("td", "", counts.last_error ?? ""));
}
