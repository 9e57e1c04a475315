"""Figures as files of their own, for a paper or a talk: drawn by plotly's own tool, kaleido."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import plotly.graph_objects as go

from search.results.figures.printed import printed

FORMATS = ("svg", "png")
#: Pixels of a PNG for each of the figure: 300 and more an inch in a column.
SCALE = 3


def check_images(folder: Path) -> None:
    """Raise ValueError unless figures can be drawn here and ``folder`` can take them."""
    where = f"--figures {folder}"
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{where}: is a file; name a folder")
    try:
        import kaleido  # noqa: F401 - an extra: most need no browser
        from choreographer.browsers.chromium import Chromium
    except ImportError as error:
        raise ValueError(
            f"{where}: needs what `pip install -c constraints.txt -e '.[figures]'` installs "
            f"({error})"
        ) from None
    program = Chromium.find_browser(skip_local=False)
    if program is None:
        raise ValueError(
            f"{where}: needs Chrome or Chromium on this machine; install it (on Debian apt-get "
            "install chromium), or name the program with BROWSER_PATH"
        )
    if not os.access(program, os.X_OK):
        raise ValueError(f"{where}: there is no browser at {program}; see BROWSER_PATH")


def write_images(figures: Mapping[str, go.Figure], folder: Path) -> list[Path]:
    """Write every figure as ``NAME.svg`` and ``NAME.png``; files of these names are replaced.

    Args:
        figures: by their names.
        folder: made where it does not exist.

    Returns:
        The files' paths.

    Raises:
        ValueError: the browser cannot draw one of them, or the folder cannot be written; nothing
            is written then.
    """
    import kaleido

    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = tempfile.TemporaryDirectory(prefix=".figures-", dir=folder)
    except OSError as error:
        raise ValueError(f"--figures {folder}: cannot be written: {error}") from None
    files = file_names(figures)
    with unfinished as place:
        jobs = [
            {
                "fig": drawn,
                "path": Path(place) / f"{files[name]}.{kind}",
                "opts": {
                    "format": kind,
                    "width": drawn.layout.width,
                    "height": drawn.layout.height,
                    "scale": SCALE if kind == "png" else 1,
                },
            }
            for name, drawn in ((name, printed(figure)) for name, figure in figures.items())
            for kind in FORMATS
        ]
        try:
            # MathJax would be fetched from the network, and no name holds formulas.
            failed = kaleido.write_fig_from_object_sync(jobs, kopts={"mathjax": False})
        except Exception as error:  # whatever a browser dies of
            failed = (error,)
        if failed:
            told = f"{type(failed[0]).__name__}: {failed[0]}".strip()
            raise ValueError(f"--figures {folder}: the browser could not draw them: {told}")
        for job in jobs:
            os.replace(job["path"], folder / job["path"].name)
    return [folder / job["path"].name for job in jobs]


def file_names(names: Mapping[str, object]) -> dict[str, str]:
    """What the files of figures are called: a method or task may be named as no file can be."""
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
        taken = set(found.values())
        found[name] = next(
            candidate
            for candidate in (plain, *(f"{plain}-{count}" for count in range(2, len(names) + 2)))
            if candidate not in taken
        )
    return found
