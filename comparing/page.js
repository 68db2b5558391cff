// What a reader does with the page: sort a table, hide or single out a contender, print.

const { names, panels } = JSON.parse(document.getElementById("data").textContent);

function sort(button) {
  const head = button.closest("th"), body = button.closest("table").tBodies[0];
  const column = [...head.parentElement.children].indexOf(head);
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const words = head.classList.contains("words");
  // numbers from the greatest, names from A; again turns it round
  const first = words ? "ascending" : "descending", other = words ? "descending" : "ascending";
  const order = head.getAttribute("aria-sort") === first ? other : first;
  for (const each of head.parentElement.children) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === ""); // what is not known comes last in both orders
    return sign * (words ? x.localeCompare(y, "en", { numeric: true }) : x - y);
  };
  body.append(...[...body.rows].sort(compare));
}

const hidden = new Set();
const charts = [...document.querySelectorAll(".chart")].map((svg) => new Chart(svg, panels[svg.dataset.panel], hidden));

names.forEach((name, contender) => {
  const legend = document.querySelector(".legend");
  const button = add(legend, "button", { type: "button", "aria-pressed": "true", "data-contender": contender });
  swatch(button, contender);
  add(button, "span", {}, name);
  button.addEventListener("click", () => {
    hidden.delete(contender) || hidden.add(contender);
    button.setAttribute("aria-pressed", !hidden.has(contender));
    for (const chart of charts) chart.draw();
    for (const row of document.querySelectorAll("tr[data-contenders]"))
      row.hidden = row.dataset.contenders.split(" ").some((each) => hidden.has(Number(each)));
  });
  const single = (on) => {
    for (const group of document.querySelectorAll(".chart .series"))
      group.classList.toggle("faint", on && !hidden.has(contender) && group.dataset.contender !== String(contender));
  };
  button.addEventListener("pointerenter", () => single(true));
  button.addEventListener("pointerleave", () => single(false));
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("thead button");
  if (button) sort(button);
});
addEventListener("beforeprint", () => document.querySelectorAll("details:not(.verdicts *)").forEach((each) => (each.open = true)));
