"use strict";
// The page's numbers, and the addresses of episodes.
const DATA = JSON.parse(document.getElementById("data").textContent);
const INDEX = new Map(DATA.episodes.map((episode, i) => [episode.id, i]));
const UNKNOWN = 255;

// The values of curve `c` of episode `i`, null where unknown.
function trace(i, c) {
  const episode = DATA.episodes[i], curve = DATA.curves[c];
  episode.bytes ??= Uint8Array.from(atob(episode.traces), (letter) => letter.charCodeAt(0));
  const part = episode.bytes.subarray(c * episode.points, (c + 1) * episode.points);
  const step = (curve.high - curve.low) / 254;
  return Array.from(part, (byte) => (byte === UNKNOWN ? null : curve.low + byte * step));
}

function address(id, step) {
  return "#episode=" + encodeURIComponent(id) + (step === undefined ? "" : "&step=" + step);
}

// Links carry the bare name of an episode; only here does it become an address.
document.querySelectorAll("a[data-episode]").forEach((link) => {
  link.setAttribute("href", address(link.dataset.episode));
});
