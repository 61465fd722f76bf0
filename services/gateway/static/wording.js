// Numbers, times and states as people read them.

const whole = new Intl.NumberFormat("en");
const oneDigit = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const ENDED = ["finished", "stopped", "failed"];

export const count = (number) => whole.format(number);
export const rate = (number) => (number < 100 ? oneDigit.format(number) : whole.format(Math.round(number)));

export function duration(seconds) {
  if (seconds < 60) return `${oneDigit.format(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function moment(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleString();
}

export function limits(spec) {
  const words = [`${spec.providers.join(", ")} · ${count(spec.producers)} producers`];
  if (spec.iterations != null) words.push(`${count(spec.iterations)} calls each`);
  if (spec.max_items != null) words.push(`at most ${count(spec.max_items)} attributes`);
  if (spec.max_seconds != null) words.push(`at most ${duration(spec.max_seconds)}`);
  return words.join(" · ");
}
