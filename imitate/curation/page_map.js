"use strict";
// Choosing a hexagon of a map, by pointer, by arrow keys, or by the button of a listed place.
const VISITS = document.getElementById("visits");
const MAPS = document.querySelectorAll("svg.hexes");

function choose(b) {
  document.querySelectorAll("svg.hexes use").forEach((cell) => {
    cell.classList.toggle("chosen", cell.dataset.b === String(b));
  });
  const stays = [], flat = DATA.visits[b];
  for (let k = 0; k < flat.length; k += 3) stays.push(flat.slice(k, k + 3));
  const links = stays.map(([i, start, stop]) => {
    const steps = stop - start > 1 ? `${start}–${stop - 1}` : String(start);
    return element("li", {}, element("a", { href: address(DATA.episodes[i].id, start) }, DATA.episodes[i].id),
      ` ${steps}`);
  });
  const many = stays.length === 60 ? ": the 60 longest stays" : "";
  const cell = document.querySelector(`svg.hexes use[data-b="${b}"] title`);
  VISITS.replaceChildren(element("h3", {}, `Who was there, at which steps${many}`),
    element("p", {}, cell.textContent), element("ul", { class: "stays" }, ...links));
  VISITS.hidden = false;
}

function centre(cell) {
  return cell.getAttribute("transform").match(/-?[\d.]+/g).slice(0, 2).map(Number);
}

const AHEAD = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// The nearest hexagon in the direction of the arrow; sideways distance counts double.
function neighbour(map, [right, down]) {
  const cells = Array.from(map.querySelectorAll("use"));
  const from = map.querySelector("use.chosen") ?? cells[0], [x, y] = centre(from);
  let best = from, least = Infinity;
  for (const cell of cells) {
    const [dx, dy] = centre(cell).map((value, k) => value - [x, y][k]);
    const forward = dx * right + dy * down, aside = Math.abs(dx * down) + Math.abs(dy * right);
    if (forward > 1 && forward + 2 * aside < least) [best, least] = [cell, forward + 2 * aside];
  }
  return best;
}

MAPS.forEach((map) => {
  map.addEventListener("click", (event) => {
    const cell = event.target.closest("use");
    if (cell) choose(cell.dataset.b);
  });
  map.addEventListener("keydown", (event) => {
    if (!(event.key in AHEAD)) return;
    event.preventDefault();
    choose(neighbour(map, AHEAD[event.key]).dataset.b);
  });
});
document.querySelectorAll(".places button").forEach((button) => {
  button.addEventListener("click", () => {
    choose(button.dataset.b);
    VISITS.scrollIntoView({ block: "nearest" });
  });
});
