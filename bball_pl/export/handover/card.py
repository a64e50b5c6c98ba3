"""MODEL_CARD.md: origin, figures, data, files and limits of a model, for whoever decides about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bball_pl.evaluate.metrics import rejection_sentence
from bball_pl.evaluate.origin import Origin
from bball_pl.evaluate.relabelled import relabelling_sentence
from bball_pl.export.handover.device import DeviceRecord
from bball_pl.export.handover.readme import unsure_below
from bball_pl.export.handover.resizing import FilterCost
from bball_pl.export.metadata import CROP_POLICY, About, Interface
from bball_pl.files import write_text
from bball_pl.model.twin import HALF, TWIN
from bball_pl.moves import NO_MOVE, display_name
from bball_pl.photos.photos_csv import read_photos_csv
from bball_pl.verify.parity import FileParity


def write_card(
    path: Path,
    about: About,
    interface: Interface,
    files: Sequence[FileParity],
    data: dict[str, Any],
    origin: Origin,
    costs: Sequence[FilterCost],
    devices: Sequence[DeviceRecord] = (),
) -> None:
    """Write `MODEL_CARD.md` atomically: origin, figures, data, files and limits of a model.

    Args:
        path: the file.
        about: facts of the model.
        interface: names of the features, and the labels.
        files: the exported files, compared with the trained model.
        data: the training dataset, as in `TrainedModel`; may be empty.
        origin: rendered scenes among the photos.
        costs: answers to photos resized with other filters.
        devices: measurements of the files on devices.
    """
    spec = about.spec
    lines = [
        "# Model card: BasketballMoves",
        "",
        *(line for sentence in origin.lines() for line in (f"**{sentence}**", "")),
        f"{about.description} Made with bball_pl {about.user_defined()['bball_pl.version']}.",
        "",
        "| | |",
        "|---|---|",
        f"| author | {_cell(about.author)} |",
        f"| licence | {_cell(about.licence)} |",
        f"| trained | {about.trained} |",
        f"| network | {_network(about.backbone)}, temperature {about.temperature:.3f} |",
        f"| answers | {', '.join(map(_cell, interface.labels))} |",
        f"| input `{interface.image}` | RGB photo, {spec.size} × {spec.size}, 0–255 |",
        f"| outputs | `{interface.label}`, `{interface.probabilities}` |",
        f"| photos that are not square | {spec.fit}; for Vision: `.{CROP_POLICY[spec.fit]}` |",
        f'| "unsure" | {unsure_below(about)} |',
        "",
        "## Accuracy",
        "",
        f"Accuracy on test photos: {about.test_accuracy}.",
        "",
        *_figures(about),
        "## Data",
        "",
        *_data(data, origin),
        "## Files and their proof",
        "",
        f"Every file was read back from disk and run on {'rendered scenes' if origin.tested == 1 else 'test photos'}, "
        "and its answers compared with the trained model's.",
        "",
        "| file | MB | run with | largest difference | same answers | accuracy on these photos | verdict |",
        "|---|---:|---|---:|---:|---:|---|",
        *(
            f"| {file.name} | {file.megabytes:.1f} | {file.engine} | {file.largest_difference:.1e} | "
            f"{file.same_answers:.1%} | {file.accuracy:.1%} | {'proven' if file.passed else 'REFUSED'} |"
            for file in files
        ),
        "",
        *_devices(devices),
        "## What resizing costs",
        "",
        *_resizing(about, costs, devices),
        "## Limits",
        "",
        *_limits(about, origin),
        "",
    ]
    write_text(path, "\n".join(lines))


def _limits(about: About, origin: Origin) -> list[str]:
    if NO_MOVE.name in about.class_names:
        other = f"Any other photo should get the answer {NO_MOVE.name}, but may get a move."
    else:
        other = 'For any other photo it still answers one of them; the threshold of "unsure" catches a part of these.'
    lines = [f"- It tells the moves that it was trained on apart, and nothing else. {other}"]
    if origin.rendered_only:
        lines.append(
            "- Nothing is known of how it answers real photos. Train and test it on photos of your league first."
        )
    else:
        lines.append(
            "- Its figures are valid for photos like those of its test set: the same leagues, gyms and cameras. Test "
            "it again for another league."
        )
    lines.append(
        "- It must not be used to identify people, to judge players, or for anything that has consequences for anyone."
    )
    if not origin.rendered_only:
        lines.append(
            "- The people in the photos: a licence for a photo is not the consent of its subjects. Ask the players, "
            "and for minors their parents, before training on their photos or publishing a model trained on them."
        )
    return lines


_COMPUTE = {
    "cpuOnly": "CPU",
    "cpuAndGPU": "CPU and GPU",
    "cpuAndNeuralEngine": "CPU and Neural Engine",
    "all": "all",
}


def _devices(devices: Sequence[DeviceRecord]) -> list[str]:
    if not devices:
        return [
            "Not covered: the arithmetic of the Neural Engine, faults of Core ML, and resizing by Vision. "
            "`swift parity_kit/check.swift` measures all three on a Mac, and `bball export --device device.json` puts "
            "its figures here.",
            "",
        ]
    lines = ["## Measured on devices", ""]
    for record in devices:
        lines += [
            f"{_cell(record.device)}, {_cell(record.system)}, {record.date.isoformat()}: `{_cell(record.file)}`, "
            f"{record.photos} photos, tolerance {record.tolerance:.3f}.",
            "",
            "| units | verdict | largest difference | same answers | with Vision | same answers | first load, ms | "
            "later load, ms | median, ms | 95 %, ms | thermal state |",
            "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
            *(
                f"| {_COMPUTE[run.compute]} | {'pass' if run.passed else 'FAIL'} | {run.largest_difference:.1e} | "
                f"{run.same_answers:.1%} | {_known(run.vision_largest_difference, '.3f')} | "
                f"{_known(run.vision_same_answers, '.1%')} | {run.cold_ms:.0f} | {run.warm_ms:.0f} | "
                f"{run.p50_ms:.1f} | {run.p95_ms:.1f} | {run.thermal} |"
                for run in record.runs
            ),
            "",
        ]
    return [
        *lines,
        "Verdict and first difference: photos of the network's size. With Vision: the original photos, resized by it. "
        "Median and 95 %: one answer to a decoded photo.",
        "",
    ]


def _known(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _resizing(about: About, costs: Sequence[FilterCost], devices: Sequence[DeviceRecord]) -> list[str]:
    spec, photos = about.spec, costs[0].photos
    measured = [run for record in devices for run in record.runs if run.vision_largest_difference is not None]
    known = (
        f"On the devices above Vision changed a probability by at most "
        f"{max(run.vision_largest_difference or 0 for run in measured):.3f}."
        if measured
        else "`swift parity_kit/check.swift` measures what Vision really does: run it on a Mac."
    )
    return [
        f"The network was trained with {spec.interpolation} resizing with antialiasing. {photos} photos of the "
        f"proof resized to {spec.size} × {spec.size} with other filters, and what changed in the model's answers:",
        "",
        "| filter | antialiasing | largest difference | same answers | accuracy on these photos |",
        "|---|---|---:|---:|---:|",
        *(
            f"| {cost.filter}{' (as trained)' if cost.trained else ''} | {'yes' if cost.antialiased else 'no'} | "
            f"{cost.largest_difference:.1e} | {cost.same_answers:.1%} | {cost.accuracy:.1%} |"
            for cost in costs
        ),
        "",
        "Apple does not document the filter of Vision. vImage, Apple's library for scaling, uses a Lanczos filter with "
        f"antialiasing by default; so a row with antialiasing is expected, but that is no measurement. {known}",
        "",
    ]


def _figures(about: About) -> list[str]:
    if about.test is None:
        return [
            "No figures of `bball evaluate` belong to this checkpoint. Run it on your photos, then export again.",
            "",
        ]
    rows = [
        f"| {_cell(display_name(name))} | {figures['precision']:.3f} | {figures['recall']:.3f} | {figures['f1']:.3f} | "
        f"{figures['support']} |"
        for name, figures in about.test["per_class"].items()
    ]
    # Figures of an older version have no such entry.
    rejected = about.test.get("rejection")
    sentence = [f"What it rejects: {rejection_sentence(rejected)}", ""] if rejected else []
    if relabelled := about.test.get("relabelled"):
        sentence = [f"**{relabelling_sentence(relabelled)}**", "", *sentence]
    return ["| class | precision | recall | F1 | photos |", "|---|---:|---:|---:|---:|", *rows, "", *sentence]


def _data(data: dict[str, Any], origin: Origin) -> list[str]:
    if not data and origin.trained == 1:
        return [
            "Rendered scenes of the teaching court, made by `bball pretrain`. No photo of a person is among them.",
            "",
        ]
    if not data:
        return ["The checkpoint does not name its training dataset.", ""]
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
    if scenes := data.get("scenes"):
        lines += [f"Beside them it learnt the class {NO_MOVE.name} from {scenes} rendered scenes without a move.", ""]
    table = Path(data["root"]) / "photos.csv"
    records = read_photos_csv(table) if table.is_file() else []
    licences = Counter(record.licence or "not recorded" for record in records)
    if licences:
        listed = ", ".join(f"{_cell(licence)} ({count})" for licence, count in licences.most_common())
        lines += [f"Licences of the photos: {listed}.", ""]
    else:
        lines += ["Origin and licences of the photos are not recorded (no photos.csv).", ""]
    return lines


def _network(backbone: str) -> str:
    return f"two {HALF} (timm) before one head" if backbone == TWIN else f"{backbone} (timm)"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
