// Texts of Games.

export const strings = {
  en: {
    heading: "Which photos are of one game?",
    why: "Photos of one game share players and hall. A split keeps them together, so that no test photo has a twin in training; for that it has to know which game a photo is of. These proposals go by the colours of hall and jerseys: look, untick what does not belong, and decide.",
    counts: "{named} of {n} photos in {inbox} name a game.",
    none: "There is nothing to propose: no three photos without a game have the same colours.",
    proposal: "{n} photos", more: "{n} more proposals follow when these are decided.",
    belongs: "Photos of this game", yes: "One game", no: "Not one game", undo: "Undo",
    accepted: "{n} photos are of one game.", refused: "Refused; it is not proposed again.", undone: "Undone.",
    game: "Name of the game (proposals with the same name are joined)",
    few: "Tick two photos or more.", again: "Look for more",
  },
  "zh-Hant": {
    heading: "哪些照片是同一場比賽？",
    why: "同一場比賽的照片有相同的球員和球場。劃分資料集時會把它們放在同一邊，免得訓練資料裡有和測試照片幾乎一樣的照片；所以要知道照片屬於哪一場。這些建議依球場和球衣的顏色而來：請逐張看過，把不屬於這一場的取消勾選，再決定。",
    counts: "{inbox} 的 {n} 張照片中，{named} 張有比賽名稱。",
    none: "沒有建議：未註明比賽的照片裡，找不到三張以上顏色相近的。",
    proposal: "{n} 張照片", more: "決定之後還有 {n} 個建議。",
    belongs: "這一場的照片", yes: "同一場比賽", no: "不是同一場", undo: "復原",
    accepted: "{n} 張照片是同一場比賽。", refused: "已拒絕，不會再建議。", undone: "已復原。",
    game: "比賽名稱（名稱相同的建議會合併）",
    few: "請勾選兩張以上。", again: "尋找更多",
  },
};
