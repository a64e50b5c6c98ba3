// Keys that act on the whole page, unless the user is typing or a dialog is open.

/** The name of a key: a digit, a letter in lower case, or as the browser calls it. */
function keyOf(event) {
  // With a Chinese input method the letter is on its way to the method, and only its place on the keyboard is known.
  if (event.key === "Process" || event.isComposing || event.key.length > 1) {
    const match = /^(?:Digit|Numpad|Key)(\w)$/.exec(event.code);
    if (match) return match[1].toLowerCase();
  }
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

/** Call `hear(key)` for keys; it returns whether the key meant something. Returns a function that ends this. */
export function onKeys(hear) {
  function listener(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
    if (event.target.closest?.("input, select, textarea, dialog, [contenteditable]")) return;
    if (hear(keyOf(event), event)) event.preventDefault();
  }
  addEventListener("keydown", listener);
  return () => removeEventListener("keydown", listener);
}
