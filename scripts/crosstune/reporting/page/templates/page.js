// Sorting and filtering of tables, interactive figures. The page is readable without this script.
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

function makeSortable(table) {
  const headings = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  headings.forEach((heading, place) => {
    if (!heading.textContent.trim()) return;
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
  field.setAttribute("aria-label", "Filter the rows of the table below");
  field.addEventListener("input", () => {
    const query = field.value.trim().toLowerCase();
    for (const row of rows) {
      row.hidden = !row.classList.contains("group") && !row.textContent.toLowerCase().includes(query);
    }
    for (const body of table.tBodies) {
      const left = [...body.rows].some((row) => !row.hidden && !row.classList.contains("group"));
      for (const row of body.rows) if (row.classList.contains("group")) row.hidden = !left;
    }
  });
  table.closest(".scroll").before(field);
}

// Figures are drawn when they come near the window: all figures of a large study at once would take seconds.
async function draw(figure) {
  const drawing = figure.querySelector(".drawing");
  const spec = JSON.parse(figure.querySelector("script").textContent);
  spec.config.background = "transparent";
  const parts = document.createElement("div");
  await vegaEmbed(parts, spec, { renderer: "svg", ast: true, actions: false, tooltip: { theme: "custom" } });
  drawing.replaceChildren(...parts.childNodes);
}

function drawWhenNear(figures) {
  const watcher = new IntersectionObserver(
    (entries) => {
      // A busy browser reports a figure twice in one call if it came, went and came back.
      const near = new Set(entries.filter((one) => one.isIntersecting).map((one) => one.target));
      for (const figure of near) {
        watcher.unobserve(figure);
        draw(figure);
      }
    },
    { rootMargin: "400px" },
  );
  for (const figure of figures) watcher.observe(figure);
}

for (const table of document.querySelectorAll("main .scroll table")) {
  makeSortable(table);
  makeFilterable(table);
}
drawWhenNear(document.querySelectorAll("figure.figure"));
