"""Imports run one way: ARCHITECTURE.md's ranks, walked over every module, functions included."""

from __future__ import annotations

import ast
from pathlib import Path

import osler

PACKAGE = Path(osler.__file__).resolve().parent
#: A part may import only parts of a lower rank.
RANK = {
    **{
        "errors": 0,
        "units": 1,
        "cells": 1,
        "outputs": 1,
        "config": 2,
        "engine": 2,
        "readers": 2,
        "survival": 2,
        "vision": 2,
    },
    **{"cohort": 3, "evaluation": 3},
    **{"features": 4, "models": 5, "planning": 6, "tuning": 6, "forecasting": 6, "fitting": 7, "reporting": 7},
    **{
        "cross_validation": 8,
        "diagnosis": 8,
        "optimism": 8,
        "importance": 9,
        "judging": 8,
        "external": 8,
        "provenance": 8,
        "scoring": 8,
        "study": 10,
        "schemas": 10,
    },
    **{"terminal": 11, "cli": 12, "__init__": 13, "__main__": 13},
}


def _modules() -> dict[str, Path]:
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(("osler", *parts))
        names[name.removesuffix(".__init__")] = path
    return names


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    stack: list[ast.AST] = [ast.parse(path.read_text())]
    while stack:
        node = stack.pop()
        if _is_type_checking(node):
            stack.extend(node.orelse)  # type: ignore[attr-defined]
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
        stack.extend(ast.iter_child_nodes(node))
    return {name for name in found if name == "osler" or name.startswith("osler.")}


def _part(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def test_every_module_has_a_rank():
    assert {_part(name) for name in _modules()} <= set(RANK)


def test_no_upward_or_sideways_arrow():
    modules = _modules()
    wrong = []
    for name, path in modules.items():
        for target in _imports(path) & set(modules):
            mine, theirs = _part(name), _part(target)
            if mine != theirs and RANK[mine] <= RANK[theirs]:
                wrong.append(f"{name} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_no_cycle_between_modules():
    modules = _modules()
    graph = {name: (_imports(path) & set(modules)) - {name} for name, path in modules.items()}
    done: set[str] = set()
    while len(done) < len(graph):
        ready = {name for name, needs in graph.items() if name not in done and needs <= done}
        assert ready, f"import cycle among {sorted(set(graph) - done)}"
        done |= ready


def test_the_walk_sees_imports_inside_functions(tmp_path):
    source = tmp_path / "module.py"
    source.write_text("def f():\n    from osler.cli import main\n    return main\n")
    assert "osler.cli" in _imports(source)
