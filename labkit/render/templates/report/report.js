// The page is complete without this script, which only filters and sorts the findings.
const table = document.getElementById("finding-rows"), form = document.querySelector(".filters");
const rows = [...table.tBodies[0].rows], shown = document.getElementById("shown");
const ticked = (name) => new Set([...form.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value));
function filter() {
  const states = ticked("state"), levels = ticked("level");
  const words = form.querySelector("[type=search]").value.toLowerCase().split(/\s+/);
  let count = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !(row.dataset.states.split(" ").some((state) => states.has(state))
      && levels.has(row.dataset.level) && words.every((word) => text.includes(word)));
    count += !row.hidden;
  }
  shown.textContent = `${count} of ${rows.length} rows`;
}
for (const button of table.tHead.querySelectorAll("button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), down = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "ascending" : "descending");
    const key = (row) => row.cells[head.cellIndex].dataset.key ?? row.cells[head.cellIndex].textContent;
    rows.sort((a, b) => (down ? 1 : -1) * key(a).localeCompare(key(b), "en", {numeric: true}));
    table.tBodies[0].append(...rows);
  });
}
const opened = new Set();
addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((it) => { it.open = true; opened.add(it); }));
addEventListener("afterprint", () => { opened.forEach((it) => { it.open = false; }); opened.clear(); });
addEventListener("hashchange", () => { const it = document.getElementById(location.hash.slice(1)); if (it?.tagName === "DETAILS") it.open = true; });
form.hidden = false;
form.addEventListener("input", filter);
filter();
