"use strict";
// The filter of the doubtful labels. Without this script all are shown and the filter is not.
const choice = document.getElementById("filter-pair");
const items = [...document.querySelectorAll(".doubt")];

function filter() {
  let shown = 0;
  for (const item of items) {
    item.hidden = choice.value !== "" && choice.value !== item.dataset.pair;
    shown += item.hidden ? 0 : 1;
  }
  document.getElementById("filter-count").textContent = `${shown} of ${items.length} shown`;
}

if (choice) {
  choice.addEventListener("change", filter);
  document.getElementById("filter").hidden = false;
  filter();
}
