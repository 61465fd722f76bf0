// The gateway's REST interface. Errors carry the sentence that the gateway wrote for the user.

const PATIENCE = 10_000; // milliseconds: the gateway itself waits 5 s for the orchestrator

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE) });
  } catch {
    throw new Error("The gateway does not answer.");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok && !options.anyStatus) {
    throw Object.assign(new Error(body?.detail ?? `The gateway answered ${response.status}.`), { status: response.status });
  }
  return body;
}

function post(path, value) {
  return call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });
}

const path = (run) => `/api/runs/${encodeURIComponent(run)}`;

export const readiness = () => call("/readyz", { anyStatus: true });
export const providers = () => call("/api/providers");
export const runs = () => call("/api/runs?limit=50");
export const run = (id) => call(path(id));
export const start = (fields) => post("/api/runs", fields);
export const change = (id, what) => post(`${path(id)}/${what}`, {});
export const eventsPath = (id) => `${path(id)}/events`;
export const attributesPath = (id, format) => `${path(id)}/attributes?format=${format}`;
