// Choosing languages, schedules and data sets: tables and figures show what is left.

// --- tables

// Rows and columns of the values that are not chosen get the class "out".
function chooseInTable(table, out) {
  const isUnchosen = (cell) => Object.entries(out).some(([kind, values]) => values.has(cell.dataset[kind]));
  for (const body of table.tBodies) {
    for (const row of body.rows) row.classList.toggle("out", row.cells[0] !== undefined && isUnchosen(row.cells[0]));
  }
  const headings = lastHeadings(table);
  headings.forEach((heading, place) => {
    const isGone = isUnchosen(heading);
    if (isGone === heading.classList.contains("out")) return;
    heading.classList.toggle("out", isGone);
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
      for (const row of rows) row.cells[place]?.classList.toggle("out", isGone);
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

// --- figures
//
// The parts of figures say what they are about (figures/subjects.py): one about "s1 n2+n3" is shown while s1 and one of
// n2 and n3 are chosen. `out` has the codes that are not chosen.

function isOut(subject, out) {
  return subject.split(" ").some((word) => word.split("+").every((code) => out.has(code)));
}

// "34;23:n0+n2;18:n0" has where the first band begins, then the size and the subject of each.
function readBands(text) {
  const [first, ...bands] = text.split(";");
  let end = parseFloat(first);
  return bands.map((band) => {
    const [size, subject = ""] = band.split(":");
    const start = end;
    end += parseFloat(size);
    return { start, end, subject };
  });
}

const DIRECTIONS = [
  { bands: "rows", selector: "svg, line, rect, text, use", place: "y", size: "height", isStretched: false },
  // Places within a column are shares of its width, and follow it.
  { bands: "columns", selector: ".plot > svg, .plot > text", place: "x", size: "width", isStretched: true },
];

// A drawn part with the attributes that place it in a direction, as they are if everything is chosen.
function readPart(element, { place, size }) {
  const names = [place, `${place}1`, `${place}2`, size].filter((name) => element.hasAttribute(name));
  const texts = Object.fromEntries(names.map((name) => [name, element.getAttribute(name)]));
  const number = (name) => parseFloat(texts[name] ?? "0"); // a place at 0 has no attribute
  const start = number(`${place}1` in texts ? `${place}1` : place);
  const end = `${place}2` in texts ? number(`${place}2`) : start + number(size);
  return { element, texts, start, end };
}

function readChart(chart) {
  const directions = DIRECTIONS.filter(({ bands }) => bands in chart.dataset).map((direction) => ({
    direction,
    bands: readBands(chart.dataset[direction.bands]),
    parts: [...chart.querySelectorAll(direction.selector)].map((element) => readPart(element, direction)),
  }));
  return { box: chart.parentNode, directions, drawn: "" };
}

const ROUNDING = 0.1; // Parts are placed with one decimal, in pixels or percent.

// Whether a part lies within a band. Its lower edge belongs to a band: there is the line below a row.
function holds(band, { start, end }) {
  const middle = (start + end) / 2;
  return middle > band.start && middle <= band.end && end - start <= band.end - band.start + ROUNDING;
}

// Where a place goes if bands go: what follows them moves up or, in columns, what is left becomes wider.
function movement(bands, gone, isStretched) {
  const lost = (place) =>
    gone.reduce((sum, { start, end }) => sum + Math.min(Math.max(place - start, 0), end - start), 0);
  const whole = bands[bands.length - 1].end;
  const scale = isStretched ? whole / (whole - lost(whole)) : 1;
  return (place) => (place - lost(place)) * scale;
}

function movePart({ element, texts, start, end }, move, size) {
  for (const [name, text] of Object.entries(texts)) {
    const before = parseFloat(text);
    const after = name === size ? move(end) - move(start) : move(before);
    // Unmoved parts get the very text with which they were drawn.
    const isSame = Math.abs(after - before) < 0.01;
    element.setAttribute(name, isSame ? text : `${+after.toFixed(2)}${text.endsWith("%") ? "%" : ""}`);
  }
}

// Rows and columns that are not chosen go, and the others close up. Whether nothing is left.
function closeUp(chart, out) {
  const goneIn = chart.directions.map(({ bands }) => bands.filter(({ subject }) => isOut(subject, out)));
  if (chart.directions.some(({ bands }, n) => goneIn[n].length === bands.length)) return true;
  const drawn = JSON.stringify(goneIn);
  if (drawn === chart.drawn) return false;
  chart.drawn = drawn;
  for (const { parts } of chart.directions) for (const { element } of parts) element.removeAttribute("hidden");
  chart.directions.forEach(({ direction, bands, parts }, n) => {
    const move = movement(bands, goneIn[n], direction.isStretched);
    for (const part of parts) {
      movePart(part, move, direction.size);
      if (goneIn[n].some((band) => holds(band, part))) part.element.setAttribute("hidden", "");
    }
  });
  return false;
}

function chooseInFigures(charts, out) {
  for (const part of document.querySelectorAll("[data-of]")) {
    part.toggleAttribute("hidden", isOut(part.dataset.of, out));
  }
  for (const count of document.querySelectorAll(".legend .count")) {
    const subject = count.parentNode.dataset.of ?? "";
    if (subject) count.textContent = subject.split("+").filter((code) => !out.has(code)).length;
  }
  for (const chart of charts) chart.box.hidden = closeUp(chart, out) || isOut(chart.box.dataset.of ?? "", out);
  for (const figure of document.querySelectorAll("figure.figure")) {
    figure.hidden = [...figure.querySelectorAll(".charts > div")].every((box) => box.hidden);
  }
}

// --- the boxes to choose with

function makeChoice(box) {
  const fields = [...box.querySelectorAll("[data-kind]")];
  const groups = [...box.querySelectorAll("[data-group]")];
  const tables = [...document.querySelectorAll("main .scroll table")];
  let charts; // read when a reader first chooses: a large page has very many parts
  const apply = () => {
    const unchosen = fields.filter((field) => !field.checked);
    const valuesOf = (kind) => {
      return new Set(unchosen.filter(({ dataset }) => dataset.kind === kind).map(({ value }) => value));
    };
    const panels = valuesOf("panel");
    for (const part of document.querySelectorAll("[data-panel]")) {
      part.classList.toggle("out", panels.has(part.dataset.panel));
    }
    const inTables = { language: valuesOf("language"), schedule: valuesOf("schedule"), dataset: panels };
    for (const table of tables) chooseInTable(table, inTables);
    charts ??= [...document.querySelectorAll(".charts .chart")].map(readChart);
    chooseInFigures(charts, new Set(unchosen.map(({ dataset }) => dataset.code)));
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

makeChoice(document.querySelector(".choice"));
