"use strict";
// One episode in a window of its own: frames, curves over time, flagged steps, scores.
const VIEWER = document.getElementById("viewer");
const part = (name) => document.getElementById("viewer-" + name);
const HEIGHT = 74, TOP = 17, LEFT = 52, RIGHT = 8;
let current = null, highlighted = null;

function wanted() {
  const found = new URLSearchParams(location.hash.slice(1));
  return { episode: INDEX.get(found.get("episode")), step: found.has("step") ? Number(found.get("step")) : null };
}

function follow() {
  const { episode, step } = wanted();
  if (episode === undefined) {
    if (VIEWER.open) VIEWER.close();
    return;
  }
  current = episode;
  highlighted = step;
  if (!VIEWER.open) VIEWER.showModal();
  VIEWER.scrollTop = 0;
  show();
}

function show() {
  const episode = DATA.episodes[current], row = ROW_OF.get(current);
  const reasons = row.querySelector(".why").textContent, kept = row.dataset.keep === "yes";
  part("title").textContent = episode.id;
  const seconds = episode.rate ? `, ${short(episode.steps / episode.rate)} s` : "";
  part("said").textContent = [kept ? "✓ kept" : "✕ left out", row.dataset.fault, reasons,
    `${episode.steps} steps${seconds}`].filter(Boolean).join(" · ");
  showFrames(row);
  plot();
  showFlags();
  showScores();
}

function showFrames(row) {
  const images = Array.from(row.querySelectorAll(".thumb img"));
  part("frames").replaceChildren(...images.map((image) => {
    const caption = image.dataset.step === undefined ? image.alt : "step " + image.dataset.step;
    return element("figure", {}, image.cloneNode(), element("figcaption", {}, caption));
  }));
}

function showFlags() {
  const mine = DATA.flags.filter((flag) => flag[0] === current);
  part("flags").replaceChildren(...mine.map(([, start, stop, fault, text]) =>
    element("li", {}, element("b", {}, `${fault}, steps ${start} to ${stop - 1}`), text ? ": " + text : "")));
}

// The rank of a value among all that are known.
function standing(s, value) {
  const known = DATA.episodes.map((episode) => episode.scores[s]).filter((other) => other !== null);
  const better = DATA.scores[s].better;
  const ahead = known.filter((other) => (better === "lower" ? other < value : other > value)).length;
  return `${ahead + 1} of ${known.length}, 1 is the ${better ? "best" : "largest"}`;
}

function showScores() {
  const rows = DATA.scores.map((score, s) => {
    const value = DATA.episodes[current].scores[s];
    const unit = score.unit && score.unit !== score.label ? ` ${score.unit}` : "";
    return element("tr", {}, element("td", { title: score.text }, score.label),
      element("td", { class: "num" }, short(value) + (value === null ? "" : unit)),
      element("td", {}, value === null ? "–" : standing(s, value)));
  });
  part("scores").replaceChildren(element("table", {}, element("tbody", {}, ...rows)));
}

function chosen() {
  return Array.from(part("choices").querySelectorAll("input:checked"), (box) => Number(box.value));
}

function plot() {
  const curves = chosen(), width = Math.max(260, part("plot").clientWidth);
  const whole = curves.length * HEIGHT + 30;
  const canvas = drawn("svg", { viewBox: `0 0 ${width} ${whole}`, width, height: whole, role: "img",
    "aria-label": "curves of " + DATA.episodes[current].id });
  canvas.append(...shades(width, curves.length * HEIGHT));
  curves.forEach((c, place) => canvas.append(panel(c, place * HEIGHT, width)));
  canvas.append(...timeAxis(width, curves.length * HEIGHT));
  const line = drawn("path", { class: "pointer" });
  canvas.append(line);
  canvas.addEventListener("pointermove", (event) => point(event, canvas, line, width, curves));
  part("plot").replaceChildren(canvas);
}

function across(step, width) {
  const last = Math.max(1, DATA.episodes[current].steps - 1);
  return LEFT + (Math.min(step, last) / last) * (width - LEFT - RIGHT);
}

function shades(width, height) {
  const mine = DATA.flags.filter((flag) => flag[0] === current);
  const bands = mine.map(([, start, stop, fault]) => drawn("rect", { class: "flagged", x: across(start, width),
    y: 0, width: Math.max(2, across(stop, width) - across(start, width)), height },
    drawn("title", {}, `${fault}, steps ${start} to ${stop - 1}`)));
  if (highlighted !== null) {
    bands.push(drawn("path", { class: "here", d: `M${across(highlighted, width)} 0V${height}` }));
  }
  return bands;
}

function panel(c, top, width) {
  const curve = DATA.curves[c], values = trace(current, c);
  const span = curve.high - curve.low || 1, tall = HEIGHT - TOP - 8;
  const height = (value) => top + TOP + tall * (1 - (value - curve.low) / span);
  const steps = DATA.episodes[current].steps - 1, count = Math.max(1, values.length - 1);
  let path = "", pen = "M";
  values.forEach((value, k) => {
    if (value === null) pen = "M";
    else {
      path += `${pen}${across((k * steps) / count, width).toFixed(1)} ${height(value).toFixed(1)}`;
      pen = "L";
    }
  });
  const name = curve.label + (curve.unit ? ` [${curve.unit}]` : "");
  const label = (text, y) => drawn("text", { x: LEFT - 5, y, "text-anchor": "end", class: "tick" }, text);
  return drawn("g", {},
    drawn("path", { class: "frame", d: `M${LEFT} ${top + TOP}V${top + TOP + tall}H${width - RIGHT}` }),
    drawn("path", { class: "curve " + curve.kind, d: path }),
    drawn("text", { x: LEFT + 3, y: top + 12, class: "name", "data-c": c }, name),
    label(short(curve.high), top + TOP + 4), label(short(curve.low), top + TOP + tall + 4));
}

function timeAxis(width, top) {
  const episode = DATA.episodes[current], last = episode.steps - 1;
  const words = (step) => (episode.rate ? `${short(step / episode.rate)} s` : `step ${Math.round(step)}`);
  return [0, 0.5, 1].map((share) => drawn("text", { x: across(share * last, width), y: top + 14, class: "tick",
    "text-anchor": ["start", "middle", "end"][2 * share] }, words(share * last)));
}

function point(event, canvas, line, width, curves) {
  const x = ((event.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth) * width;
  const share = Math.min(1, Math.max(0, (x - LEFT) / (width - LEFT - RIGHT)));
  line.setAttribute("d", `M${LEFT + share * (width - LEFT - RIGHT)} 0V${curves.length * HEIGHT}`);
  canvas.querySelectorAll("text.name").forEach((name) => {
    const c = Number(name.dataset.c), values = trace(current, c), curve = DATA.curves[c];
    const value = values[Math.round(share * (values.length - 1))];
    name.textContent = `${curve.label}: ${short(value)}${curve.unit ? " " + curve.unit : ""}`;
  });
}

function turn(by) {
  const order = listed();
  if (!order.length) return;
  const next = order[(order.indexOf(current) + by + order.length) % order.length];
  location.hash = address(DATA.episodes[next].id);
}

part("previous").addEventListener("click", () => turn(-1));
part("next").addEventListener("click", () => turn(1));
part("close").addEventListener("click", () => VIEWER.close());
part("choices").addEventListener("change", plot);
VIEWER.addEventListener("keydown", (event) => {
  if (event.target.type === "checkbox") return;
  if (event.key === "ArrowLeft") turn(-1);
  if (event.key === "ArrowRight") turn(1);
});
VIEWER.addEventListener("close", () => {
  if (wanted().episode !== undefined) history.replaceState(null, "", "#episodes");
  ROW_OF.get(current)?.querySelector("a")?.focus({ preventScroll: true });
});
addEventListener("hashchange", follow);
addEventListener("resize", () => VIEWER.open && plot());
follow();
