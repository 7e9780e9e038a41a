// Sorting, filtering and choosing what the tables show. The page is complete without this script.
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

// Rows and columns of the values that are not chosen get the class "out".
function choose(table, left) {
  const isOut = (cell) => Object.entries(left).some(([kind, values]) => values.has(cell.dataset[kind]));
  for (const body of table.tBodies) {
    for (const row of body.rows) row.classList.toggle("out", row.cells[0] !== undefined && isOut(row.cells[0]));
  }
  const headings = lastHeadings(table);
  headings.forEach((heading, place) => {
    const out = isOut(heading);
    if (out === heading.classList.contains("out")) return;
    heading.classList.toggle("out", out);
    for (const body of table.tBodies) {
      for (const row of body.rows) if (!row.classList.contains("group")) row.cells[place]?.classList.toggle("out", out);
    }
  });
  if (table.tHead.rows.length > 1) {
    let place = 1;
    for (const group of [...table.tHead.rows[0].cells].slice(1)) {
      const width = parseInt((group.dataset.width ??= group.colSpan));
      const shown = headings.slice(place, place + width).filter((one) => !one.classList.contains("out")).length;
      group.classList.toggle("out", shown === 0);
      group.colSpan = Math.max(1, shown);
      place += width;
    }
  }
  showGroups(table);
}

function makeChoice(box, tables) {
  const fields = [...box.querySelectorAll("[data-kind]")];
  const groups = [...box.querySelectorAll("[data-group]")];
  const apply = () => {
    const left = { language: new Set(), schedule: new Set(), panel: new Set() };
    for (const field of fields) if (!field.checked) left[field.dataset.kind].add(field.value);
    for (const part of document.querySelectorAll("[data-panel]")) {
      part.classList.toggle("out", left.panel.has(part.dataset.panel));
    }
    const inTables = { language: left.language, schedule: left.schedule, dataset: left.panel };
    for (const table of tables) choose(table, inTables);
  };
  box.addEventListener("change", ({ target }) => {
    if (target.dataset.group) {
      for (const field of fields) {
        if ((field.dataset.groups ?? "").split("|").includes(target.dataset.group)) field.checked = target.checked;
      }
    }
    apply();
  });
  box.querySelector(".everything").addEventListener("click", () => {
    for (const field of [...fields, ...groups]) field.checked = true;
    apply();
  });
  box.hidden = false;
}

const tables = [...document.querySelectorAll("main .scroll table")];
for (const table of tables) {
  makeSortable(table);
  makeFilterable(table);
}
makeChoice(document.querySelector(".choice"), tables);

// A link into a closed part opens it; printing opens all, where style sheets cannot.
window.addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("main details:not(.choice)")) part.open = true;
});
