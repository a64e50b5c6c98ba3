"""What the tests read of the app's Swift files: syntax trees, stored properties, texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import tree_sitter_swift
from tree_sitter import Language, Node, Parser

from helpers.fit_runs import ROOT

IOS = ROOT / "ios"
APP = IOS / "BasketballMoves.swiftpm"
VECTORS = APP / "Tests" / "vectors.json"

_PARSER = Parser(Language(tree_sitter_swift.language()))


def swift_files() -> list[Path]:
    """All Swift files of the app, manifests and tests included, but nothing that SwiftPM built."""
    found = [path for path in IOS.rglob("*.swift") if ".build" not in path.relative_to(IOS).parts]
    return sorted(found)


def app_files() -> list[Path]:
    """The files that are compiled into the app."""
    left_out = {"Tests", "Package.swift"}
    return [path for path in swift_files() if APP in path.parents and path.relative_to(APP).parts[0] not in left_out]


@lru_cache
def tree(path: Path) -> Node:
    """The root of a file's syntax tree."""
    return _PARSER.parse(path.read_bytes()).root_node


def tree_of(code: str) -> Node:
    """The root of the syntax tree of some code."""
    return _PARSER.parse(code.encode()).root_node


def text(node: Node) -> str:
    """The source of a node."""
    return (node.text or b"").decode()


def walk(node: Node) -> Iterator[Node]:
    """A node and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def of_type(node: Node, kind: str) -> list[Node]:
    """The nodes of one type, in the order of the source."""
    return [found for found in walk(node) if found.type == kind]


def argument_label(literal: Node) -> str | None:
    """The label of the argument that a literal is, `systemImage` say; None if it has none."""
    argument = _argument(literal)
    label = argument.child_by_field_name("name") if argument is not None else None
    return text(label) if label is not None else None


def call_of(literal: Node) -> str | None:
    """What is called with a literal as one of its arguments; None if it is no argument."""
    node = literal.parent if literal.parent is not None and literal.parent.type == "attribute" else _argument(literal)
    while node is not None and node.type not in {"call_expression", "attribute"}:
        node = node.parent
    return None if node is None else text(node).lstrip("@").split("(")[0]


def _argument(literal: Node) -> Node | None:
    node = literal.parent
    # In `isRight ? "a" : "b"` both are the argument.
    while node is not None and node.type in {"ternary_expression", "nil_coalescing_expression"}:
        node = node.parent
    return node if node is not None and node.type == "value_argument" else None


def literals(path: Path) -> list[Node]:
    """The string literals of a file; in an interpolation the outer one only."""
    return of_type(tree(path), "line_string_literal") + of_type(tree(path), "multi_line_string_literal")


def value(literal: Node) -> str:
    """A literal's content, escapes as written."""
    return text(literal)[1:-1]


def code(path: Path) -> str:
    """A file's source without its comments."""
    source = path.read_bytes()
    for node in of_type(tree(path), "comment") + of_type(tree(path), "multiline_comment"):
        source = source[: node.start_byte] + b" " * (node.end_byte - node.start_byte) + source[node.end_byte :]
    return source.decode()


def stored_properties(path: Path) -> dict[str, dict[str, str]]:
    """The stored properties of each struct of a file: name and type as written."""
    structs = {}
    for declaration in of_type(tree(path), "class_declaration"):
        body = declaration.child_by_field_name("body")
        name = declaration.child_by_field_name("name")
        if body is None or name is None or text(declaration).split()[0] != "struct":
            continue
        structs[text(name)] = {
            text(property_name): text(kind.named_children[-1])
            for member in body.named_children
            if member.type == "property_declaration" and "static" not in text(member).split("=")[0].split()
            if member.child_by_field_name("computed_value") is None
            for property_name in [member.child_by_field_name("name")]
            for kind in [found for found in member.named_children if found.type == "type_annotation"]
            if property_name is not None
        }
    return structs


def contract_keys() -> dict[str, Any]:
    """What the app decodes of ModelContract.json: key and type; a tuple of one is optional, a list of one an array."""
    return decoded_keys("ModelContract")


def decoded_keys(struct: str) -> dict[str, Any]:
    """What the app decodes for a struct of Model/ that has a file of its own, as in `contract_keys`."""
    structs = stored_properties(APP / "Model" / f"{struct}.swift")

    def keys(kind: str) -> Any:
        if kind.endswith("?"):
            inner = kind[:-1]
            return (keys(inner),) if inner in structs else kind
        if kind.startswith("[") and ":" not in kind and kind[1:-1] in structs:
            return [keys(kind[1:-1])]
        return {name: keys(inner) for name, inner in structs[kind].items()} if kind in structs else kind

    return dict(keys(struct))


def strings_table(language: str, name: str = "Localizable") -> dict[str, str]:
    """A table of texts; every line has to be a pair, a comment or empty, and no key may stand there twice."""
    path = APP / "Resources" / "Strings" / f"{language}.lproj" / f"{name}.strings"
    table: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or re.fullmatch(r"/\*.*\*/", line):
            continue
        pair = re.fullmatch(r'"((?:[^"\\]|\\.)+)" = "((?:[^"\\]|\\.)*)";', line)
        assert pair, f"{path.name}: {line}"
        assert pair[1] not in table, f"{path.name}: {pair[1]} twice"
        table[pair[1]] = pair[2]
    return table
