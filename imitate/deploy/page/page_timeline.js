"use strict";
// The timeline: lanes and curves of the window that is chosen; a cursor reads them at one moment.
const S = JSON.parse(document.getElementById("session").textContent);
const box = document.getElementById("timeline"), area = box.querySelector(".drawing"), said = box.querySelector(".said");
const choice = box.querySelector("select"), END = Math.max(S.end, 0.1), LEFT = 74, RIGHT = 8, LANE = 22, PLOT = 96;
let from = 0, to = END, here = null, width = 900;

const X = (t) => LEFT + ((t - from) / (to - from)) * (width - LEFT - RIGHT);
const T = (x) => from + ((x - LEFT) / (width - LEFT - RIGHT)) * (to - from);

// The first index of sorted `times` that is not before `t`.
function place(times, t) {
  let low = 0, high = times.length;
  while (low < high) { const middle = (low + high) >> 1; if (times[middle] < t) low = middle + 1; else high = middle; }
  return low;
}
function spans(group, y, name, list, cls) {
  group.append(drawn("text", { x: 0, y: y + 14, class: "lane" }, name));
  list.forEach(([start, end, what], i) => {
    if (end < from || start > to) return;
    const a = Math.max(X(start), LEFT), b = Math.min(Math.max(X(end), a + 1.5), width - RIGHT), kind = cls ?? what;
    group.append(drawn("rect", { x: a, y: y + 2, width: Math.max(0, b - a), height: LANE - 5, rx: 2, class: kind }));
    const text = cls ? String(i + 1) : what;
    const pale = ["idle", "armed", "disconnected", "hold"].includes(kind) ? " dark" : "";
    if (b - a > 7 * text.length + 6) group.append(drawn("text", { x: a + 4, y: y + 14, class: "inside" + pale }, text));
  });
}
function marks(group, y, name, times, cls) {
  group.append(drawn("text", { x: 0, y: y + 14, class: "lane" }, name));
  for (const [start, end] of times) {
    if (end < from || start > to) continue;
    group.append(drawn("rect", { x: Math.max(X(start), LEFT) - 1, y: y + 3, width: Math.max(2.5, X(Math.min(end, to)) - X(Math.max(start, from))), height: LANE - 7, class: cls }));
  }
}
function curve(line, y, low, high) {
  const first = Math.max(0, place(line.t, from) - 1), last = Math.min(line.t.length, place(line.t, to) + 1);
  const Y = (v) => y + PLOT - 8 - ((v - low) / (high - low)) * (PLOT - 26), parts = [];
  const gap = Math.max(0.5, (line.t.length > 1 ? (line.t[line.t.length - 1] - line.t[0]) / line.t.length : 0) * 8);
  const many = last - first > 150;
  for (let i = first; i < last; i++) {
    const x = X(line.t[i]).toFixed(1), v = Y(line.v[i]).toFixed(1);
    if (line.kind === "proposed") {
      if (line.t[i] >= from && line.t[i] <= to) parts.push(many ? `M${x} ${v - 1}v2` : `M${x - 3} ${v - 3}l6 6m0 -6l-6 6`);
    } else parts.push((i > first && line.t[i] - line.t[i - 1] < gap ? "L" : "M") + x + " " + v);
  }
  return drawn("path", { d: parts.join(""), class: "line " + line.kind });
}
// Of the window: least and greatest of all that is drawn.
function range(plot) {
  let low = Infinity, high = -Infinity;
  for (const line of plot.lines) {
    for (let i = place(line.t, from); i < line.t.length && line.t[i] <= to; i++) {
      low = Math.min(low, line.v[i]); high = Math.max(high, line.v[i]);
    }
  }
  if (!(low <= high)) return [-1, 1];
  const room = Math.max(high - low, 1e-3) * 0.08;
  return [low - room, high + room];
}
function draw() {
  width = Math.max(300, area.clientWidth);
  const lanes = [["attempts", S.attempts.map((a) => [...a, ""]), "attempt"], ["state", S.states], ["who acts", S.who]];
  const dots = [["gate", S.gate, "gate"], ["unfamiliar", S.odd.map((t) => [t, t]), "odd"], ["late ticks", S.late.map(([t]) => [Math.max(0, t - 1), t]), "late"]].filter((d) => d[1].length);
  const top = (lanes.length + dots.length) * LANE + 6, height = top + S.plots.length * PLOT + 22;
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "timeline" });
  svg.append(drawn("defs", {}, drawn("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    drawn("line", { x1: 0, y1: 0, x2: 0, y2: 6, class: "hatch" }))));
  lanes.forEach(([name, list, cls], i) => spans(svg, i * LANE, name, list, cls));
  dots.forEach(([name, list, cls], i) => marks(svg, (lanes.length + i) * LANE, name, list, cls));
  S.plots.forEach((plot, i) => {
    const y = top + i * PLOT, [low, high] = range(plot);
    svg.append(drawn("rect", { x: LEFT, y: y + 16, width: width - LEFT - RIGHT, height: PLOT - 22, class: "frame" }));
    svg.append(drawn("text", { x: LEFT, y: y + 12 }, `${plot.group} ${plot.name === plot.group ? "" : plot.name} [${plot.unit || "1"}]`));
    for (const v of ticks(low, high, 3)) {
      const at = y + PLOT - 8 - ((v - low) / (high - low)) * (PLOT - 26);
      svg.append(drawn("path", { d: `M${LEFT - 4} ${at}h4`, class: "frame" }), drawn("text", { x: LEFT - 7, y: at + 4, "text-anchor": "end", class: "tick" }, short(v)));
    }
    for (const line of [...plot.lines].reverse()) svg.append(curve(line, y, low, high));
  });
  for (const t of ticks(from, to, width / 110)) {
    svg.append(drawn("path", { d: `M${X(t)} 0V${height - 18}`, class: "frame" }), drawn("text", { x: X(t), y: height - 4, "text-anchor": "middle", class: "tick" }, `${short(t)} s`));
  }
  if (here !== null && here >= from && here <= to) svg.append(drawn("path", { d: `M${X(here)} 0V${height - 18}`, class: "cursor" }));
  area.replaceChildren(svg);
}
const within = (list) => list.find(([start, end]) => here >= start && here <= end);
// What is known of the cursor's moment, in words.
function tell() {
  const state = within(S.states), who = within(S.who), parts = [`${here.toFixed(2)} s`];
  if (state) parts.push(state[2] + (["hold", "fault", "disconnected"].includes(state[2]) ? `: ${state[3]}` : ""));
  if (who) parts.push(`${who[2]} acts`);
  const near = (to - from) / 150;
  for (const [start, end, group, rule, count, detail] of S.gate.filter(([a, b]) => here >= a - near && here <= b + near).slice(0, 3)) {
    parts.push(`gate, ${group}: ${rule}${count > 1 ? ` × ${count}` : ""} (${detail})`);
  }
  for (const plot of S.plots) {
    const values = plot.lines.filter((l) => l.kind !== "proposed" && l.t.length).map((line) => {
      const i = Math.min(place(line.t, here), line.t.length - 1), before = Math.max(0, i - 1);
      return short(line.v[here - line.t[before] < line.t[i] - here ? before : i]);
    });
    if (values.length) parts.push(`${plot.group === plot.name ? "" : plot.group + " "}${plot.name} ${values.join(" | ")}`);
  }
  said.textContent = parts.join("  ·  ");
}
function show(a, b) {
  const length = Math.min(Math.max(b - a, 0.05), END);
  from = Math.min(Math.max(a, 0), END - length); to = from + length;
  draw();
}
function look(t) { here = Math.min(Math.max(t, 0), END); draw(); tell(); }
function zoom(factor) { const middle = here !== null && here > from && here < to ? here : (from + to) / 2; show(middle - (middle - from) * factor, middle + (to - middle) * factor); }
function go(t, span) { if (!(t >= 0 && t <= END)) return; show(t - span / 2, t + span / 2); look(t); }
function step(way) {
  const at = here ?? (way > 0 ? -1 : END + 1), starts = S.gate.map(([a]) => a);
  const next = way > 0 ? starts.find((a) => a > at + 1e-3) : starts.findLast((a) => a < at - 1e-3);
  if (next !== undefined) go(next, Math.min(to - from, 4));
}
const DO = {
  left: () => show(from - (to - from) / 5, to - (to - from) / 5), right: () => show(from + (to - from) / 5, to + (to - from) / 5),
  in: () => zoom(0.5), out: () => zoom(2), next: () => step(1), previous: () => step(-1), all: () => show(0, END),
};
const KEY = { ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", n: "next", p: "previous", 0: "all" };
box.querySelectorAll("button").forEach((button) => button.addEventListener("click", () => DO[button.dataset.do]()));
area.addEventListener("keydown", (event) => {
  if (!(event.key in KEY) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  DO[KEY[event.key]]();
});
choice.addEventListener("change", () => {
  const attempt = S.attempts[Number(choice.value) - 1];
  if (attempt) show(attempt[0] - 0.1, attempt[1] + 0.1); else show(0, END);
});
let grabbed = null;
const inside = (event) => (event.clientX - area.getBoundingClientRect().left) * (width / area.clientWidth);
area.addEventListener("pointerdown", (event) => { grabbed = { x: inside(event), from, to }; });
addEventListener("pointerup", () => { grabbed = null; });
area.addEventListener("pointermove", (event) => {
  const x = inside(event);
  if (grabbed && Math.abs(x - grabbed.x) > 4) {
    const moved = ((x - grabbed.x) / (width - LEFT - RIGHT)) * (grabbed.to - grabbed.from);
    show(grabbed.from - moved, grabbed.to - moved);
  } else if (x >= LEFT && x <= width - RIGHT) look(T(x));
});
function follow() {
  const asked = /^#t=([\d.]+)$/.exec(location.hash);
  if (!asked) return;
  go(Number(asked[1]), Math.min(END, 4));
  box.scrollIntoView({ block: "start" });
}
box.hidden = false;
draw();
follow();
addEventListener("hashchange", follow);
document.querySelectorAll('a[href^="#t="]').forEach((link) => link.addEventListener("click", () => { if (location.hash === link.getAttribute("href")) follow(); }));
addEventListener("resize", draw);
addEventListener("beforeprint", draw);
