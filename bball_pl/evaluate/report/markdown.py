"""A report as Markdown for GitHub: the same figures in tables, without charts and pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bball_pl.evaluate.report.content import Content, class_rows
from bball_pl.evaluate.report.remarks import (
    DEFINITIONS,
    NONE,
    about_left_out,
    about_slices,
    counted,
    decimal_interval,
    decimals,
    percent,
    percents,
    points,
    signed,
    thousands,
)

#: Whatever could begin markup, HTML, an entity, a formula, a mention or a link, bare addresses included.
_SPECIAL = re.compile(r"[\\`*_\[\]<>#|~&$@]|:(?=//)|(?<=www)\.|^(?=[-+=])")


def render_markdown(content: Content) -> str:
    """Return the report."""
    parts = [
        f"# Evaluation of {text(content.title)} on the split “{text(content.evaluation.split)}”",
        f"**{text(content.findings.verdict)}**",
        _table(["figure", "value", "note"], [[tile.label, tile.value, tile.note] for tile in content.tiles]),
    ]
    for heading, lines in (
        ("What is good", content.findings.good),
        ("What is wrong", content.findings.wrong),
        ("What to do next", content.findings.advice),
    ):
        parts += [f"## {heading}", _bullets(lines) if lines else "Nothing stands out."]
    if content.beside is not None:
        parts += ["## Beside the result of 2018", text(content.beside.remark)]
        parts.append(_table(content.beside.head, content.beside.rows))
    parts += [*_confusions(content), *_errors(content), *_confidence(content), *_learning(content), *_slices(content)]
    parts += [*_facts(content), "## What the words mean"]
    parts.append("\n".join(f"- **{text(word)}**: {text(meaning)}" for word, meaning in DEFINITIONS))
    page = "\n\n".join(parts) + "\n"
    return page.encode("utf-8", "replace").decode("utf-8")


def text(raw: str) -> str:
    """Escape a text on one line: whatever is in it, it is shown as it is."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(raw.split()))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is text and whose others are figures or text as they come."""
    lines = [head, *rows]
    written = [f"| {' | '.join(text(cell) for cell in line)} |" for line in lines]
    written.insert(1, f"|{' --- |' * len(head)}")
    return "\n".join(written)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {text(line)}" for line in lines)


def _code(command: str) -> str:
    # Longer than any run of backticks inside, so that nothing in the command can end it.
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", command)), default=0))
    return f"{fence}sh\n{command}\n{fence}"


def _confusions(content: Content) -> list[str]:
    names = content.names
    matrix = []
    for name, row in zip(names, content.matrix.tolist(), strict=True):
        total = sum(row)
        cells = [f"{thousands(count)} ({percent(count / total)})" if total else "0" for count in row]
        matrix.append([name, *cells, thousands(total)])
    figures = []
    for own in class_rows(content):
        recall = f"{percent(own.recall)} ({percents(own.recall_interval)})" if own.support else NONE
        precision = f"{percent(own.precision)} ({percents(own.precision_interval)})" if own.said else NONE
        f1 = f"{decimals(own.f1)} ({decimal_interval(own.f1_interval)})" if own.support else NONE
        figures.append([own.name, thousands(own.support), recall, precision, f1, own.taken])
    return [
        "## What is taken for what",
        "A row for each class in the labels, a column for each answer: photos, and their share of the row.",
        _table(["label, answer", *names, "photos"], matrix),
        "### Class by class",
        _table(["class", "photos", "recall", "precision", "F1", "most often taken for"], figures),
    ]


def _errors(content: Content) -> list[str]:
    answers, chosen, names = content.evaluation.answers, content.selection, content.names
    errors_left, doubtful_left = about_left_out(chosen, content.evaluation.split)

    def rows(wanted: Sequence[int]) -> list[list[str]]:
        return [
            [
                answers.paths[row],
                names[answers.targets[row]],
                names[answers.predicted[row]],
                percent(float(answers.confidence[row])),
                signed(float(answers.label_margin[row]), 2),
            ]
            for row in wanted
        ]

    head = ["photo", "label", "answer", "confidence", "margin of the label"]
    parts = ["## Errors, the most confident first"]
    if chosen.errors:
        remark = f"{thousands(chosen.all_errors)} of {counted(len(answers), 'photo')} answered wrongly. {errors_left}"
        parts += [text(remark), _table(head, rows(chosen.errors))]
    else:
        parts.append("There are none on this split.")
    parts.append("## Photos whose label is most doubtful")
    if chosen.doubtful:
        parts.append(
            "The model is confident of another class than the label. That is the model’s doubt and no proof: a person "
            "has to look."
        )
        parts += [_table(head, rows(chosen.doubtful)), *([text(doubtful_left)] if doubtful_left else [])]
    else:
        parts.append("None: nowhere is the model confident of another class than the label.")
    return parts


def _confidence(content: Content) -> list[str]:
    bins = [
        [
            percents([own.low, own.high]),
            thousands(own.n),
            percent(own.confidence),
            percent(own.accuracy),
            percents(own.interval),
        ]
        for own in content.after
    ]
    return [
        "## How far its confidence can be believed",
        *(text(line) for line in content.unsure),
        _table(["on this split", "before temperature scaling", "after"], content.probability),
        _table(["confidence", "answers", "mean confidence", "right", "95 % interval"], bins),
    ]


def _learning(content: Content) -> list[str]:
    parts = ["## How it learned", *(text(line) for line in content.learning)]
    if content.curves is not None:
        curves = content.curves.curves
        rows = []
        for epoch in range(1, content.curves.last_epoch + 1):
            shares = [curves[tag].at(epoch) for tag in ("train/acc", "val/acc", "gap/acc")]
            losses = [curves[tag].at(epoch) for tag in ("train/loss_epoch", "val/loss", "gap/loss")]
            rows.append([str(epoch), *(percent(share) for share in shares[:2]), points(shares[2])])
            rows[-1] += [decimals(loss) for loss in losses]
        head = ["epoch", "training accuracy", "validation accuracy", "gap", "training loss", "validation loss", "gap"]
        parts.append(_table(head, rows))
    return parts


def _slices(content: Content) -> list[str]:
    parts = ["## Where the photos come from"]
    overall = content.evaluation.metrics["accuracy_ci95"]
    for what, cut in (("source", content.sources), ("group", content.groups)):
        parts.append(f"### By {what}")
        remark = about_slices(cut, what, overall)
        rows = [
            [label, thousands(part.n), thousands(part.right), percent(part.accuracy), percents(part.interval)]
            for label, part, _ in cut.labelled()
        ]
        parts.append(text(remark) if remark else _table([what, "photos", "right", "accuracy", "95 % interval"], rows))
    return parts


def _facts(content: Content) -> list[str]:
    facts = content.facts
    parts = ["## Facts"]
    for what, command in facts.commands:
        parts += [text(what), _code(command)]
    parts.append("### Dataset and split")
    if facts.counts:
        parts.append(_table(facts.counts[0], facts.counts[1:]))
    else:
        parts.append("The checkpoint does not say which dataset it learned from.")
    parts.append(_table(["what was measured", ""], facts.dataset))
    parts.append("### Settings")
    parts.append(_table(["config.yaml, in part", ""], facts.settings) if facts.settings else "There is no config.yaml.")
    parts.append(_table(["version of", ""], facts.versions))
    return parts
