// The dashboard: which runs are shown is in the address, so a link or a reload brings them back.

import * as api from "./api.js";
import { Comparison } from "./comparison.js";
import { byId, element, setText } from "./dom.js";
import { showRuns } from "./past_runs.js";
import { showProducers } from "./producers_panel.js";
import { RunPanel } from "./run_panel.js";
import { RunStore } from "./run_store.js";
import { offerSignIn, offerSignOut } from "./sign_in.js";
import { StartForm } from "./start_form.js";

const POLL = 2_000; // milliseconds between looks at what is there
const SIDE_BY_SIDE = 3; // each has an event stream, and a browser has six connections for all its tabs

const WORDS = {
  connecting: "Connecting…",
  live: "Live",
  waiting: "Connection lost, trying again…",
  ended: "Run over, list complete",
  idle: "Gateway answers",
  lost: "Gateway does not answer",
};

let stores = []; // of the runs on the page; the first is shown in full
let stream = ""; // state of its event stream, if any
let answers = true; // whether the gateway answered last time

const panel = new RunPanel(
  (state) => {
    stream = state;
    showConnection();
  },
  () => refreshRuns(),
);
const comparison = new Comparison((run) => go(shown().filter((one) => one !== run)));
const form = new StartForm((run) => go([run.run]));

const shown = () => stores.map((store) => store.run);
const beside = (run) => go([...shown(), run].slice(-SIDE_BY_SIDE));

function showConnection() {
  const state = answers ? stream || "idle" : stream === "live" ? "waiting" : "lost";
  setText("connection", WORDS[state]);
  byId("connection").dataset.state = state;
}

function go(runs) {
  history.pushState(null, "", runs.length ? `/?${new URLSearchParams(runs.map((run) => ["run", run]))}` : "/");
  showAddressed();
}

function showAddressed() {
  const runs = [...new Set(new URLSearchParams(location.search).getAll("run"))].slice(0, SIDE_BY_SIDE);
  const before = stores;
  for (const store of before) if (!runs.includes(store.run)) store.close();
  stores = runs.map((run) => before.find((store) => store.run === run) ?? new RunStore(run));
  if (stores[0] !== before[0]) {
    if (stores.length) panel.show(stores[0]);
    else panel.hide();
  }
  if (!stores.length) {
    stream = "";
    showConnection();
  }
  comparison.show(stores);
  refreshRuns();
  refreshProducers();
}

async function refreshRuns() {
  try {
    showRuns(await api.runs(), shown(), (run) => go([run]), beside);
  } catch {
    // the connection's state tells
  }
}

async function refreshProducers() {
  try {
    if (stores.length) showProducers(await api.producers(), stores[0]);
  } catch {
    // the connection's state tells
  }
}

async function refreshState() {
  try {
    const readiness = await api.readiness();
    answers = true;
    showMissing(readiness.missing ?? []);
    offerSignOut(readiness.session);
    form.describe(await api.providers());
  } catch (error) {
    answers = Boolean(error.status);
    if (!answers) showMissing(["The gateway does not answer. This page goes on by itself once it does."]);
  }
  showConnection();
}

function showMissing(sentences) {
  byId("missing").hidden = !sentences.length;
  if (byId("missing").textContent !== sentences.join("")) {
    byId("missing").replaceChildren(...sentences.map((sentence) => element("p", "", sentence)));
  }
}

async function keepUpToDate() {
  if (!document.hidden) await Promise.all([refreshState(), refreshRuns(), refreshProducers()]);
  setTimeout(keepUpToDate, POLL);
}

document.querySelector(".brand").addEventListener("click", (event) => {
  event.preventDefault();
  go([]);
});
addEventListener("popstate", showAddressed);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshState(); });
offerSignIn();
showAddressed();
keepUpToDate();
