// Elements built from plain text: no text of a file or table is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "dataset") {
      Object.assign(element.dataset, value);
    } else if (["value", "checked", "selected", "disabled", "hidden", "muted"].includes(name)) {
      element[name] = value;
    } else {
      element.setAttribute(name === "className" ? "class" : name, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Create an HTML element: el("button", {class: "primary", on: {click}}, "text", child, [more]). */
export function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Create an SVG element. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Bar for a share from 0 to 1. */
export function meter(share, className = "") {
  const width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return svg("svg", { class: `meter ${className}`, "aria-hidden": "true" },
    svg("rect", { class: "rail", width: "100%", height: "100%" }),
    svg("rect", { class: "fill", width, height: "100%" }));
}
