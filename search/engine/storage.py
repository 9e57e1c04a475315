"""Where a study lies: an SQLite file of the run directory, or any storage of Optuna."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, RDBStorage, get_storage
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from search.spec.errors import first_line


def open_storage(file: Path, url: str | None) -> BaseStorage:
    """The storage of a run.

    Args:
        file: of the run directory, where ``url`` is None.
        url: of another storage; without a password.

    Raises:
        ValueError: the storage cannot be reached, holds something else, or its driver is not
            installed.
    """
    place = url or file
    try:
        return _sqlite(file) if url is None else get_storage(url)
    except ImportError as error:
        raise ValueError(f"{place} needs a driver that is not installed: {error}") from error
    except (SQLAlchemyError, ValueError) as error:
        raise ValueError(f"{place} cannot be opened: {first_line(error)}") from error


def _sqlite(file: Path) -> BaseStorage:
    storage = RDBStorage(f"sqlite:///{file}", engine_kwargs={"connect_args": {"timeout": 60}})

    @event.listens_for(storage.engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        # A write-ahead log makes a commit cost one write. A killed process loses nothing; a file
        # system that cannot share memory keeps the journal it has.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    storage.engine.dispose()
    return get_storage(storage)


def close_storage(storage: BaseStorage) -> None:
    """Put everything into the one file, so that it can be copied alone."""
    backend = getattr(storage, "_backend", storage)
    if isinstance(backend, RDBStorage):
        if backend.engine.dialect.name == "sqlite":
            with backend.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        backend.engine.dispose()
