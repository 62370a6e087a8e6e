"use strict";
// Actions and observations of one episode over time, the episode and the panels chosen by the reader.
const COURSE = JSON.parse(document.getElementById("traces").textContent);
const course = document.getElementById("course"), plot = document.getElementById("course-plot");
const chosen = document.getElementById("course-episode"), choice = document.getElementById("course-choice");
const LEFT = 58, RIGHT = 10, TALL = 104, TOP = 20, FIRST = 6;
let frame = null;

// A box for every panel, by array; what comes first is drawn until the reader chooses.
function offer() {
  const groups = new Map();
  COURSE.panels.forEach((panel, i) => groups.set(panel.group, [...(groups.get(panel.group) ?? []), i]));
  const many = Math.max(1, Math.floor(FIRST / (groups.size - 1)));
  for (const [name, members] of groups) {
    const boxes = members.map((i, place) => {
      const box = element("input", { type: "checkbox", value: i });
      box.checked = place < (name === "action" ? FIRST : many);
      return element("label", {}, box, " " + COURSE.panels[i].title);
    });
    const all = element("button", { type: "button" }, "all"), none = element("button", { type: "button" }, "none");
    for (const [button, value] of [[all, true], [none, false]]) {
      button.addEventListener("click", () => {
        boxes.forEach((label) => { label.firstChild.checked = value; });
        draw();
      });
    }
    choice.append(element("fieldset", {}, element("legend", {}, name), all, none, ...boxes));
  }
}

const drawnPanels = () => Array.from(choice.querySelectorAll("input:checked"), (box) => Number(box.value));

function span(lines) {
  const known = lines.flat().filter((value) => value !== null);
  if (!known.length) return [-1, 1];
  let low = Infinity, high = -Infinity;
  for (const value of known) { low = Math.min(low, value); high = Math.max(high, value); }
  const room = (high - low || Math.abs(high) * 0.2 || 1) * 0.06;
  return [low - room, high + room];
}

// Marks are round already: all of their digits, unless they are many.
const mark = (value) => (String(value).length <= 7 ? String(value).replace("-", "−") : short(value));

function panelAt(i, top, f) {
  const panel = COURSE.panels[i], lines = f.episode.lines[i], [low, high] = span(lines);
  const Y = (value) => top + TALL - 10 - ((value - low) / (high - low)) * (TALL - TOP - 10);
  const parts = [drawn("path", { class: "frame", d: `M${LEFT} ${top + TOP}V${top + TALL - 10}H${f.width - RIGHT}` })];
  for (const value of ticks(low, high, 4)) {
    parts.push(drawn("path", { class: "grid", d: `M${LEFT} ${Y(value).toFixed(1)}H${f.width - RIGHT}` }),
      drawn("text", { x: LEFT - 6, y: Y(value) + 4, "text-anchor": "end", class: "tick" }, mark(value)));
  }
  lines.forEach((values, k) => {
    let path = "", pen = "M";
    values.forEach((value, j) => {
      if (value === null) { pen = "M"; return; }
      path += `${pen}${f.X(f.episode.at[j]).toFixed(1)} ${Y(value).toFixed(1)}`;
      pen = "L";
    });
    const beside = lines.length > 1 ? " beside" : "";
    parts.push(drawn("path", { class: `curve ${panel.kinds[k]}${beside}`, d: path }));
  });
  const unit = panel.unit ? ` [${panel.unit}]` : "";
  parts.push(drawn("text", { x: LEFT, y: top + 13, class: "name", "data-panel": i }, panel.title + unit));
  return drawn("g", {}, ...parts);
}

function axis(f, top) {
  const { episode } = f, last = Math.max(1, episode.steps - 1), end = episode.rate ? last / episode.rate : last;
  return ticks(0, end, Math.max(2, f.width / 130)).map((value) => {
    const x = f.X(episode.rate ? value * episode.rate : value);
    return drawn("g", {}, drawn("path", { class: "grid", d: `M${x.toFixed(1)} ${TOP}V${top}` }),
      drawn("text", { x, y: top + 14, "text-anchor": "middle", class: "tick" }, moment(episode, value)));
  });
}

const moment = (episode, value) => (episode.rate ? `${short(value)} s` : `step ${Math.round(value)}`);

function draw() {
  const episode = COURSE.episodes[chosen.selectedIndex], panels = drawnPanels();
  const width = Math.max(280, plot.clientWidth), last = Math.max(1, episode.steps - 1);
  const X = (step) => LEFT + (step / last) * (width - LEFT - RIGHT - 12);
  frame = { episode, width, panels, X };
  const below = panels.length * TALL, height = below + 20;
  const canvas = drawn("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": "curves of " + episode.id });
  if (panels.length) canvas.append(...axis(frame, below));
  panels.forEach((i, place) => canvas.append(panelAt(i, place * TALL, frame)));
  const line = drawn("path", { class: "pointer" });
  canvas.append(line);
  canvas.addEventListener("pointermove", (event) => point(event, canvas, line, below));
  plot.replaceChildren(canvas);
  const seconds = episode.rate ? `, ${short(episode.steps / episode.rate)} s` : ", of unknown rate";
  const thin = episode.at.length < episode.steps ? `, drawn at ${episode.at.length} of them` : "";
  document.getElementById("course-said").textContent =
    [`${episode.steps} steps${seconds}${thin}`, episode.outcome].filter(Boolean).join(" · ");
}

function point(event, canvas, line, height) {
  const { episode, X } = frame, x = event.clientX - canvas.getBoundingClientRect().left;
  let near = 0;
  episode.at.forEach((step, j) => { if (Math.abs(X(step) - x) < Math.abs(X(episode.at[near]) - x)) near = j; });
  const step = episode.at[near], when = moment(episode, episode.rate ? step / episode.rate : step);
  line.setAttribute("d", `M${X(step).toFixed(1)} 0V${height}`);
  canvas.querySelectorAll("text.name").forEach((name) => {
    const i = Number(name.dataset.panel), panel = COURSE.panels[i];
    const values = episode.lines[i].map((values) => short(values[near])).join(" | ");
    name.textContent = `${panel.title}: ${values}${panel.unit ? " " + panel.unit : ""} at ${when}`;
  });
}

function turn(by) {
  const count = COURSE.episodes.length;
  chosen.selectedIndex = (chosen.selectedIndex + by + count) % count;
  draw();
}

if (COURSE.panels.length) {
  course.hidden = false;
  offer();
  draw();
  chosen.addEventListener("change", draw);
  choice.addEventListener("change", draw);
  document.getElementById("course-previous").addEventListener("click", () => turn(-1));
  document.getElementById("course-next").addEventListener("click", () => turn(1));
  addEventListener("resize", draw);
  addEventListener("beforeprint", draw);
}
