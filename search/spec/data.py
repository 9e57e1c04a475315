"""The section ``data`` and the split on which configurations are compared."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from search.spec.section import Count, Section
from search.spec.tasks import OF_VALUES, Metric


class Generated(Section):
    """How many sentences this project makes for a task of its own."""

    train: Count = 3000
    validation: Count = 500


class Data(Section):
    """Where the data is, and for data of one's own what its columns mean.

    Attributes:
        path: a hub data set.
        dir: a local copy, laid out as TASK/SPLIT.parquet.
        files: ``train`` and perhaps ``validation``, each a csv, tsv, jsonl or parquet file.
        generated: made here.
        text: columns of the one or two texts of a task of one's own.
        label: column of its labels.
        regression: whether the label is a number to predict rather than a class.
        metric: what its score is.
        config: configuration of the hub data set.
        splits: ``train`` and ``validation`` by their names in the hub data set.
        train_rows: takes a seeded subset of the training rows.
    """

    path: str | None = None
    dir: str | None = None
    files: dict[str, Annotated[str, Field(min_length=1)]] | None = None
    generated: Generated | None = None
    text: Annotated[list[str], Field(min_length=1, max_length=2)] | None = None
    label: str | None = None
    regression: bool = False
    metric: Metric | None = None
    config: str | None = None
    splits: dict[str, str] = Field(default_factory=dict)
    train_rows: Count | None = None

    @field_validator("text", mode="before")
    @classmethod
    def _one_column(cls, text: Any) -> Any:
        return [text] if isinstance(text, str) else text

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        given = [name for name in DATA_SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(f"one of {', '.join(DATA_SOURCES)} is needed, got {found}")
        return self

    @model_validator(mode="after")
    def _columns_of_ones_own(self) -> Data:
        if self.text is None:
            named = {
                "label": self.label,
                "metric": self.metric,
                "config": self.config,
                "files": self.files,
                "splits": self.splits,
                "regression": self.regression,
            }
            for name, value in named.items():
                if value:
                    raise ValueError(
                        f"{name} is of data of one's own, which names its columns: text is missing"
                    )
            return self
        if self.label is None:
            raise ValueError(
                "text names the columns to read; label, the column to predict, is missing"
            )
        if self.generated is not None:
            raise ValueError("generated data has columns of its own: leave out text and label")
        if columns := [
            c for c in {*self.text, self.label} if [*self.text, self.label].count(c) > 1
        ]:
            raise ValueError(f"text and label name the column {columns[0]!r} twice")
        for name, given in (("files", self.files or {}), ("splits", self.splits)):
            if unknown := [split for split in given if split not in SPLITS]:
                raise ValueError(f"{name}: {unknown[0]!r} is none of {', '.join(SPLITS)}")
        if self.files is not None and "train" not in self.files:
            raise ValueError(f"files must name train, got {', '.join(self.files) or 'none'}")
        if self.metric is not None and (self.metric in OF_VALUES) != self.regression:
            kind = "numbers" if self.metric in OF_VALUES else "classes"
            raise ValueError(
                f"metric {self.metric} is of {kind}, regression is {str(self.regression).lower()}"
            )
        if self.path is None and (self.config or self.splits):
            raise ValueError("config and splits are of a hub data set (path)")
        return self


DATA_SOURCES = ("path", "dir", "files", "generated")
#: Those that say where data lies, not which it is: that its fingerprint tells.
PLACES_OF_DATA = frozenset({"path", "dir", "files"})
SPLITS = ("train", "validation")


class Holdout(Section):
    """A seeded, stratified part of train on which configurations are compared."""

    holdout: Annotated[float, Field(gt=0, lt=1)]
