"""MLflow keeps absolute paths of artifacts; in a run directory that was moved they lead nowhere."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

# Every column that holds a place of artifacts.
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def relocate(database: Path, artifacts: Path) -> bool:
    """Have the artifacts of a run directory's own tracking store found where they lie now.

    Args:
        database: MLflow's SQLite file; one that is not there is left alone.
        artifacts: folder of the artifacts, as a run directory has it.

    Returns:
        Whether anything was changed.

    Raises:
        sqlite3.Error: the file is no database, or stays locked.
    """
    if not database.exists():
        return False
    now = artifacts.resolve().as_uri()
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        there = tables_of(connection)
        if "experiments" not in there:
            return False
        places = connection.execute("SELECT artifact_location FROM experiments").fetchall()
        before = {
            place
            for (place,) in places
            if place and place.startswith("file:") and place.rsplit("/", 1)[1] == artifacts.name
        } - {now}
        for place in before:
            for table, column in _PLACES:
                if table not in there:
                    continue
                # Neither name comes from outside.
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (now, len(place) + 1, place, len(place) + 1, place + "/"),
                )
    return bool(before)


def tables_of(connection: sqlite3.Connection) -> set[str]:
    """Names of the tables that are there: MLflow makes all of them in what a driver left empty.

    Raises:
        sqlite3.Error: the file is no database, or stays locked.
    """
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in found}
