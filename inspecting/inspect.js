const slider = document.getElementById("moment");
const [earlier, later, which] = ["earlier", "later", "which"].map((name) => document.getElementById(name));
const moments = [...document.querySelectorAll("[data-moment]")];

function show() {
  const chosen = slider.value;
  moments.forEach((each) => (each.hidden = each.dataset.moment !== chosen));
  const step = moments.find((each) => each.dataset.moment === chosen).dataset.step;
  which.textContent = `moment ${Number(chosen) + 1} of ${Number(slider.max) + 1}, after ${step} steps`;
  slider.setAttribute("aria-valuetext", which.textContent);
  earlier.disabled = chosen === slider.min;
  later.disabled = chosen === slider.max;
}

function move(by) {
  slider.value = Number(slider.value) + by;
  show();
}

slider.addEventListener("input", show);
earlier.addEventListener("click", () => move(-1));
later.addEventListener("click", () => move(1));
show();
