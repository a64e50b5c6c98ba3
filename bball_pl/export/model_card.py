"""MODEL_CARD.md: what a model is, what it was trained on, how good it is, and its limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bball_pl.export.metadata import CROP_POLICY, About, Interface
from bball_pl.files import write_text
from bball_pl.moves import display_name
from bball_pl.photos.photos_csv import read_photos_csv
from bball_pl.verify.parity import FileParity

_LIMITS = (
    "- It tells the moves that it was trained on apart, and nothing else. Shown something else it still answers one of "
    'them; the threshold of "unsure" catches a part of that.',
    "- Its figures hold for photos like those of its test set: the same leagues, gyms and cameras. Another league "
    "wants a test of its own.",
    "- It must not be used to identify people, to judge players, or for anything that has consequences for anyone.",
    "- The people in the photos: a licence for a photo is not the consent of who is in it. Ask the players, and for "
    "minors their parents, before training on their photos or publishing a model trained on them.",
)


def write_card(
    path: Path, about: About, interface: Interface, files: Sequence[FileParity], data: dict[str, Any]
) -> None:
    """Write the card as Markdown, whole or not at all.

    Args:
        path: the file.
        about: the facts.
        interface: names of the features, and the labels.
        files: what was exported, and how it compares with the trained model.
        data: what the checkpoint says of its dataset: `root, counts, groups, sha256`; may be empty.
    """
    spec = about.spec
    lines = [
        "# Model card: BasketballMoves",
        "",
        f"{about.description} Made with bball_pl {about.user_defined()['bball_pl.version']}.",
        "",
        "| | |",
        "|---|---|",
        f"| author | {_cell(about.author)} |",
        f"| licence | {_cell(about.licence)} |",
        f"| trained | {about.trained} |",
        f"| network | {about.backbone} (timm), temperature {about.temperature:.3f} |",
        f"| answers | {', '.join(map(_cell, interface.labels))} |",
        f"| input `{interface.image}` | RGB photo, {spec.size} × {spec.size}, 0–255 |",
        f"| outputs | `{interface.label}`, `{interface.probabilities}` |",
        f"| photos that are not square | {spec.fit}; for Vision: `.{CROP_POLICY[spec.fit]}` |",
        f'| "unsure" below | {_threshold(about)} |',
        "",
        "## How good it is",
        "",
        f"Accuracy on test photos: {about.test_accuracy}.",
        "",
        *_figures(about),
        "## Data",
        "",
        *_data(data),
        "## Files, and how they answer",
        "",
        "Every file was read back from disk and shown real photos; its answers were held against the trained model's.",
        "",
        "| file | MB | run with | largest difference | same answers | accuracy on these photos | verdict |",
        "|---|---:|---|---:|---:|---:|---|",
        *(
            f"| {file.name} | {file.megabytes:.1f} | {file.engine} | {file.largest_difference:.1e} | "
            f"{file.same_answers:.1%} | {file.accuracy:.1%} | {'proven' if file.passed else 'REFUSED'} |"
            for file in files
        ),
        "",
        "What this cannot see: the arithmetic of the Neural Engine, faults of Core ML itself, and how Vision resizes. "
        "`parity_kit/` checks the first two on a Mac.",
        "",
        "## Limits",
        "",
        *_LIMITS,
        "",
    ]
    write_text(path, "\n".join(lines))


def _threshold(about: About) -> str:
    if about.threshold is None:
        return "no threshold is known; show the probability"
    return f"a probability of {about.threshold:.2f}" if about.threshold > 0 else "never: validation asked for none"


def _figures(about: About) -> list[str]:
    if about.test is None:
        return ["No figures were found for this checkpoint: run scripts/evaluate.py, then export again.", ""]
    rows = [
        f"| {_cell(display_name(name))} | {figures['precision']:.3f} | {figures['recall']:.3f} | {figures['f1']:.3f} | "
        f"{figures['support']} |"
        for name, figures in about.test["per_class"].items()
    ]
    return ["| class | precision | recall | F1 | photos |", "|---|---:|---:|---:|---:|", *rows, ""]


def _data(data: dict[str, Any]) -> list[str]:
    if not data:
        return ["The checkpoint does not say what it was trained on.", ""]
    names = data["class_names"]
    lines = [
        f"| split | {' | '.join(_cell(name) for name in names)} | groups |",
        f"|---|{'---:|' * (len(names) + 1)}",
        *(
            f"| {split} | {' | '.join(str(counts[name]) for name in names)} | {data['groups'].get(split, 0) or '–'} |"
            for split, counts in data["counts"].items()
        ),
        "",
        f"SHA-256 over names, classes and contents: `{data['sha256']}`.",
        "",
    ]
    table = Path(data["root"]) / "photos.csv"
    records = read_photos_csv(table) if table.is_file() else []
    licences = Counter(record.licence or "not recorded" for record in records)
    if licences:
        listed = ", ".join(f"{_cell(licence)} ({count})" for licence, count in licences.most_common())
        lines += [f"Licences of the photos: {listed}.", ""]
    else:
        lines += ["Where the photos come from and under which licence is not recorded (no photos.csv).", ""]
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
