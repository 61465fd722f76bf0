// Building the page. Attributes and topics are text by strangers: they only ever become text nodes.

export const byId = (id) => document.getElementById(id);

export function element(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

export function setText(id, text) {
  const node = byId(id);
  const value = String(text);
  if (node.textContent !== value) node.textContent = value;
}

export function showMessage(id, text) {
  setText(id, text);
  byId(id).hidden = !text;
}

const colour = (provider) => (/^[a-z]+$/.test(provider) ? provider : "other");

export const providerDot = (provider) => element("span", `dot dot-${colour(provider)}`);

export function providerName(provider, name = provider) {
  return element("span", "provider", providerDot(provider), name);
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// At most once a frame, however often it is asked for.
export function oncePerFrame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}
