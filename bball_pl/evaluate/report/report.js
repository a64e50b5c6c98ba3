"use strict";
// The gallery's filter. Without this script all errors are shown and the filter is not.
const choices = {true: document.getElementById("filter-true"), predicted: document.getElementById("filter-predicted")};
const doubtful = document.getElementById("filter-doubtful");
const cards = [...document.querySelectorAll("#wrong .card")];

function filter() {
  let shown = 0;
  for (const card of cards) {
    const fits = (key) => choices[key].value === "" || choices[key].value === card.dataset[key];
    card.hidden = !(fits("true") && fits("predicted")) || (doubtful?.checked && !("doubtful" in card.dataset));
    shown += card.hidden ? 0 : 1;
  }
  document.getElementById("filter-count").textContent =
    shown === 0 ? "No such error among those shown here" : `${shown} of ${cards.length} shown`;
}

if (choices.true && choices.predicted) {
  for (const choice of Object.values(choices)) choice.addEventListener("change", filter);
  doubtful?.addEventListener("change", filter);
  document.getElementById("filter-all").addEventListener("click", () => {
    choices.true.value = choices.predicted.value = "";
    if (doubtful) doubtful.checked = false;
    filter();
  });
  // A cell of the confusion matrix shows its errors.
  for (const cell of document.querySelectorAll(".confusion a")) {
    cell.addEventListener("click", () => {
      choices.true.value = cell.dataset.true;
      choices.predicted.value = cell.dataset.predicted;
      filter();
    });
  }
  document.getElementById("filter").hidden = false;
  filter();
}

// A link to a closed section opens it; so does printing.
function unfold(section) {
  const details = section?.querySelector("details");
  if (details) details.open = true;
}
for (const link of document.querySelectorAll('a[href^="#"]')) {
  link.addEventListener("click", () => unfold(document.querySelector(link.getAttribute("href"))));
}
if (location.hash.length > 1) {
  const place = document.getElementById(location.hash.slice(1));
  unfold(place);
  place?.scrollIntoView();
}
addEventListener("beforeprint", () => {
  for (const section of document.querySelectorAll("section")) unfold(section);
});
