// Choice of the model and of the exported files that answer.

// Kept until the page is closed.
const chosen = { model: null, ticks: new Set() };

/** Return {element, load, query, model, title}; `changed` is called when the choice changes the answers. */
export function makeEngines(app, found, changed) {
  const { el, t } = app;
  const names = found.models.map((model) => model.id);
  // A link from a run's page selects its model once.
  const wanted = new URLSearchParams(location.hash.split("?")[1]).get("model");
  if (wanted !== null) history.replaceState(null, "", "#/try");
  if (names.includes(wanted)) chosen.model = wanted;
  if (chosen.model === null || (!names.includes(chosen.model) && !(chosen.model === "" && found.file))) chosen.model = found.current;
  let files = [];

  const figure = (model) => (model.accuracy === null ? t("no_figure") : t("accuracy", { n: (100 * model.accuracy).toFixed(1) }));
  const select = el("select", { id: "try-model", on: { change: choose } },
    found.file ? el("option", { value: "" }, app.shipped ? app.checkpoint : t("checkpoint_file", { name: found.file })) : null,
    found.models.map((model) => el("option", { value: model.id }, [model.id, model.backbone, figure(model)].filter(Boolean).join(" · "))));
  select.value = chosen.model;
  const boxes = el("div", { class: "ticks" });
  const seen = el("p", { class: "soft small seen" });
  const element = el("div", { class: "card choose" },
    el("div", { class: "field" }, el("label", { for: "try-model" }, t("model")), select, seen),
    el("fieldset", {}, el("legend", {}, t("engines")), boxes, el("p", { class: "soft small hint" }, t("engines_hint"))));

  async function choose() {
    chosen.model = select.value;
    await load();
    changed();
  }

  /** What the model was trained on; it is opened for this, so the answer takes a moment. */
  async function tell() {
    const model = chosen.model;
    seen.replaceChildren();
    const found = await app.api(`/api/try/seen?model=${encodeURIComponent(model)}`).catch(() => null);
    // A checkpoint that cannot be read is reported with the first answer.
    if (!found || model !== chosen.model) return;
    const { origin, training } = found[app.language];
    seen.replaceChildren(origin ? el("strong", {}, origin) : "", " ", training);
  }

  async function load() {
    let command = "";
    tell();
    try {
      ({ engines: files, export: command } = await app.api(`/api/try/engines?model=${encodeURIComponent(chosen.model)}`));
    } catch (problem) {
      files = [];
      boxes.replaceChildren(el("p", { class: "notice bad" }, problem.message));
      return;
    }
    const checkpoint = el("label", { class: "tick" }, el("input", { type: "checkbox", checked: true, disabled: true }),
      el("span", {}, el("b", {}, t("checkpoint")), " ", el("span", { class: "soft small" }, t("runtime_torch"))));
    boxes.replaceChildren(checkpoint, ...files.map(box));
    if (!files.length) {
      boxes.append(el("p", { class: "soft small none" }, t("no_exports"), " ",
        el("code", {}, command)));
    }
  }

  function box(file) {
    const input = el("input", { type: "checkbox", checked: file.available && chosen.ticks.has(file.id), disabled: !file.available, value: file.id,
      on: { change: () => { chosen.ticks[input.checked ? "add" : "delete"](file.id); changed(); } } });
    const doubts = [file.matches === false && t("other_checkpoint"), file.matches === null && t("unknown_checkpoint"),
      !file.proven && t("unproven"), !file.available && t("not_installed")].filter(Boolean);
    return el("label", { class: "tick" }, input, el("span", {}, el("b", {}, file.file), " ",
      el("span", { class: "soft small" }, [file.export, t(`runtime_${file.runtime}`), file.fp16 && t("fp16")].filter(Boolean).join(" · ")),
      doubts.map((doubt) => el("span", { class: "doubt small" }, doubt))));
  }

  function query() {
    const given = new URLSearchParams({ model: chosen.model });
    for (const file of files) if (file.available && chosen.ticks.has(file.id)) given.append("engine", file.id);
    return given.toString();
  }

  return {
    element, load, query,
    model: () => chosen.model,
    /** Name, runtime and warning of an engine. */
    title: (id) => {
      const file = files.find((one) => one.id === id);
      if (!file) return id === "checkpoint" ? [t("checkpoint"), t("runtime_torch"), ""] : [id.split("/").pop(), id.split("/")[0], ""];
      const doubt = file.matches === false ? t("other_checkpoint") : file.matches === null ? t("unknown_checkpoint") : file.proven ? "" : t("unproven");
      return [file.file, [t(`runtime_${file.runtime}`), file.fp16 && t("fp16")].filter(Boolean).join(" · "), doubt];
    },
  };
}
