// Sort a table by the column whose head is pressed: by number where both are numbers, else by text.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement;
    const body = head.closest("table").tBodies[0];
    const column = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.key;
    const order = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const gap = Number.isNaN(+x) || Number.isNaN(+y) ? x.localeCompare(y) : x - y;
      return down ? -gap : gap;
    };
    body.append(...[...body.rows].sort(order));
  });
}
