"""The sentences of other modules that the coach's page of a report repeats, in Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bball_pl.evaluate.metrics import SURE
from bball_pl.evaluate.origin import Origin


def origin_lines(origin: Origin) -> list[str]:
    """Return the sentences on rendered scenes of `Origin.lines`."""
    if origin.rendered_only:
        return ["訓練和測試用的都是電腦繪製的場景：這個模型沒看過任何真實照片，它的數字不能代表真實照片。"]
    lines = []
    if origin.trained == 1:
        lines.append("用電腦繪製的場景訓練：訓練照片裡沒有真實照片。")
    elif origin.trained > 0:
        lines.append(f"訓練用的照片有 {origin.trained:.0%} 是電腦繪製的場景。")
    if origin.tested == 1:
        lines.append("用電腦繪製的場景測試：這些數字不能代表真實照片。")
    elif origin.tested > 0:
        lines.append(f"測試照片有 {origin.tested:.0%} 是電腦繪製的場景。")
    return lines


def relabelling_sentence(figures: Mapping[str, Any]) -> str:
    """Return the figures of `relabelling` in words."""
    low, high = figures["accuracy_ci95"]
    parts = [
        (figures["changed"], f"改了 {figures['changed']} 張照片的標籤（其中 {figures['agreeing']} 張改成模型的答案）"),
        (
            figures["quarantined"],
            f"移出 {figures['quarantined']} 張照片（其中 {figures['quarantined_errors']} 張模型的答案與標籤不同）",
        ),
    ]
    done = "，".join(text for number, text in parts if number)
    return (
        f"模型訓練之後，{done}。依修改前的標籤，{figures['n']} 張照片的準確率是 {figures['accuracy']:.1%}"
        f"（95 % 區間 {low:.1%}–{high:.1%}）。"
    )


def rejection_sentence(figures: Mapping[str, Any]) -> str:
    """Return the figures of `rejection` in words."""
    lost = f"{figures['moves']} 張有動作的照片裡，{figures['moves_called_none']} 張被答成「無動作」"
    if not figures["none"]:
        return f"{lost}；這些照片都有動作，所以沒有測到它會不會把別的照片擋下來。"
    kept = f"{figures['none']} 張沒有動作的照片裡，{figures['none_called_none']} 張答成「無動作」"
    sure = f"{figures['none_sure']} 張以 {SURE:.0%} 以上的信心答成某個動作"
    return f"{kept}，{sure}。" if not figures["moves"] else f"{kept}，{sure}；{lost}。"
