// Files dropped on the page.

/** Take files that are dropped anywhere on the page, and show meanwhile, by the class `over` of `root`, that they may be. */
export function onFileDrop(root, signal, take) {
  let over = 0;
  const files = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const listeners = {
    dragenter: (event) => { if (files(event)) { over += 1; root.classList.add("over"); } },
    dragleave: (event) => { if (files(event) && --over <= 0) { over = 0; root.classList.remove("over"); } },
    // Without this the browser would leave the page and show the file.
    dragover: (event) => { if (files(event)) event.preventDefault(); },
    drop: (event) => {
      if (!files(event)) return;
      event.preventDefault();
      over = 0;
      root.classList.remove("over");
      take(event.dataTransfer);
    },
  };
  for (const [name, listener] of Object.entries(listeners)) addEventListener(name, listener, { signal });
}
