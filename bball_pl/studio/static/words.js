// Texts in English and Traditional Chinese.

export const LANGUAGES = ["en", "zh-Hant"];

export const shellStrings = {
  en: {
    title: "Studio", skip: "Skip to the content", views: "Views",
    sort: "Sort", review: "Review", try: "Try", runs: "Runs",
    language_other: "繁體中文", language_label: "以繁體中文顯示",
    loading: "Loading …", model: "Model: {name}", no_model: "no model yet",
    view_failed: "This view could not be loaded.", again: "Try again",
    problem_offline: "The studio does not answer. Is it still running in its terminal?",
    problem_token: "The studio wants its token: open the address that it printed when it was started.",
    problem_size: "This is too large.",
    problem_fault: "The studio met a fault of its own; its terminal shows more.",
    problem_unknown: "That did not work (status {status}).",
    percent: "{n} %",
  },
  "zh-Hant": {
    title: "工作室", skip: "跳到內容", views: "頁面",
    sort: "分類", review: "檢查", try: "試用", runs: "訓練紀錄",
    language_other: "English", language_label: "Show in English",
    loading: "載入中 …", model: "模型：{name}", no_model: "還沒有模型",
    view_failed: "無法載入這個頁面。", again: "再試一次",
    problem_offline: "工作室沒有回應。它還在終端機裡執行嗎？",
    problem_token: "工作室需要通行碼：請開啟它啟動時印出的網址。",
    problem_size: "檔案太大。",
    problem_fault: "工作室本身發生錯誤；詳情請看終端機。",
    problem_unknown: "操作失敗（狀態 {status}）。",
    percent: "{n} %",
  },
};

/** The language to begin with: as chosen before, else as the server was told, else as the browser says. */
export function firstLanguage(wanted) {
  const kept = remembered("studio.language");
  if (LANGUAGES.includes(kept)) return kept;
  if (LANGUAGES.includes(wanted)) return wanted;
  const first = (navigator.languages ?? [navigator.language])[0] ?? "";
  return first.toLowerCase().startsWith("zh") ? "zh-Hant" : "en";
}

/** A function that says a key in a language: {name} is replaced by values.name, and key_one is said of n = 1. */
export function speaker(language, ...tables) {
  return function t(key, values = {}) {
    const single = values.n === 1 || values.n === "1" ? `${key}_one` : key;
    for (const wanted of [single, key]) {
      for (const table of tables) {
        const text = table?.[language]?.[wanted];
        if (text !== undefined) return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
      }
    }
    return key.startsWith("problem_") ? "" : key;
  };
}

export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // A browser that keeps nothing: the choice holds until the page is closed.
  }
}

export function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
