// One run: its state, what can be done with it, and the parts that show it.

import * as api from "./api.js";
import { AttributeList } from "./attribute_list.js";
import { showCards, showProgress } from "./cards.js";
import { showCoverage } from "./coverage_card.js";
import { byId, element, oncePerFrame, setText, showMessage } from "./dom.js";
import { showFacets } from "./facet_table.js";
import { drawLines } from "./line_chart.js";
import { showProviders } from "./provider_table.js";
import { drawShares } from "./share_chart.js";
import { Story } from "./story.js";
import { adviceFor, toast } from "./toasts.js";
import { count, dollars, duration, ENDED, limits, status } from "./wording.js";

const POSSIBLE = { pause: ["running", "waiting"], resume: ["paused"], stop: ["running", "waiting", "paused"] };
const FORMATS = ["txt", "json", "jsonl", "csv"];
const CALM = 500; // milliseconds between two drawings of charts and tables
const SPOKEN = 10_000; // milliseconds between two reports to a screen reader

export class RunPanel {
  constructor(onConnection, onChange) {
    this.onConnection = onConnection;
    this.onChange = onChange;
    this.story = new Story();
    this.list = new AttributeList((attribute) => this.story.open(this.store, attribute));
    this.draw = oncePerFrame(() => this.render());
    for (const what of Object.keys(POSSIBLE)) byId(what).addEventListener("click", () => this.change(what));
    byId("copy").addEventListener("click", () => this.copy());
    setInterval(() => this.store && this.draw(), 1_000); // the last 60 seconds move on when nothing comes
  }

  show(store) {
    this.hide();
    this.store = store;
    this.status = undefined;
    this.calm = this.spoken = -Infinity;
    byId("welcome").hidden = true;
    byId("panel").hidden = false;
    document.body.classList.add("watching");
    for (const id of ["topic", "status", "reason", "limits", "seconds", "spoken"]) setText(id, "");
    for (const what of Object.keys(POSSIBLE)) byId(what).disabled = true;
    setText("run-id", store.run);
    showMessage("run-error", "");
    for (const format of FORMATS) byId(format).href = api.attributesPath(store.run, format);
    this.list.show(store);
    this.listening = new AbortController();
    const on = (name, handle) => store.addEventListener(name, handle, { signal: this.listening.signal });
    on("change", this.draw);
    on("connection", () => this.connection());
    on("left", ({ detail }) => toast(`${detail.provider} left the run`, adviceFor(detail.provider, detail.counts)));
    this.connection();
    this.draw();
  }

  hide() {
    this.listening?.abort();
    this.store = undefined;
    byId("welcome").hidden = false;
    byId("panel").hidden = true;
    document.body.classList.remove("watching");
    document.title = "Chorus";
  }

  // A stream that cannot be had may have a reason that only a plain request tells, such as a run that does not exist.
  async connection() {
    const { store } = this;
    this.onConnection(store.connection);
    if (store.connection === "live") showMessage("run-error", "");
    if (store.connection !== "waiting") return;
    const problem = await api.run(store.run).then(() => null, (error) => error);
    if (store !== this.store || !problem || store.connection !== "waiting") return;
    showMessage("run-error", problem.message);
    if (problem.status === 404) {
      store.close();
      this.onConnection("");
    }
  }

  render() {
    const { store } = this;
    if (!store) return;
    this.list.update();
    showCards(store);
    if (store.state) this.describe(store.state);
    const now = performance.now();
    if (now - this.calm > CALM || store.ended) {
      this.calm = now;
      this.details();
    } else {
      this.later ??= setTimeout(() => {
        this.later = undefined;
        this.draw();
      }, CALM);
    }
    this.speak(now);
  }

  details() {
    const { store } = this;
    showProgress(store);
    showProviders(store);
    showCoverage(store);
    showFacets(store);
    this.left(store.state?.providers ?? {});
    drawShares(byId("shares"), store);
    const { unique, candidates } = store.curve.points();
    drawLines(byId("curve"), [
      { name: "Candidates", className: "candidates", points: candidates },
      { name: "Unique", className: "unique", points: unique },
    ], { label: `Unique attributes over time: ${count(store.unique)} of ${count(store.candidates)} candidates` });
    this.spend(store.state?.usd);
  }

  // Who left the run stays to be seen, also by who opens the page later.
  left(providers) {
    const gone = Object.entries(providers).filter(([, counts]) => counts.left);
    byId("left").hidden = !gone.length;
    byId("left").replaceChildren(...gone.map(([name, counts]) => (
      element("li", "", element("strong", "", `${name} left the run`), ` ${adviceFor(name, counts)}`))));
  }

  spend(usd) {
    const { points, since } = this.store.spend;
    byId("spend").hidden = !usd;
    showMessage("spend-note", spendNote(usd, since));
    const line = { name: "Spent", className: "spent", points };
    if (usd) drawLines(byId("spend"), [line], { unit: dollars, label: `Spent: ${dollars(usd)}` });
  }

  speak(now) {
    if (now - this.spoken < SPOKEN && this.status === this.said) return;
    this.spoken = now;
    this.said = this.status;
    setText("spoken", this.status ? `${status(this.status)}, ${count(this.store.unique)} unique attributes` : "");
  }

  describe(state) {
    setText("topic", state.topic);
    document.title = `${state.topic} · Chorus`;
    setText("limits", `· ${limits(state.spec)}`);
    setText("status", status(state.status));
    byId("status").dataset.state = state.status === "waiting" ? "unserved" : state.status;
    setText("reason", state.reason ? `${ENDED.includes(state.status) ? "Why it ended: " : ""}${state.reason}` : "");
    setText("seconds", `· ran ${duration(state.seconds)}`);
    if (this.status === state.status) return;
    this.status = state.status;
    this.allow();
    this.onChange();
  }

  allow() {
    for (const [what, states] of Object.entries(POSSIBLE)) byId(what).disabled = !states.includes(this.status);
  }

  async change(what) {
    const { store } = this;
    byId(what).disabled = true;
    try {
      const state = await api.change(store.run, what);
      store.update(state);
      showMessage("run-error", "");
    } catch (error) {
      if (store === this.store) showMessage("run-error", error.message);
    }
    if (store === this.store) {
      this.draw();
      this.allow();
    }
  }

  async copy() {
    const button = byId("copy");
    try {
      await navigator.clipboard.writeText(await api.listAsText(this.store.run));
      button.textContent = "Copied";
    } catch (error) {
      showMessage("run-error", navigator.clipboard ? error.message : "The browser copies only on localhost or over HTTPS; download instead.");
    }
    setTimeout(() => { button.textContent = "Copy all"; }, 1_500);
  }
}

function spendNote(usd, since) {
  if (usd === null) return "Unknown: a model without a price was called. Add it to the price table to see its cost.";
  if (!usd) return "Nothing so far.";
  return since > 1 ? `Of the first ${duration(since)} only the sum is known: the gateway began to listen then.` : "";
}
