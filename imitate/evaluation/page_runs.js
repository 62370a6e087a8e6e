"use strict";
// One seed at a time, all its videos together; a link to a video chooses its seed.
const panels = [...document.querySelectorAll(".seed")], picker = document.getElementById("picker");

function show(seed) {
  const chosen = panels.find((panel) => panel.dataset.seed === String(seed));
  if (!chosen) return;
  for (const panel of panels) {
    panel.hidden = panel !== chosen;
    if (panel.hidden) panel.querySelectorAll("video").forEach((video) => video.pause());
  }
  document.getElementById("seed").value = chosen.dataset.seed;
}

function move(by) {
  const at = panels.findIndex((panel) => !panel.hidden);
  show(panels[(at + by + panels.length) % panels.length].dataset.seed);
}

function followLink() {
  const figure = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const panel = figure && figure.closest(".seed");
  if (!panel) return;
  show(panel.dataset.seed);
  figure.focus({ preventScroll: true });
  figure.scrollIntoView({ block: "center" });
}

if (picker) {
  picker.hidden = false;
  show(picker.dataset.first);
  document.getElementById("seed").addEventListener("change", (event) => show(event.target.value));
  document.getElementById("before").addEventListener("click", () => move(-1));
  document.getElementById("after").addEventListener("click", () => move(1));
  document.getElementById("play").addEventListener("click", () => {
    document.querySelectorAll(".seed:not([hidden]) video").forEach((video) => {
      video.currentTime = 0;
      video.play().catch(() => {});
    });
  });
  addEventListener("hashchange", followLink);
  // The same link again leaves the address as it is.
  addEventListener("click", (event) => {
    const link = event.target.closest("a.watch");
    if (link && link.hash === location.hash) followLink();
  });
  followLink();
}

const filter = document.getElementById("filter");
if (filter) {
  const rows = [...document.querySelectorAll(".seeds tbody tr")], field = document.getElementById("seed-filter");
  const told = document.getElementById("seed-count");
  const sift = () => {
    const wanted = field.value.split(/[\s,]+/).filter(Boolean);
    for (const row of rows) row.hidden = wanted.length > 0 && !wanted.some((part) => row.cells[0].textContent.includes(part));
    told.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} shown`;
  };
  filter.hidden = false;
  field.addEventListener("input", sift);
  sift();
}
