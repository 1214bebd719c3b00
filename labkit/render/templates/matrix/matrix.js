"use strict";
const data = JSON.parse(document.getElementById("cells").textContent);
const form = document.querySelector("form"), table = document.querySelector("table");
const details = document.getElementById("details"), shown = document.getElementById("shown");
const words = {S: "succeeded", R: "refused", "?": "unprobed", N: "not known"}, looks = {S: "S", R: "R", "?": "U", N: "U"};
const columns = data.columns.map(([mode, control, direction]) => ({mode, control, direction}));
columns.forEach((column) => { column.plain = columns.findIndex((it) => it.mode === column.mode && !it.control); });
const rows = data.rows.map(([technique, foothold, predicted, observed, why]) => ({technique, foothold, predicted, observed, why}));

const make = (name, text = "", className = "") => {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
};
const cluster = ({mode, control, direction}) =>
  !control ? `${mode}, unchanged` : `${mode}, ${control} ${direction === "on" ? "put in place" : "taken out"}`;
const exists = (row, c) => row.observed[c] !== ".";
const changed = (row, c) => {
  const plain = columns[c].plain;
  // an unprobed cell does not show whether anything changed
  return plain >= 0 && plain !== c && [c, plain].every((it) => "SR".includes(row.observed[it])) && row.observed[c] !== row.observed[plain];
};
const odd = (row, c) => "SR".includes(row.observed[c]) && !["N", row.observed[c]].includes(row.predicted[c]);
const unprobed = (row, c) => row.observed[c] === "?";

function draw() {
  const wanted = Object.fromEntries(new FormData(form));
  const technique = wanted.technique.trim().toLowerCase(), control = wanted.control.trim().toLowerCase();
  const counts = (row, c) => exists(row, c) && (!wanted.changed || changed(row, c)) && (!wanted.odd || odd(row, c) || unprobed(row, c));
  const asked = Boolean(wanted.changed || wanted.odd);
  let across = [...columns.keys()].filter((c) => (!wanted.mode || columns[c].mode === wanted.mode)
    && (!control || !columns[c].control || columns[c].control.toLowerCase().includes(control)));
  let down = rows.filter((row) => row.technique.toLowerCase().includes(technique) && (!wanted.foothold || row.foothold === wanted.foothold));
  down = down.filter((row) => across.some((c) => counts(row, c)));
  // keep the unchanged mode beside the clusters that differ from it
  if (asked) across = across.filter((c) => (!columns[c].control && !wanted.odd) || down.some((row) => counts(row, c)));
  if (!down.length) across = [];
  drawHead(across);
  let number = 0;
  const body = down.map((row) => {
    const line = make("tr"), head = make("th", row.technique);
    head.scope = "row";
    head.append(make("small", row.foothold));
    line.append(head);
    for (const c of across) {
      const cell = make("td"), letter = row.observed[c];
      if (exists(row, c)) {
        number += counts(row, c);
        cell.textContent = letter + (odd(row, c) ? "!" : "");
        cell.className = looks[letter];
        if (odd(row, c)) cell.classList.add("odd");
        else if (changed(row, c)) cell.classList.add("changed");
        else if (asked && columns[c].control && !counts(row, c)) cell.classList.add("pale");
      }
      if (!columns[c].control) cell.classList.add("plain");
      cell.tabIndex = -1;
      cell.row = row;
      cell.column = c;
      line.append(cell);
    }
    return line;
  });
  table.tBodies[0].replaceChildren(...body);
  const first = table.querySelector("td");
  if (first) first.tabIndex = 0;
  shown.textContent = `${number} cells in ${down.length} of ${rows.length} rows`;
}

function drawHead(across) {
  const top = make("tr"), names = make("tr"), corner = make("th", "technique, from", "corner");
  corner.rowSpan = 2;
  top.append(corner);
  for (const mode of new Set(across.map((c) => columns[c].mode))) {
    const own = across.filter((c) => columns[c].mode === mode), head = make("th");
    const flips = own.map((c) => columns[c].direction).find(Boolean);
    const titles = {on: ": unchanged, and each control put in place alone", off: ": unchanged, and each control taken out alone"};
    head.append(make("span", mode + (own.length > 4 ? titles[flips] ?? "" : "")));
    head.colSpan = own.length;
    top.append(head);
  }
  for (const c of across) {
    const {control, mode} = columns[c], head = make("th", control ?? `${mode}, unchanged`, control ? "name" : "name plain");
    head.scope = "col";
    head.title = cluster(columns[c]);
    names.append(head);
  }
  table.tHead.replaceChildren(top, names);
}

function showDetails(cell) {
  const {row, column: c} = cell;
  for (const element of table.querySelectorAll(".chosen")) element.classList.remove("chosen");
  cell.classList.add("chosen");
  cell.parentElement.cells[0].classList.add("chosen");
  table.tHead.rows[1].cells[cell.cellIndex - 1].classList.add("chosen");
  const list = make("dl"), plain = columns[c].plain;
  const add = (name, text, letter) => {
    const value = make("dd", letter ? "" : text);
    if (letter) value.append(make("b", `${letter} ${words[letter]}`, looks[letter]), make("span", text));
    list.append(make("dt", name), value);
  };
  add("technique", row.technique);
  add("from", row.foothold);
  add("cluster", cluster(columns[c]));
  if (!exists(row, c)) add("observed", "not tried");
  else {
    add("predicted", "", row.predicted[c]);
    add("observed", odd(row, c) ? " not as predicted" : "", row.observed[c]);
    add("why", data.reasons[row.why[c]]);
    if (plain >= 0 && plain !== c && exists(row, plain)) add("in the unchanged mode", ` ${data.reasons[row.why[plain]]}`, row.observed[plain]);
    cell.title = `${row.technique}, ${row.foothold}\n${cluster(columns[c])}\npredicted ${words[row.predicted[c]]}, observed ${words[row.observed[c]]}: ${data.reasons[row.why[c]]}`;
  }
  details.replaceChildren(list);
}

function move(cell, event) {
  const cells = [...cell.parentElement.cells].slice(1), lines = [...table.tBodies[0].rows];
  const x = cells.indexOf(cell), y = lines.indexOf(cell.parentElement);
  const to = {ArrowLeft: [x - 1, y], ArrowRight: [x + 1, y], ArrowUp: [x, y - 1], ArrowDown: [x, y + 1],
    Home: [0, y], End: [cells.length - 1, y], PageUp: [x, y - 10], PageDown: [x, y + 10]}[event.key];
  if (!to) return;
  event.preventDefault();
  const within = (value, most) => Math.max(0, Math.min(value, most));
  const next = lines[within(to[1], lines.length - 1)].cells[1 + within(to[0], cells.length - 1)];
  next.focus();
}

table.addEventListener("keydown", (event) => { if (event.target.tagName === "TD") move(event.target, event); });
table.addEventListener("focusin", (event) => {
  if (event.target.tagName !== "TD") return;
  table.querySelector("td[tabindex='0']").tabIndex = -1;
  event.target.tabIndex = 0;
  showDetails(event.target);
});
table.addEventListener("mouseover", (event) => { if (event.target.tagName === "TD") showDetails(event.target); });
form.addEventListener("input", draw);
form.addEventListener("reset", () => setTimeout(draw));
form.addEventListener("submit", (event) => event.preventDefault());
form.hidden = false;
draw();
