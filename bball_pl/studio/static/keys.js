// Keyboard shortcuts of the whole page, except in input fields and dialogs.

/** Name of a key: a digit, a lower-case letter, or the browser's name. */
function keyOf(event) {
  // A Chinese input method takes the letter; the event has only the position of the key.
  if (event.key === "Process" || event.isComposing || event.key.length > 1) {
    const match = /^(?:Digit|Numpad|Key)(\w)$/.exec(event.code);
    if (match) return match[1].toLowerCase();
  }
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

/** Call `handle(key)` for each key; it returns whether the key was used. Returns a function that ends this. */
export function onKeys(handle) {
  function listener(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
    if (event.target.closest?.("input, select, textarea, dialog, [contenteditable]")) return;
    if (handle(keyOf(event), event)) event.preventDefault();
  }
  addEventListener("keydown", listener);
  return () => removeEventListener("keydown", listener);
}
