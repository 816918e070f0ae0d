"use strict";

const told = document.getElementById("told");
document.getElementById("hint").hidden = false;

// Sort a table by the column whose head is pressed: numbers before text, and what is absent last.
const compare = (x, y) => {
  const numbers = [x, y].map((key) => key.trim() !== "" && !Number.isNaN(+key));
  if (numbers[0] && numbers[1]) return x - y;
  return numbers[0] !== numbers[1] ? numbers[1] - numbers[0] : x.localeCompare(y, "en");
};
const sort = (head) => {
  const body = head.closest("table").tBodies[0];
  const column = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => row.cells[column].dataset.key;
  const order = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    return down ? compare(y, x) : compare(x, y);
  };
  body.append(...[...body.rows].sort(order));
  told.textContent = `Sorted by ${head.textContent}, ${down ? "descending" : "ascending"}.`;
};
for (const head of document.querySelectorAll("thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  button.addEventListener("click", () => sort(head));
  head.append(button);
}

// Show at once what a mark says; the native text of a drawing comes late, and never by touch or keyboard.
const tooltip = document.getElementById("tooltip");
const MOUSE_PX = 10;
const FINGER_PX = 24;
let shown = null;
const hide = () => {
  shown?.classList.remove("shown");
  shown = null;
  tooltip.hidden = true;
};
const place = (tip) => {
  const at = tip.getBoundingClientRect();
  const own = tooltip.getBoundingClientRect();
  const width = document.documentElement.clientWidth;
  const left = Math.min(Math.max(8, at.left + at.width / 2 - own.width / 2), width - own.width - 8);
  const above = at.top - own.height - 8;
  tooltip.style.left = `${left}px`;
  tooltip.style.top = `${above >= 8 ? above : Math.min(at.bottom + 8, innerHeight - own.height - 8)}px`;
};
const show = (tip) => {
  if (tip === shown) return;
  hide();
  shown = tip;
  tip.classList.add("shown");
  const [subject, ...values] = tip.getAttribute("aria-label").split("\n");
  const strong = document.createElement("strong");
  strong.textContent = subject;
  tooltip.replaceChildren(strong, ...values.flatMap((line) => [document.createElement("br"), line]));
  tooltip.hidden = false;
  place(tip);
};
const nearest = (drawing, event, reach) => {
  const under = event.target.closest?.(".tip");
  if (under) return under;
  let best = null;
  let least = [reach, Infinity];
  for (const tip of drawing.querySelectorAll(".tip")) {
    const at = tip.getBoundingClientRect();
    const x = Math.max(at.left - event.clientX, 0, event.clientX - at.right);
    const y = Math.max(at.top - event.clientY, 0, event.clientY - at.bottom);
    const found = [Math.hypot(x, y), at.width * at.height];
    if (found[0] < least[0] || (found[0] === least[0] && found[1] < least[1])) [best, least] = [tip, found];
  }
  return best;
};
for (const drawing of document.querySelectorAll(".drawing")) {
  const tips = [...drawing.querySelectorAll(".tip")];
  for (const [index, tip] of tips.entries()) {
    // The label says it to those who listen; a title beside it would show a second text.
    tip.querySelector("title")?.remove();
    tip.setAttribute("tabindex", index ? "-1" : "0");
    tip.addEventListener("focus", () => show(tip));
    tip.addEventListener("blur", hide);
  }
  const point = (event) => {
    const tip = nearest(drawing, event, event.type === "click" ? FINGER_PX : MOUSE_PX);
    if (tip) show(tip);
    else hide();
  };
  drawing.addEventListener("pointermove", (event) => event.pointerType === "touch" || point(event));
  drawing.addEventListener("pointerleave", (event) => event.pointerType === "touch" || hide());
  drawing.addEventListener("click", point);
  drawing.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
    const here = tips.indexOf(document.activeElement);
    if (here < 0 || !(event.key in steps)) return;
    event.preventDefault();
    const next = tips[Math.min(Math.max(here + steps[event.key], 0), tips.length - 1)];
    tips[here].setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}
document.addEventListener("click", (event) => event.target.closest?.(".drawing") || hide());
document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
// What the keyboard leads to is scrolled into sight and keeps its text; the mouse has moved off what it showed.
const follow = () => (shown !== null && shown === document.activeElement ? place(shown) : hide());
document.addEventListener("scroll", follow, { passive: true });

// Open what an address leads to, and everything for paper.
const openAddressed = () => {
  const found = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let one = found; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  found?.scrollIntoView();
};
if (location.hash) openAddressed();
addEventListener("hashchange", openAddressed);
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details:not([open])")) {
    one.open = true;
    one.dataset.folded = "";
  }
});
addEventListener("afterprint", () => {
  for (const one of document.querySelectorAll("details[data-folded]")) {
    one.open = false;
    delete one.dataset.folded;
  }
});
