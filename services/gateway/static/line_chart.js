// Lines over time, as SVG, with a scale that starts at zero.

import { svg } from "./dom.js";
import { compact, duration } from "./wording.js";

const [WIDTH, HEIGHT] = [480, 200];
const EDGE = { left: 44, right: 12, top: 10, bottom: 24 };

// `lines` are {name, className, points: [[seconds, value], …]}; `unit` writes a value of the upright scale.
export function drawLines(figure, lines, { unit = compact, label }) {
  const right = Math.max(1, ...lines.map((line) => line.points.at(-1)?.[0] ?? 0));
  const most = Math.max(...lines.flatMap((line) => line.points.map((point) => point[1])), 0);
  const top = niceTop(most);
  const x = (seconds) => EDGE.left + (seconds / right) * (WIDTH - EDGE.left - EDGE.right);
  const y = (value) => HEIGHT - EDGE.bottom - (value / top) * (HEIGHT - EDGE.top - EDGE.bottom);
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  for (const value of [0, top / 2, top]) {
    picture.append(svg("line", { class: "grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(value), y2: y(value) }));
    picture.append(svg("text", { class: "scale", x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end" }, unit(value)));
  }
  picture.append(svg("text", { class: "scale", x: EDGE.left, y: HEIGHT - 6 }, "0"));
  picture.append(svg("text", { class: "scale", x: WIDTH - EDGE.right, y: HEIGHT - 6, "text-anchor": "end" }, duration(right)));
  for (const line of lines) picture.append(path(line, x, y));
  figure.replaceChildren(picture, legend(lines, unit));
}

function path({ className, points }, x, y) {
  const d = points.map(([seconds, value], i) => `${i ? "L" : "M"}${x(seconds).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  return svg("path", { class: `line ${className}`, d });
}

function legend(lines, unit) {
  const list = document.createElement("figcaption");
  for (const { name, className, points } of lines) {
    const entry = document.createElement("span");
    entry.className = `legend ${className}`;
    entry.textContent = points.length ? `${name} ${unit(points.at(-1)[1])}` : name;
    list.append(entry);
  }
  return list;
}

function niceTop(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= value);
}
