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

export function providerDot(provider) {
  return element("span", `dot dot-${/^[a-z]+$/.test(provider) ? provider : "other"}`);
}
