// Boxes that scroll, within reach of the keyboard.

const BOXES = "pre, .scroll, .similar";
const FOCUSABLE = "a[href], button, input, select, textarea, summary";

function update(box) {
  const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
  if (scrolls && !box.querySelector(FOCUSABLE)) box.tabIndex = 0;
  else box.removeAttribute("tabindex");
}

/** Give each box that scrolls and has nothing to focus a tab stop, for as long as it scrolls. */
export function keepReachable() {
  let waiting = false;
  const look = () => {
    if (waiting) return;
    waiting = true;
    // Once a frame, however many elements have changed.
    requestAnimationFrame(() => {
      waiting = false;
      document.querySelectorAll(BOXES).forEach(update);
    });
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["open", "hidden", "class"] });
  addEventListener("resize", look);
}
