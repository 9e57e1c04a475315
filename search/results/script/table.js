// Tables that sort by any column, and show the rows that have a word in them and are chosen.
function compare(a, b, numbers) {
  // What is unknown goes last whichever way the column is sorted.
  if (a === "" || b === "") return null;
  return numbers ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true });
}

function sort(button) {
  const heading = button.closest("th");
  const table = heading.closest("table");
  const column = heading.cellIndex;
  const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const key = (row) => row.cells[column].dataset.key;
  const rows = [...table.tBodies[0].rows].sort((first, second) => {
    const [a, b] = [key(first), key(second)];
    const order = compare(a, b, button.dataset.kind === "number");
    return order === null ? (a === "") - (b === "") : sign * order;
  });
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
  table.tBodies[0].append(...rows);
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sort(button));
}

// Rows that hold every word, in whatever order.
function filter(box) {
  const rows = [...document.querySelector("table.all").tBodies[0].rows];
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    const kept = !chosen || chosen.has(Number(row.dataset.row));
    row.hidden = !kept || !words.every((word) => text.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  document.getElementById("shown").textContent = words.length || chosen ? `${shown} of ${rows.length}${chosen ? ", within the brushes" : ""}` : "";
}

const wanted = document.getElementById("filter");
if (wanted) {
  wanted.addEventListener("input", () => filter(wanted));
  followers.push(() => filter(wanted));
  wanted.closest("label").hidden = false;
}
