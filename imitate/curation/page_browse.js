"use strict";
// The filters above the table of episodes, and opening an episode from its row.
const FILTERS = document.getElementById("filters");
const ROWS = document.getElementById("episodes").tBodies[0].rows;
const ROW_OF = new Map(Array.from(ROWS, (row) => [Number(row.dataset.i), row]));

function fits(row, wanted) {
  for (const [name, value] of wanted) {
    if (!value) continue;
    if (name === "text") {
      if (!row.textContent.toLowerCase().includes(value.toLowerCase())) return false;
    } else if (row.dataset[name] !== value) return false;
  }
  return true;
}

function filter() {
  const wanted = Array.from(new FormData(FILTERS));
  let shown = 0;
  for (const row of ROWS) {
    row.hidden = !fits(row, wanted);
    shown += !row.hidden;
  }
  FILTERS.querySelector("output").textContent = `${shown} of ${ROWS.length} shown`;
}

// The episodes as they stand in the table now: sorted and filtered.
function listed() {
  return Array.from(ROWS).filter((row) => !row.hidden).map((row) => Number(row.dataset.i));
}

// On a phone the table has no heads to choose; this menu stands for them.
function sorter() {
  const heads = Array.from(document.querySelectorAll("#episodes thead th")).filter((head) => head.textContent);
  const menu = element("select", {}, element("option", { value: "" }, "–"),
    ...heads.map((head, k) => element("option", { value: k }, head.textContent)));
  menu.addEventListener("change", () => menu.value && heads[menu.value].click());
  return element("label", {}, "sort by ", menu);
}

FILTERS.hidden = false;
FILTERS.querySelector("output").before(sorter());
FILTERS.addEventListener("input", filter);
FILTERS.addEventListener("submit", (event) => event.preventDefault());
filter();
document.getElementById("episodes").tBodies[0].addEventListener("click", (event) => {
  const row = event.target.closest("tr");
  if (row && !event.target.closest("a") && !String(getSelection())) {
    location.hash = address(DATA.episodes[row.dataset.i].id);
  }
});
