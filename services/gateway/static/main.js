// The dashboard: which run is shown is in the address, so a link or a reload brings it back.

import * as api from "./api.js";
import { byId, element, setText } from "./dom.js";
import { showRuns } from "./past_runs.js";
import { RunPanel } from "./run_panel.js";
import { StartForm } from "./start_form.js";

const POLL = 3_000; // milliseconds between looks at what is there

const WORDS = {
  connecting: "Connecting…",
  live: "Live",
  waiting: "Connection lost, trying again…",
  ended: "Run over, list complete",
  idle: "Gateway answers",
  lost: "Gateway does not answer",
};

let current = "";
let stream = ""; // state of the event stream of the shown run, if any
let answers = true; // whether the gateway answered last time

const panel = new RunPanel(
  (state) => {
    stream = state;
    showConnection();
  },
  () => refreshRuns(),
);
const form = new StartForm((run) => open(run.run));

function showConnection() {
  const state = answers ? stream || "idle" : stream === "live" ? "waiting" : "lost";
  setText("connection", WORDS[state]);
  byId("connection").dataset.state = state;
}

function open(run) {
  history.pushState(null, "", `/?run=${encodeURIComponent(run)}`);
  showAddressed();
}

function showAddressed() {
  const run = new URLSearchParams(location.search).get("run") ?? "";
  if (run === current) return;
  current = run;
  if (run) panel.show(run);
  else {
    panel.hide();
    stream = "";
    showConnection();
  }
  refreshRuns();
}

async function refreshRuns() {
  try {
    showRuns(await api.runs(), current, open);
  } catch {
    // the connection's state tells
  }
}

async function refreshState() {
  try {
    const readiness = await api.readiness();
    answers = true;
    showMissing(readiness.missing);
    form.describe(await api.providers());
  } catch {
    answers = false;
    showMissing(["The gateway does not answer. This page goes on by itself once it does."]);
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
  if (!document.hidden) await Promise.all([refreshState(), refreshRuns()]);
  setTimeout(keepUpToDate, POLL);
}

document.querySelector(".brand").addEventListener("click", (event) => {
  event.preventDefault();
  history.pushState(null, "", "/");
  showAddressed();
});
addEventListener("popstate", showAddressed);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshState(); });
showAddressed();
keepUpToDate();
