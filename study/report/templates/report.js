"use strict";
const body = document.querySelector("#cells tbody");
const rows = Array.from(body.rows);
const told = document.querySelector("#shown");
const value = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent;

function sort(header, column) {
  const down = header.getAttribute("aria-sort") === "ascending";
  for (const other of document.querySelectorAll("#cells th[aria-sort]")) {
    other.removeAttribute("aria-sort");
  }
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const sign = down ? -1 : 1;
  const numbers = header.classList.contains("number");
  rows.sort((a, b) => {
    const [x, y] = [value(a, column), value(b, column)];
    // What has no value comes last, whichever way.
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = numbers ? x - y : x.localeCompare(y, undefined, { numeric: true });
    return sign * order;
  });
  body.append(...rows);
}

function filter() {
  const words = document.querySelector("#filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const text = row.dataset.text.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    shown += !row.hidden;
  }
  told.textContent = `${shown} of ${rows.length} cells`;
}

document.querySelectorAll("#cells thead th").forEach((header, column) => {
  header.querySelector("button").addEventListener("click", () => sort(header, column));
});
document.querySelector("#filter").addEventListener("input", filter);
filter();
for (const button of document.querySelectorAll(".maps button")) {
  button.addEventListener("click", () => {
    const large = button.getAttribute("aria-pressed") === "true";
    button.setAttribute("aria-pressed", String(!large));
  });
}
