"""The directory of a study: where everything of it lies."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from search.engine.study import SearchStudy, StudyHeader
from search.writing import write_atomically


@dataclass(frozen=True)
class RunDirectory:
    """Paths of a study.

    Attributes:
        root: what is the study's own lies below it.
        whole: directory of the run, where that has several tasks, each with a study in a folder
            of its own: they share trials, tracking store and lock.
    """

    root: Path
    whole: Path | None = None

    @property
    def top(self) -> Path:
        """The directory of the whole run, to which paths of checkpoints are relative."""
        return self.whole or self.root

    def folder_of(self, number: int, attempt: int | str) -> str:
        """The name of the folder of an attempt at a trial, without a parent."""
        study = "" if self.whole is None else f"{self.root.name}-"
        return f"{study}{number:05d}-{attempt}"

    def below_top(self, path: Path) -> str:
        """A path of this study relative to the run's directory."""
        return path.relative_to(self.top).as_posix()

    @property
    def space(self) -> Path:
        return self.root / "space.yaml"

    @property
    def study(self) -> Path:
        return self.root / "study.db"

    @property
    def elsewhere(self) -> Path:
        """Says where the study lies, if not in this directory."""
        return self.root / "study.json"

    @property
    def holds_run(self) -> bool:
        """Whether a run was started here."""
        return self.study.exists() or self.elsewhere.exists()

    @property
    def mlflow(self) -> Path:
        return self.top / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        return self.top / "mlartifacts"

    @property
    def trials(self) -> Path:
        return self.top / "trials"

    @property
    def adapters(self) -> Path:
        return self.root / "adapters"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def lock(self) -> Path:
        return self.top / ".lock"

    def open_study(self) -> SearchStudy:
        """The study of the run that lies here.

        Raises:
            ValueError: the study is not there, or its storage cannot be reached.
        """
        if not self.elsewhere.exists():
            return SearchStudy.open(self.study)
        place = json.loads(self.elsewhere.read_text(encoding="utf-8"))
        return SearchStudy.open(self.study, place["storage"], place["name"])

    def create_study(
        self,
        header: StudyHeader,
        url: str | None,
        fill: Callable[[SearchStudy], None] = lambda study: None,
    ) -> SearchStudy:
        """A new study, here or in the storage at ``url``.

        Only once ``fill`` has written what belongs into it does the directory hold a run: one whose
        driver is killed before can be started again.

        Raises:
            ValueError: the storage cannot be reached.
        """
        if url is None:
            self._clear_unfinished()
            study = SearchStudy.create(self.unfinished, header)
            fill(study)
            study.close()
            self.unfinished.rename(self.study)
            return self.open_study()
        # One database can hold the studies of many runs.
        name = f"{header.name} {header.provenance['study_id']}"
        study = SearchStudy.create(self.study, header, url, name)
        fill(study)
        write_atomically(self.elsewhere, json.dumps({"storage": url, "name": name}) + "\n")
        return study

    @property
    def unfinished(self) -> Path:
        """A study that is being made, and holds no trial yet."""
        return self.root / "study.db.new"

    def _clear_unfinished(self) -> None:
        for path in self.root.glob(f"{self.unfinished.name}*"):
            path.unlink()

    @property
    def bytes(self) -> int:
        """What the run takes on disk; it may be at work, and files come and go."""
        total = 0
        for folder, _, files in os.walk(self.root):
            for name in files:
                with suppress(FileNotFoundError):
                    total += os.stat(os.path.join(folder, name), follow_symlinks=False).st_size
        return total
