"""Several runs side by side: what ``search.report`` does with more than one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search.engine.runs import Run
from search.record import StudyRecord
from search.results.overlay import NamedRun, Overlay, overlay_runs
from search.results.overlay_page import is_overlay_page
from search.spec import SpecError

PAGE = "comparison.html"


def check_page(path: Path) -> None:
    """Raise ValueError where a page of runs side by side would replace something else."""
    if path.is_dir():
        raise ValueError(f"--out {path}: is a folder; name a file")
    if path.exists() and not is_overlay_page(path):
        raise ValueError(
            f"--out {path}: is there and no page of runs side by side; it is left as it is, "
            "name another file with --out"
        )


def read_runs(roots: Sequence[Path]) -> tuple[list[NamedRun], list[Overlay]]:
    """Read runs that are to be laid over one another; writes nothing.

    Args:
        roots: their directories, at least two.

    Raises:
        ValueError: two are the same directory, one holds no run, or they cannot be compared; it
            is told which and why.
    """
    places: dict[Path, Path] = {}
    for root in roots:
        if (before := places.setdefault(root.resolve(), root)) is not root:
            same = "twice" if before == root else f"the same directory as {before}"
            raise ValueError(f"{root}: was named {same}; give other runs")
    names = distinct_names(list(places))
    runs = [_read(root, name) for root, name in zip(places.values(), names, strict=True)]
    return runs, overlay_runs(runs)


def distinct_names(places: Sequence[Path]) -> list[str]:
    """The name of each directory; of those alike with as many folders above as tell them apart.

    Args:
        places: absolute and unlike one another.
    """
    names = []
    for place in places:
        others = [other.parts for other in places if other != place]
        parts = place.parts
        count = next(
            n
            for n in range(1, len(parts) + 1)
            if n == len(parts) or not any(other[-n:] == parts[-n:] for other in others)
        )
        names.append(str(Path(*parts[-count:])))
    return names


def _read(root: Path, name: str) -> NamedRun:
    try:
        run = Run.at(root)
        if not run.begun:
            raise ValueError("holds no run (no study.db)")
        studies: dict[str, StudyRecord] = {}
        sampler, pruner = {}, {}
        for directory in run.begun.values():
            study = directory.open_study()
            record = study.record(study.trials())
            # A directory of one task has the name that its user gave it.
            studies[record.task] = record
            space = study.header.space
            sampler, pruner = space.get("sampler", {}), space.get("pruner", {})
            study.close()
    except (SpecError, ValueError) as error:
        raise ValueError(f"{root}: {error}") from error
    return NamedRun(name, studies, sampler, pruner)
