// What happened that needs the user, until it is put away.

import { byId, element } from "./dom.js";

const MOST = 4;

export function toast(title, words) {
  const close = element("button", "close", "✕");
  close.type = "button";
  close.setAttribute("aria-label", "Put away");
  const node = element("div", "toast", element("strong", "", title), close, element("p", "", words));
  close.addEventListener("click", () => node.remove());
  byId("toasts").append(node);
  while (byId("toasts").childElementCount > MOST) byId("toasts").firstElementChild.remove();
}

// What the user can do about a provider that left the run.
export function adviceFor(provider, { left, errors = {} }) {
  const name = provider.toUpperCase();
  const others = "The other providers go on.";
  if (errors.auth) return `${left} Check ${name}_API_KEY, then start a new run. ${others}`;
  if (errors.quota) return `${left} Raise the quota at the vendor, or wait until it is renewed. ${others}`;
  if (errors.invalid_request) return `${left} Check the model's name in ${name}_MODEL. ${others}`;
  return `${left} The logs of its producers say more. ${others}`;
}
