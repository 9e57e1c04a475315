"""Imports run one way, and the core of the engine starts without Ray or torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Package → packages of this project it may import.
ALLOWED = {
    "record": set(),
    "flat": set(),
    "writing": set(),
    "store": set(),
    "background": set(),
    "metrics": {"record", "spec"},
    "spec": {"record"},
    "pareto": {"record", "spec"},
    "trial": {"record", "metrics", "spec", "store", "aflora"},
    "engine": {"record", "flat", "writing", "spec", "store", "background", "pareto"},
    "tracking": {"record", "flat", "spec", "background", "pareto", "results"},
    "results": {"record", "flat", "writing", "metrics", "spec", "store", "pareto"},
    "console": {"record", "writing", "spec", "pareto", "results"},
}


def imported(path: Path) -> Iterator[str]:
    """Packages of this project that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            parts = name.split(".")
            if parts[0] == "aflora":
                yield "aflora"
            elif parts[0] == "search" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    place = ROOT / "search" / package
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert files
    for file in files:
        wrong = set(imported(file)) - ALLOWED[package] - {package}
        assert not wrong, f"{file} imports {wrong}"


def test_the_method_never_imports_the_search_nor_transformers_but_in_its_callback() -> None:
    for file in (ROOT / "aflora").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "search" not in set(imported(file)), file
        names = {
            line.split()[1] for line in text.splitlines() if line.startswith(("from ", "import "))
        }
        assert "search" not in {name.split(".")[0] for name in names}
        if file.name != "callback.py":
            assert "transformers" not in {name.split(".")[0] for name in names}, file


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("search.engine.core", ["ray", "torch", "mlflow", "transformers"]),
        ("search.console.live", ["plotly", "ray", "torch", "optuna", "mlflow"]),
        ("search.spec", ["ray", "torch", "optuna", "mlflow"]),
        ("search.trial.training", ["ray", "optuna", "mlflow"]),
        ("search.driver", ["mlflow"]),
        ("search.trial.worker", ["sklearn", "scipy.stats", "mlflow", "optuna"]),
        ("search.trial.places", ["torch", "transformers", "datasets", "ray"]),
        ("search.engine.where", ["torch", "optuna", "mlflow", "pandas"]),
        ("aflora", ["transformers", "ray", "optuna", "peft"]),
    ],
)
def test_a_module_starts_without_what_it_must_not_know(module: str, absent: list[str]) -> None:
    code = f"import sys, {module}; print([m for m in {absent!r} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == "[]"
