// Sorting and filtering tables, and printing. The page is complete without its scripts.
"use strict";

const FILTERED_FROM = 8; // the smallest number of rows of a table with a filter

function number(text) {
  const match = text.replaceAll(",", "").match(/^[▲▼\s]*([+\-−]?\d+(\.\d+)?)/);
  return match ? parseFloat(match[1].replace("−", "-")) : null;
}

// Numbers by size, then texts by alphabet; numbers precede texts in both directions.
function comparison(place, direction) {
  return (a, b) => {
    const [one, other] = [a, b].map((row) => row.cells[place]?.textContent.trim() ?? "");
    const [low, high] = [number(one), number(other)];
    if (low !== null && high !== null) return direction * (low - high);
    if (low !== null || high !== null) return low === null ? 1 : -1;
    return direction * one.localeCompare(other);
  };
}

// Rows stay in their group: each body of the table is sorted separately.
function sort(table, heading, place) {
  const direction = heading.getAttribute("aria-sort") === "descending" ? 1 : -1;
  for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
    body.append(...rows.sort(comparison(place, direction)));
  }
}

function lastHeadings(table) {
  return [...table.tHead.rows[table.tHead.rows.length - 1].cells];
}

function makeSortable(table) {
  lastHeadings(table).forEach((heading, place) => {
    if (!heading.textContent.trim() || heading.querySelector("a")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(table, heading, place));
    heading.append(button);
  });
}

function makeFilterable(table) {
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
  if (rows.filter((row) => !row.classList.contains("group")).length < FILTERED_FROM) return;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Filter rows";
  field.setAttribute("aria-label", `Filter the rows of ${table.caption.textContent}`);
  field.addEventListener("input", () => {
    const query = field.value.trim().toLowerCase();
    for (const row of rows) {
      row.hidden = !row.classList.contains("group") && !row.textContent.toLowerCase().includes(query);
    }
    showGroups(table);
  });
  table.closest(".scroll").before(field);
}

// The name of a group of rows is shown if any of its rows is.
function showGroups(table) {
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
    const left = rows.some((row) => !row.hidden && !row.classList.contains("out"));
    for (const row of body.rows) if (row.classList.contains("group")) row.hidden = !left;
  }
}

for (const table of document.querySelectorAll("main .scroll table")) {
  makeSortable(table);
  makeFilterable(table);
}

// A link into a closed part opens it; printing opens all, where style sheets cannot.
window.addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("main details:not(.choice)")) part.open = true;
});
