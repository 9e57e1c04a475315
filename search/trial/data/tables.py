"""Tables of texts and labels: read from files, a local copy of GLUE, or the hub."""

from __future__ import annotations

import csv
import glob
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
from pyarrow import ArrowInvalid

from search.spec.data import Data
from search.spec.errors import first_line
from search.trial.places import REACH_SECONDS, NotFound, given_file, parquet_of, within


class DataError(Exception):
    """The data cannot be used; the message names split, column or row."""


@dataclass(frozen=True)
class Table:
    """Columns of values.

    Attributes:
        name: what it is called in a message.
        columns: by name, all of the same length.
        classes: names of the classes, of columns that hold them by number.
    """

    name: str
    columns: Mapping[str, Sequence[Any]]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def column(self, name: str) -> Sequence[Any]:
        """One column.

        Raises:
            DataError: there is none, or it is empty.
        """
        if name not in self.columns:
            there = ", ".join(self.columns)
            raise DataError(f"{self.name} has no column {name!r}; its columns are {there}")
        if not len(self.columns[name]):
            raise DataError(f"{self.name} has no rows")
        return self.columns[name]


def read_table(data: Data, task: str, split: str) -> Table:
    """A split from wherever the space file says.

    Raises:
        NotFound: there is no such file, folder or data set, or the hub cannot be reached.
        DataError: the file cannot be read.
    """
    datasets.disable_progress_bars()
    if data.files is not None:
        return _from_file(given_file(data.files[split]))
    if data.dir is not None:
        return _parquet(parquet_of(data.dir, task, split), f"split {split} of {task}")
    return _from_hub(data, task, split)


def has_split(data: Data, task: str, split: str) -> bool:
    """Whether data of one's own has a split; one that is named must be there.

    Raises:
        NotFound: the hub cannot be reached.
    """
    if data.files is not None:
        return split in data.files
    if data.dir is not None:
        return (Path(data.dir).expanduser() / task / f"{split}.parquet").is_file()
    return split in data.splits or split in _hub_splits(data, task)


def splits_of(data: Data, task: str) -> list[str]:
    """Names of the splits that data of one's own has.

    Raises:
        NotFound: the hub cannot be reached.
    """
    if data.files is not None:
        return list(data.files)
    if data.dir is not None:
        folder = Path(data.dir).expanduser() / task
        return sorted(path.stem for path in folder.glob("*.parquet"))
    return _hub_splits(data, task)


def _hub_splits(data: Data, task: str) -> list[str]:
    assert data.path is not None
    path, config = data.path, data.config if data.text is not None else task
    hint = "use a local copy with data.dir: /path/to/folder, laid out as TASK/SPLIT.parquet"
    # Whether the hub answers is asked first; how long the data then takes to come is its own.

    def ask() -> list[str]:
        try:
            return list(datasets.get_dataset_split_names(path, config))
        except ValueError:
            if config is None and len(there := datasets.get_dataset_config_names(path)) > 1:
                which = f"data set {path!r} is several: {', '.join(there)}"
                raise NotFound(f"{which}; name one with data.config") from None
            raise

    return within(REACH_SECONDS, f"data set {path!r}", hint, ask)


def _from_hub(data: Data, task: str, split: str) -> Table:
    assert data.path is not None
    path, config = data.path, data.config if data.text is not None else task
    name = data.splits.get(split, split)
    there = _hub_splits(data, task)
    if name not in there:
        raise NotFound(f"data set {path!r} has no split {name!r}; there are {', '.join(there)}")
    title = f"split {name} of {path}"
    try:
        return _of(datasets.load_dataset(path, config, split=name), title)
    except Exception as error:  # of files of any kind, from a server of any kind
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise DataError(f"{title} cannot be read: {first_line(cause)}") from error


def _of(dataset: datasets.Dataset, name: str) -> Table:
    classes = {
        column: tuple(feature.names)
        for column, feature in dataset.features.items()
        if isinstance(feature, datasets.ClassLabel)
    }
    return Table(name, {c: list(dataset[c]) for c in dataset.column_names}, classes)


def _from_file(path: Path) -> Table:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: the name must end in {', '.join(_READERS)}")
    try:
        return reader(path, str(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _parquet(path: Path, name: str) -> Table:
    try:
        # Or brackets in the path are taken for a pattern.
        pattern = glob.escape(str(path))
        return _of(datasets.Dataset.from_parquet(pattern, keep_in_memory=True), name)
    except (ArrowInvalid, datasets.exceptions.DatasetGenerationError) as error:
        raise DataError(f"{path} is no parquet file: {error}") from error
    except ValueError as error:  # a column of a kind that is not known
        raise DataError(f"{path} cannot be read: {first_line(error)}") from error


csv.field_size_limit(2**31 - 1)  # a text may be a whole document


def _separated(separator: str) -> Callable[[Path, str], Table]:
    def read(path: Path, name: str) -> Table:
        reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=separator, strict=True)
        rows: list[list[str]] = []
        try:
            header = next(reader, [])
            for row in reader:
                if row and len(row) != len(header):
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(row)} fields, "
                        f"the header has {len(header)}"
                    )
                if separator == "\t" and any(set(field) & {"\t", "\n"} for field in row):
                    raise DataError(
                        f"{path}, line {reader.line_num}: a field in quotes goes over a tab or a "
                        "line end; where quotes are meant as they stand, save the file as .jsonl"
                    )
                if row:
                    rows.append(row)
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}") from error
        _once(path, header)
        return Table(name, {c: [row[at] for row in rows] for at, c in enumerate(header)})

    return read


def _json_lines(path: Path, name: str) -> Table:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            pairs = json.loads(line, object_pairs_hook=list)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number} is not JSON: {error.msg}") from error
        if not line.lstrip().startswith("{"):
            raise DataError(f"{path}, line {number}: must be an object, got {line[:40]!r}")
        _once(f"{path}, line {number}", [key for key, _ in pairs])
        rows.append(dict(pairs))
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return Table(name, {column: [row.get(column) for row in rows] for column in columns})


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line} is not UTF-8 (byte 0x{content[error.start]:02x}); "
            "save the file in one encoding, UTF-8"
        ) from error


def _once(where: object, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{where}: column {twice[0]!r} stands twice")


_READERS: Mapping[str, Callable[[Path, str], Table]] = {
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
