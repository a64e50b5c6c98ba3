// Texts in English and Traditional Chinese.

export const LANGUAGES = ["en", "zh-Hant"];

export const shellStrings = {
  en: {
    title: "Studio", skip: "Skip to the content", views: "Views",
    steps: "Steps", sort: "Sort", games: "Games", review: "Review", try: "Try", runs: "Runs",
    language_other: "繁體中文", language_label: "以繁體中文顯示",
    loading: "Loading …", model: "Model: {name}", no_model: "no model yet",
    shipped: "the one in the package",
    view_failed: "This view could not be loaded.", again: "Try again",
    problem_offline: "The studio does not answer. Is it still running in its terminal?",
    problem_token: "A token is required: open the address that the studio printed when it started.",
    problem_size: "This is too large.",
    problem_internal: "Internal error; see the terminal for details.",
    problem_unknown: "The request failed (status {status}).",
    percent: "{n} %",
  },
  "zh-Hant": {
    title: "工作室", skip: "跳到內容", views: "頁面",
    steps: "步驟", sort: "分類", games: "比賽", review: "檢查", try: "試用", runs: "訓練紀錄",
    language_other: "English", language_label: "Show in English",
    loading: "載入中 …", model: "模型：{name}", no_model: "還沒有模型",
    shipped: "套件內附的模型",
    view_failed: "無法載入這個頁面。", again: "再試一次",
    problem_offline: "工作室沒有回應。它還在終端機裡執行嗎？",
    problem_token: "工作室需要通行碼：請開啟它啟動時印出的網址。",
    problem_size: "檔案太大。",
    problem_internal: "內部錯誤；詳情請看終端機。",
    problem_unknown: "操作失敗（狀態 {status}）。",
    percent: "{n} %",
  },
};

/** The first language: the user's last choice, else the server's setting, else the browser's. */
export function firstLanguage(wanted) {
  const kept = remembered("studio.language");
  if (LANGUAGES.includes(kept)) return kept;
  if (LANGUAGES.includes(wanted)) return wanted;
  const first = (navigator.languages ?? [navigator.language])[0] ?? "";
  return first.toLowerCase().startsWith("zh") ? "zh-Hant" : "en";
}

/** Return a function that looks up texts: {name} becomes values.name, and key_one is the text for n = 1. */
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
    // Storage is disabled: the choice is kept until the page is closed.
  }
}

export function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
