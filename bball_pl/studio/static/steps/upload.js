// Photos and zip files of the browser's device: choosing or dropping them, and sending them piece by piece.

const PIECE = 8_000_000;
const TRIES = 3;

/** The files of a choice that are photos or zip files: {files: [{file, name}], size, leftOut, title}.
 *
 * Names are relative to the one folder that all lie in, if there is one; its name is the title. */
export function chosenFiles(found, suffixes) {
  const wanted = found.filter(({ name }) => {
    const parts = name.split("/");
    const last = parts.at(-1).toLowerCase();
    return !parts.some((part) => part.startsWith(".") || part === "__MACOSX") && suffixes.some((suffix) => last.endsWith(suffix));
  });
  const tops = new Set(wanted.map(({ name }) => (name.includes("/") ? name.split("/")[0] : "")));
  const top = tops.size === 1 ? [...tops][0] : "";
  const files = wanted.map(({ file, name }) => ({ file, name: top ? name.slice(top.length + 1) : name }));
  const alone = files.length === 1 ? files[0].name.replace(/\.[^.]*$/, "") : "";
  return { files, size: files.reduce((sum, { file }) => sum + file.size, 0), leftOut: found.length - wanted.length, title: top || alone };
}

/** Files of an input, with their folders where a folder was chosen. */
export function inputFiles(input) {
  return [...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
}

/** Files of a drop, those of folders included, at any depth. */
export async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  async function walk(entry, above) {
    const name = above ? `${above}/${entry.name}` : entry.name;
    if (entry.isFile) {
      found.push({ file: await new Promise((resolve, reject) => { entry.file(resolve, reject); }), name });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      // A hundred at a time, in Chromium.
      const batch = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
      if (!batch.length) return;
      for (const one of batch) await walk(one, name);
    }
  }
  for (const entry of entries) await walk(entry, "");
  return found;
}

/** Upload files as a collection; returns {upload, name, files, size}. `report(files, bytes)` follows what has arrived. */
export async function sendFiles(api, collection, files, report, signal) {
  const { upload } = await api("/api/steps/uploads", { json: { name: collection } });
  let sent = 0;
  try {
    for (const [number, { file, name }] of files.entries()) {
      let offset = 0;
      do {
        const piece = file.slice(offset, offset + PIECE);
        const query = new URLSearchParams({ name, offset, last: offset + piece.size >= file.size });
        await sendPiece(api, `/api/steps/uploads/${upload}/${number}?${query}`, piece, signal);
        offset += piece.size;
        sent += piece.size;
        report(number + (offset >= file.size ? 1 : 0), sent);
      } while (offset < file.size);
    }
    const whole = await api(`/api/steps/finish/${upload}`, { json: {}, signal });
    // Stopped while the last answer was on its way.
    signal.throwIfAborted();
    return whole;
  } catch (problem) {
    // Nothing of half an upload is kept.
    await api(`/api/steps/discard/${upload}`, { json: {} }).catch(() => null);
    throw problem;
  }
}

async function sendPiece(api, path, piece, signal) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await api(path, { method: "POST", body: piece, signal });
      return;
    } catch (problem) {
      // A connection that broke; the server takes the same piece again.
      if (problem.code !== "offline" || attempt === TRIES) throw problem;
      await new Promise((resolve) => { setTimeout(resolve, 1000 * attempt); });
    }
  }
}
