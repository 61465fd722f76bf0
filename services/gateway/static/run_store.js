// One run as its events tell it: state, list, and what each attribute absorbed. Draws nothing.

import * as api from "./api.js";
import { Curve } from "./curve.js";
import { Growth } from "./growth.js";
import { RunEvents } from "./run_events.js";
import { ENDED } from "./wording.js";

const MINUTE = 60_000;
const MAX_REPEATS = 200_000; // duplicates whose words are kept, about 60 MB; later ones are only counted

export class RunStore extends EventTarget {
  // Tells "change" when anything is new, "connection" with a state, "left" when a provider leaves the run.
  constructor(run) {
    super();
    this.run = run;
    this.state = null;
    this.producers = null;
    this.spend = new Growth("usd", [[0, 0]]);
    this.coverage = new Growth("coverage");
    this.skew = Infinity; // how far this machine's clock is ahead of the orchestrator's, at most
    this.connection = "connecting";
    this.clear();
    const on = (name) => (data) => {
      this[name](data);
      this.tell("change");
    };
    this.events = new RunEvents(run, {
      connection: (state) => {
        this.connection = state;
        this.tell("connection");
      },
      hello: on("greet"),
      run: on("update"),
      snapshot: on("snapshot"),
      accepted: on("accept"),
      duplicate: on("repeat"),
      settled: on("settle"),
      reset: on("clear"),
      done: on("done"),
    });
  }

  clear() {
    this.attributes = []; // by ordinal - 1
    this.times = []; // of acceptance, in milliseconds
    this.repeats = new Map(); // by ordinal
    this.repeated = 0;
    this.settled = new Map(); // what a model said of a possible duplicate, by ordinal
    this.byProducer = new Map(); // what each found in this run
    this.found = new Map(); // what each provider, and each "provider/model", brought: [unique, duplicates]
    this.facets = new Set();
    this.curve = new Curve();
    this.generation = (this.generation ?? 0) + 1; // rises when the list begins anew
  }

  close() {
    this.events.close();
  }

  get ended() {
    return ENDED.includes(this.state?.status);
  }

  get unique() {
    return Math.max(this.attributes.length, this.state?.accepted ?? 0);
  }

  get duplicates() {
    return Math.max(this.repeated, this.state?.duplicates ?? 0);
  }

  get candidates() {
    return Math.max(this.unique + this.duplicates, this.state?.candidates ?? 0);
  }

  // Attributes of the last 60 seconds; of a run that is over, its mean.
  get perMinute() {
    if (this.ended) return this.state.seconds > 0 ? (60 * this.unique) / this.state.seconds : null;
    const since = Date.now() - (Number.isFinite(this.skew) ? this.skew : 0) - MINUTE;
    let first = this.times.length;
    while (first > 0 && this.times[first - 1] > since) first -= 1;
    return this.times.length - first;
  }

  // An answer or a snapshot may be overtaken by the run's end, which is final.
  update(state) {
    if (this.ended && !ENDED.includes(state.status)) return;
    const before = this.state;
    this.state = state;
    for (const [provider, counts] of Object.entries(state.providers ?? {})) {
      if (counts.left && before && !before.providers?.[provider]?.left) this.tell("left", { provider, counts });
    }
    this.spend.add(state.seconds, state.usd);
    this.coverage.add(state.seconds, state.coverage);
  }

  // At each new connection: what came while there was none is asked for.
  greet(state) {
    this.update(state);
    api.series(this.run).then((series) => this.fill(series), () => {}); // without it the curves begin here
  }

  fill(series) {
    for (const growth of [this.spend, this.coverage]) growth.fill(series);
    this.tell("change");
  }

  snapshot(snapshot) {
    const candidates = Object.values(snapshot.state.providers ?? {}).reduce((sum, one) => sum + (one.candidates ?? 0), 0);
    this.skew = Math.min(this.skew, Date.now() - Date.parse(snapshot.at));
    this.outstanding = snapshot.outstanding;
    this.update({ ...snapshot.state, topic: snapshot.state.spec.topic, candidates });
  }

  accept(attribute) {
    if (attribute.ordinal <= this.attributes.length) return; // sent again
    this.attributes.push(attribute);
    this.count(attribute, 0);
    const time = Date.parse(attribute.at);
    this.times.push(time);
    this.curve.add(time, 0);
    if (attribute.facet) this.facets.add(attribute.facet);
    const own = this.byProducer.get(attribute.producer) ?? { unique: 0, last: "" };
    this.byProducer.set(attribute.producer, { unique: own.unique + 1, last: attribute.text });
  }

  repeat(duplicate) {
    this.repeated += 1;
    this.count(duplicate, 1);
    this.curve.add(Date.parse(duplicate.at), 1);
    if (this.repeated > MAX_REPEATS) return;
    const known = this.repeats.get(duplicate.of);
    if (known) known.push(duplicate);
    else this.repeats.set(duplicate.of, [duplicate]);
  }

  settle(judgement) {
    this.settled.set(judgement.ordinal, judgement);
  }

  count({ provider, model }, index) {
    for (const name of [provider, `${provider}/${model}`]) {
      if (!this.found.has(name)) this.found.set(name, [0, 0]);
      this.found.get(name)[index] += 1;
    }
  }

  // Counts of a provider or model: those of the log are ahead of those that the orchestrator tells.
  counts(name, told) {
    const [unique, repeated] = this.found.get(name) ?? [0, 0];
    const [accepted, duplicates] = [Math.max(unique, told.accepted ?? 0), Math.max(repeated, told.duplicates ?? 0)];
    return { ...told, accepted, duplicates, candidates: Math.max(accepted + duplicates, told.candidates ?? 0) };
  }

  done(end) {
    this.update({ ...this.state, ...end, candidates: end.accepted + end.duplicates });
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
