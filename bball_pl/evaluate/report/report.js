"use strict";
// The gallery's filter. Without this script all errors are shown and the filter is not.
const choices = {true: document.getElementById("filter-true"), predicted: document.getElementById("filter-predicted")};
const cards = [...document.querySelectorAll("#wrong .card")];

function filter() {
  let shown = 0;
  for (const card of cards) {
    const fits = (key) => choices[key].value === "" || choices[key].value === card.dataset[key];
    card.hidden = !(fits("true") && fits("predicted"));
    shown += card.hidden ? 0 : 1;
  }
  document.getElementById("filter-count").textContent =
    shown === 0 ? "No such error among those shown here" : `${shown} of ${cards.length} shown`;
}

if (choices.true && choices.predicted) {
  for (const choice of Object.values(choices)) choice.addEventListener("change", filter);
  document.getElementById("filter-all").addEventListener("click", () => {
    choices.true.value = choices.predicted.value = "";
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
  // A link to a card must not lead to a hidden one.
  for (const link of document.querySelectorAll('a[href^="#photo-"]')) {
    link.addEventListener("click", () => document.getElementById("filter-all").click());
  }
  document.getElementById("filter").hidden = false;
  filter();
}
