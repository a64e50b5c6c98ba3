"""The declarations of Apple's frameworks under ios/Stubs/, as symbols with the module that each is of."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from tree_sitter import Node

from helpers.ios_swift import IOS, text, tree

STUBS = IOS / "Stubs"
VERSIONS = STUBS / "versions.csv"
#: What a stub has besides Apple's symbols: declarations that stand for many of Apple's, or make the rest compile.
OF_STUBS = {
    "PrimitiveView", "ModifiedContent", "KeyValueObserving", "IntentResultContainer", "_ChangedGesture", "Publisher",
    "ButtonStyleOfApple", "PickerStyleOfApple", "TextFieldStyleOfApple", "TextSelectabilityOfApple",
    "UIViewRepresentableContext", "ObservableObjectPublisher",
}  # fmt: skip


def module_of(path: Path) -> str:
    """The module that a file is compiled into."""
    return {"SwiftUIModifiers": "SwiftUI"}.get(path.stem, path.stem)


def symbols() -> set[tuple[str, str]]:
    """Every public declaration of the stubs: module, and name with the types around it and the labels."""
    return {
        (module_of(path), name)
        for path in STUBS.glob("*.swift")
        for name in _declared(tree(path), "")
        if not OF_STUBS & set(name.replace("(", ".").split("."))
    }


def _declared(node: Node, around: str) -> Iterator[str]:
    for child in node.named_children:
        kind = child.type
        if kind in {"class_declaration", "protocol_declaration"}:
            name_node = child.child_by_field_name("name")
            assert name_node is not None, text(child)[:60]
            name = f"{around}{text(name_node).split('<')[0]}"
            if text(child).split("{")[0].split("extension")[0].strip() or "extension" not in text(child).split("{")[0]:
                yield name
            body = child.child_by_field_name("body")
            if body is not None:
                yield from _declared(body, f"{name}.")
        elif kind in {"function_declaration", "protocol_function_declaration", "init_declaration"}:
            yield f"{around}{_called(child)}"
        elif kind in {"property_declaration", "protocol_property_declaration"}:
            pattern = child.child_by_field_name("name")
            if pattern is not None:
                yield f"{around}{text(pattern).removeprefix('var ')}"
        elif kind == "enum_entry":
            yield from (f"{around}{text(entry)}" for entry in child.children_by_field_name("name"))
        elif kind in {"typealias_declaration", "associatedtype_declaration"}:
            pattern = child.child_by_field_name("name")
            if pattern is not None and kind == "typealias_declaration":
                yield f"{around}{text(pattern)}"


def _called(node: Node) -> str:
    name = node.child_by_field_name("name")
    called = "init" if node.type == "init_declaration" or name is None else text(name).strip("`")
    labels = []
    for parameter in (child for child in node.named_children if child.type == "parameter"):
        label = parameter.child_by_field_name("external_name") or parameter.child_by_field_name("name")
        labels.append("_" if label is None else text(label))
    return f"{called}({''.join(f'{label}:' for label in labels)})"


def versions() -> dict[tuple[str, str], float]:
    """The first version of iOS of each symbol, as the table has it."""
    with VERSIONS.open(encoding="utf-8", newline="") as file:
        return {(row["module"], row["symbol"]): float(row["ios"]) for row in csv.DictReader(file)}
