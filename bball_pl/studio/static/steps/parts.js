// Shared parts of Steps: sizes, times, the fields of a form, and what Runs draws.

import { command } from "../runs/parts.js";
import { strings as runStrings } from "../runs/words.js";
import { shellStrings, speaker } from "../words.js";

/** Functions and data for the parts of Runs, which have words of their own. */
export const forRuns = (app) => ({ ...app, t: speaker(app.language, runStrings, shellStrings) });

/** A command with a button that copies it. */
export const typedCommand = (app, text) => command(forRuns(app), app.t("command"), text);

export function bytes(size) {
  const units = ["B", "kB", "MB", "GB"];
  let index = 0;
  let value = size;
  while (value >= 1000 && index < units.length - 1) { value /= 1000; index += 1; }
  return `${value.toFixed(index && value < 10 ? 1 : 0)} ${units[index]}`;
}

export function duration(t, seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return t("seconds", { n: whole });
  if (whole < 5400) return t("minutes", { n: Math.round(whole / 60) });
  return t("hours", { h: Math.floor(whole / 3600), m: Math.round((whole % 3600) / 60) });
}

export function date(app, iso, withTime = false) {
  const found = new Date(iso);
  if (Number.isNaN(found.getTime())) return iso;
  const time = withTime ? { hour: "2-digit", minute: "2-digit", hour12: false } : {};
  return new Intl.DateTimeFormat(app.language === "en" ? "en-GB" : "zh-TW", { year: "numeric", month: "short", day: "numeric", ...time }).format(found);
}

/** Text of a value of a choice. */
function choiceText(t, field, value) {
  const key = `choice_${field.name}_${value}`;
  const text = t(key);
  return text === key ? value : text;
}

/** Element of one option; `values[field.name]` is its value, and `changed()` is called when it is another one. */
export function fieldElement(app, step, field, values, changed) {
  const { el, t } = app;
  const id = `steps-${step}-${field.name}`;
  const label = t(`field_${field.name}`);
  const set = (value) => { values[field.name] = value; changed(); };
  const value = field.name in values ? values[field.name] : field.value;
  if (field.kind === "flag") {
    const box = el("input", { type: "checkbox", id, checked: value, on: { change: () => set(box.checked) } });
    return el("label", { class: "tick", for: id }, box, el("span", {}, label));
  }
  if (field.kind === "choices") {
    const boxes = field.choices.map((choice, index) => el("input", { type: "checkbox", id: `${id}-${index}`, checked: value.includes(choice), on: { change: () => set(field.choices.filter((_, place) => boxes[place].checked)) } }));
    return el("fieldset", {}, el("legend", {}, label), field.choices.map((choice, index) => el("label", { class: "tick", for: boxes[index].id }, boxes[index], el("span", {}, choiceText(t, field, choice)))));
  }
  let input;
  if (field.kind === "choice") {
    const shown = field.choices.includes(value) ? value : field.value;
    input = el("select", { id, on: { change: () => set(input.value) } }, field.choices.map((choice) => el("option", { value: choice, selected: choice === shown }, choiceText(t, field, choice))));
  } else if (field.kind === "number") {
    const step_ = field.whole ? 1 : 0.01;
    input = el("input", { type: "number", id, min: field.low, max: field.high, step: step_, value: value ?? "", on: { input: () => set(input.value === "" ? null : Number(input.value)) } });
  } else {
    input = el("input", { type: "text", id, maxlength: 200, autocomplete: "off", value, on: { input: () => set(input.value) } });
  }
  return el("div", { class: "field" }, el("label", { for: id }, label), input);
}
