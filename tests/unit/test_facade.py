"""The front door stays thin: its public methods decide nothing, they name a part and delegate."""

import ast
from pathlib import Path

import pytest

import seawall.manager

FOLDER = Path(seawall.manager.__file__).parent
BRANCHING = (
    ast.If,
    ast.For,
    ast.While,
    ast.AsyncFor,
    ast.Try,
    ast.TryStar,
    ast.With,
    ast.AsyncWith,
)


def methods():
    for path in sorted(FOLDER.glob("*.py")):
        for cls in ast.walk(ast.parse(path.read_text())):
            if isinstance(cls, ast.ClassDef):
                for node in cls.body:
                    function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                    if function and not node.name.startswith("_"):
                        yield pytest.param(node, id=f"{path.stem}.{node.name}")


@pytest.mark.parametrize("method", [*methods()])
def test_facade_method_has_no_branch_of_its_own(method):
    found = [type(node).__name__ for node in ast.walk(method) if isinstance(node, BRANCHING)]
    assert found == [], f"{method.name} needs a part of its own: {found}"
