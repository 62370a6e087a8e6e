"use strict";
// A click or Enter on a table head sorts by that column; a second one turns the order round.
function valueOf(row, column) {
  const text = row.cells[column].textContent.trim().replace(/[, %]/g, "").replace(/−/g, "-");
  return text !== "" && !isNaN(text) ? Number(text) : row.cells[column].textContent.trim();
}
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a.localeCompare(b);
}
document.querySelectorAll("thead th").forEach((head) => {
  head.tabIndex = 0;
  head.addEventListener("keydown", (event) => {
    if (event.key === "Enter") head.click();
  });
  head.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0];
    const falling = head.getAttribute("aria-sort") === "ascending";
    head.parentNode.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const rows = Array.from(body.rows);
    rows.sort((a, b) => (falling ? -1 : 1) * compare(valueOf(a, head.cellIndex), valueOf(b, head.cellIndex)));
    body.append(...rows);
  });
});
