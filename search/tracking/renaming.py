"""Parameters that an earlier version wrote, under the names that they have now."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from search.tracking.relocation import tables_of

# ``method.lora.rank`` of a trial's run: the name of the method ends before the second dot.
_METHOD = """
    INSERT OR IGNORE INTO params (run_uuid, key, value)
    SELECT DISTINCT run_uuid, 'method', substr(key, 8, instr(substr(key, 8), '.') - 1)
    FROM params WHERE key LIKE 'method.%.%'
    AND run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'search.trial')
"""
# What a method has of its own wins over what all share.
_OTHERS = """
    UPDATE OR REPLACE params SET key = substr(key, 8 + instr(substr(key, 8), '.'))
    WHERE key LIKE 'method.%.%'
    AND run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'search.trial')
"""


def rename_parameters(database: Path) -> bool:
    """Have old runs of a run directory's own store compared with new ones, column by column.

    ``method.lora.rank`` becomes ``rank``, and ``method`` is ``lora``; MLflow itself renames none.

    Args:
        database: MLflow's SQLite file; one that is not there is left alone.

    Returns:
        Whether anything was changed.

    Raises:
        sqlite3.Error: the file is no database, or stays locked.
    """
    if not database.exists():
        return False
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        if not {"params", "tags"} <= tables_of(connection):
            return False
        connection.execute(_METHOD)
        return connection.execute(_OTHERS).rowcount > 0
