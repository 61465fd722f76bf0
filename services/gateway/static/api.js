// The gateway's REST interface. Errors carry the sentence that the gateway wrote for the user.

const PATIENCE = 10_000; // milliseconds: the gateway itself waits 5 s for the orchestrator

export const signedOut = new EventTarget(); // "needed" when the gateway asks for its token

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE) });
  } catch {
    throw new Error("The gateway does not answer.");
  }
  if (response.status === 401) signedOut.dispatchEvent(new Event("needed"));
  const body = options.asText ? await response.text() : await response.json().catch(() => null);
  if (!response.ok && !options.anyStatus) {
    throw Object.assign(new Error(body?.detail ?? `The gateway answered ${response.status}.`), { status: response.status });
  }
  return body;
}

function post(path, value, headers = {}) {
  const all = { "Content-Type": "application/json", ...headers };
  return call(path, { method: "POST", headers: all, body: JSON.stringify(value) });
}

const path = (run) => `/api/runs/${encodeURIComponent(run)}`;

export const readiness = () => call("/readyz", { anyStatus: true });
export const providers = () => call("/api/providers");
export const producers = () => call("/api/producers");
export const runs = () => call("/api/runs?limit=50");
export const run = (id) => call(path(id));
export const series = (id) => call(`${path(id)}/series`);
export const start = (fields, key) => post("/api/runs", fields, { "Idempotency-Key": key });
export const forecast = (fields) => post("/api/forecast", fields);
export const change = (id, what) => post(`${path(id)}/${what}`, {});
export const signIn = (token) => post("/api/session", {}, { Authorization: `Bearer ${token}` });
export const signOut = () => call("/api/session", { method: "DELETE" });
export const listAsText = (id) => call(attributesPath(id, "txt"), { asText: true });
export const eventsPath = (id, query) => `${path(id)}/events?${new URLSearchParams(query)}`;
export const attributesPath = (id, format) => `${path(id)}/attributes?format=${format}`;
