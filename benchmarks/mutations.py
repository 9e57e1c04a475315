"""Breaks the method in one place at a time and tells which breaks no test notices.

``python -m benchmarks.mutations [FILE …] [--out FILE]``

Each mutant changes one thing in ``aflora``: a comparison, an operator, a number, a condition, or it
leaves one statement out. The tests of the method run against each in a process of its own, without
the slow ones (several processes, compilation). A mutant that survives is a line that could be wrong
without anyone noticing, or one whose change makes no difference.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = ("score", "schedule", "selection", "freezer")
TESTS = ("golden", "score", "schedule", "selection", "freezer", "plain_loop")
TIMEOUT = 180

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, what changed, and the whole changed source."""
    tree = ast.parse(source)
    for node in ast.walk(tree):  # a wrong annotation breaks nothing
        for field in ("annotation", "returns"):
            if getattr(node, field, None) is not None:
                setattr(node, field, ast.Name("object", ast.Load()))
    for number, node in enumerate(ast.walk(tree)):
        for change in range(2):
            other = copy.deepcopy(tree)
            same = next(n for i, n in enumerate(ast.walk(other)) if i == number)
            before = ast.unparse(same) if isinstance(same, ast.expr | ast.stmt) else ""
            if _mutate(other, same, change):
                after = ast.unparse(same) if not isinstance(same, ast.Expr) else "left out"
                line = getattr(node, "lineno", 0)
                yield line, f"{before} → {after}", ast.unparse(ast.fix_missing_locations(other))


def _mutate(tree: ast.Module, node: ast.AST, change: int) -> bool:
    """Change a node in place; False where there is nothing (more) to change."""
    match node:
        case ast.Compare(ops=[operator]) if change == 0:
            node.ops = [_COMPARISONS[type(operator)]()]
        case ast.BinOp() | ast.AugAssign() if change == 0 and type(node.op) in _OPERATORS:
            node.op = _OPERATORS[type(node.op)]()
        case ast.BoolOp() if change == 0:
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp(op=ast.Not()) if change == 0:
            node.op = ast.UAdd()
            node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
        case ast.Constant(value=bool(value)):
            if change:
                return False
            node.value = not value
        case ast.Constant(value=int(value) | float(value)) if change == 0 or value:
            node.value = value + 1 if change == 0 else value * 2
        case ast.If() | ast.IfExp() if change == 0:
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.Expr(value=ast.Call()) if change == 0:
            node.value = ast.Constant(None)
        case _:
            return False
    return True


class _Serve(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a changed source."""

    def __init__(self, name: str, source: str) -> None:
        self._name, self._source = name, source

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, self._name, "exec"), module.__dict__)  # noqa: S102


def noticed(module: str, source: str) -> str | None:
    """What noticed the change: a test, an error, a timeout; None where nothing did."""
    child = os.fork()
    if child == 0:
        sys.meta_path.insert(0, _Serve(module, source))
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        import pytest

        files = [str(ROOT / "tests" / "aflora" / f"test_{name}.py") for name in TESTS]
        chosen = [
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-k",
            "not compiled and not compilation and not processes",
        ]
        os._exit(int(pytest.main([*chosen, *files])))
    began = time.monotonic()
    while True:
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            return None if os.waitstatus_to_exitcode(status) == 0 else "a test"
        if time.monotonic() - began > TIMEOUT:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "a timeout"
        time.sleep(0.05)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("modules", nargs="*", default=DEFAULT, metavar="MODULE")
    parser.add_argument("--out", type=Path, metavar="FILE", help="raw record, as JSON")
    options = parser.parse_args(arguments)
    os.chdir(ROOT)
    # Imported once here and not by every child; what is under test is imported by none.
    import hypothesis
    import peft
    import pytest
    import transformers

    assert all((hypothesis, peft, pytest, transformers.Trainer))
    assert not any(name.startswith("aflora") for name in sys.modules)
    record = []
    for name in options.modules:
        source = (ROOT / "aflora" / f"{name}.py").read_text(encoding="utf-8")
        if (untouched := noticed(f"aflora.{name}", source)) is not None:
            raise SystemExit(f"the tests fail as it is: {untouched}")
        for line, change, mutated in mutants(source):
            by = noticed(f"aflora.{name}", mutated)
            record.append({"module": name, "line": line, "change": change, "noticed_by": by})
            if by is None:
                print(f"aflora/{name}.py:{line}: {change}", flush=True)
        own = [row for row in record if row["module"] == name]
        survivors = sum(row["noticed_by"] is None for row in own)
        print(f"{name}: {len(own)} mutants, {survivors} survive", flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
