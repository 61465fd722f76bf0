// Numbers, times and states as people read them.

const whole = new Intl.NumberFormat("en");
const oneDigit = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const percents = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 0 });
const cents = new Intl.NumberFormat("en", { style: "currency", currency: "USD" });
const small = new Intl.NumberFormat("en", { style: "currency", currency: "USD", maximumSignificantDigits: 2 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const ENDED = ["finished", "stopped", "failed"];
export const UNKNOWN = "unknown";

export const count = (number) => whole.format(number);
export const compact = (number) => short.format(number);
export const rate = (number) => (number < 100 ? oneDigit.format(number) : whole.format(Math.round(number)));
export const percent = (part) => percents.format(part);
export const share = (part, all) => (all > 0 ? percents.format(part / all) : "–");
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

// A price that is not known is no price of 0.
export function dollars(usd) {
  if (usd == null) return UNKNOWN;
  return usd > 0 && usd < 0.01 ? small.format(usd) : cents.format(usd);
}

export function perUnique(usd, unique) {
  if (usd == null) return UNKNOWN;
  return unique > 0 ? dollars(usd / unique) : "–";
}

export function perDollar(usd, unique) {
  if (usd == null) return UNKNOWN;
  return usd > 0 ? rate(unique / usd) : "–";
}

export function duration(seconds) {
  if (seconds < 60) return `${oneDigit.format(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return both(minutes, "min", Math.floor(seconds % 60), "s");
  return both(Math.floor(minutes / 60), "h", minutes % 60, "min");
}

const both = (large, unit, small, part) => (small ? `${large} ${unit} ${small} ${part}` : `${large} ${unit}`);

export function moment(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleString();
}

// "waiting" is no state of a connection here: the run has nobody to ask.
export const status = (name) => (name === "waiting" ? "waits for a provider" : name);

const TIERS = {
  exact: "the same once normalised",
  rule: "the same by a rule",
  typo: "a slip of the pen",
  synonym: "a synonym",
  embedding: "the same in meaning",
  adjudicate: "judged the same by a model",
};

export const tier = (name) => TIERS[name] ?? name;

const KINDS = {
  rate_limit: "rate limit",
  quota: "quota used up",
  auth: "key refused",
  invalid_request: "request refused",
  server: "server error",
  timeout: "timeout",
  connection: "no connection",
  malformed: "unreadable answer",
  internal: "internal error",
};

export const errorKinds = (errors) =>
  Object.entries(errors ?? {}).map(([kind, times]) => `${KINDS[kind] ?? kind} × ${count(times)}`).join(", ");

export function limits(spec) {
  const words = [spec.providers.join(", "), plural(spec.producers, "producer")];
  if (spec.iterations != null) words.push(`${plural(spec.iterations, "call")} each`);
  if (spec.objective && spec.objective !== "balanced") words.push(`fewest ${spec.objective}`);
  if (spec.facets && spec.facets !== "auto") words.push(`facets: ${spec.facets}`);
  if (spec.routing_strategy) words.push(`${spec.routing_strategy}: ${spec.routing_config}`);
  return words.join(" · ");
}
