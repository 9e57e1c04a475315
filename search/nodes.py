"""Whether all nodes of a cluster run the same program: a mixed one would mix up results."""

from __future__ import annotations

import hashlib
import platform
import tempfile
import uuid
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from search.provenance import PACKAGES
from search.spec.errors import Mistake, SpecError, first_line
from search.store import Store

PROGRAM = "this program"
ANSWER_SECONDS = 120.0
_SHOWN_OF_HASH = 12


def description() -> dict[str, str]:
    """Versions on this node, and a fingerprint of this program's source."""
    found = {"python": platform.python_version(), PROGRAM: fingerprint()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "is missing"
    return found


def fingerprint(root: Path | None = None) -> str:
    """SHA-256 of the source of this program, the first digits: a clone may lack its commit.

    Args:
        root: folder of the packages; by default where this module was loaded from.
    """
    root = root or Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for package in ("aflora", "search"):
        for path in sorted((root / package).rglob("*")):
            if path.suffix in {".py", ".html", ".css", ".js"}:
                digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:_SHOWN_OF_HASH]


def check_nodes() -> None:
    """Compare all nodes of the Ray that is connected with this process.

    Raises:
        SpecError: they differ; with a table of who has what.
    """
    found = {"this process": description()}
    for node in _others():
        described = _of_node(node["NodeID"])
        if described is not None:
            found[node["NodeManagerAddress"]] = described
    told = differences(found)
    if told:
        raise SpecError("the cluster", [Mistake("nodes", f"are not alike\n{told}")])


def check_shared(store: Store) -> None:
    """Have every node look into a run's store: its trials keep their checkpoints there.

    Raises:
        SpecError: a node, or this process, does not reach it.
    """
    probe = f".seen-by-all-{uuid.uuid4().hex}"
    others = _others()
    try:
        with tempfile.NamedTemporaryFile() as empty:
            store.put(Path(empty.name), probe)
        try:
            blind = [
                n["NodeManagerAddress"] for n in others if not _sees(n["NodeID"], store, probe)
            ]
        finally:
            store.delete(probe)
    except OSError as error:
        what = f"cannot be written: {first_line(error)}"
        raise SpecError("the cluster", [Mistake(f"storage {store}", what)]) from None
    if blind:
        what = (
            f"is not reached by {', '.join(blind)}; take one that all nodes reach "
            "(--storage s3://bucket/runs, --storage /shared/runs)"
        )
        raise SpecError("the cluster", [Mistake(f"storage {store}", what)])


def _others() -> list[dict[str, Any]]:
    """Nodes of the cluster, unless this process runs on the only one."""
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    here = ray.get_runtime_context().get_node_id()
    return [] if [node["NodeID"] for node in alive] == [here] else alive


def _sees(node_id: str, store: Store, path: str) -> bool:
    import ray

    try:
        seen: bool = ray.get(
            _on(node_id, Store.is_file).remote(store, path), timeout=ANSWER_SECONDS
        )
    except ray.exceptions.RayError:
        # One that is gone by now need not see anything.
        return not _is_alive(node_id)
    return seen


def _on(node_id: str, function: Callable[..., Any]) -> Any:
    """The function as a task of a node."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    place = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return ray.remote(function).options(num_cpus=0, scheduling_strategy=place, max_retries=0)


def _is_alive(node_id: str) -> bool:
    import ray

    return any(node["NodeID"] == node_id and node["Alive"] for node in ray.nodes())


def _of_node(node_id: str) -> dict[str, str] | None:
    """What a node is; None for one that is gone by now: nothing will run there."""
    import ray

    try:
        answer: dict[str, str] = ray.get(_on(node_id, description).remote(), timeout=ANSWER_SECONDS)
    except ray.exceptions.RayError as error:
        if not _is_alive(node_id):
            return None
        # The program is not installed there, or what it needs is not.
        return {PROGRAM: f"cannot be run: {first_line(error)[:120]}"}
    return answer


def differences(found: Mapping[str, Mapping[str, str]]) -> str:
    """A table of what is not the same everywhere, a line for each node; empty where all is.

    Args:
        found: node → what it has, by name.
    """
    names = dict.fromkeys(name for has in found.values() for name in has)
    differing = [n for n in names if len({has.get(n, "–") for has in found.values()}) > 1]
    if not differing:
        return ""
    rows = [["node", *differing]]
    rows += [[node, *(has.get(name, "–") for name in differing)] for node, has in found.items()]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
