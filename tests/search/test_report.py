"""``search.report`` of one run: what stands in its way is told, and does not stop what it can do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from search import report
from search.results.confirmed import write_confirmations
from tests.search.records import study, trial
from tests.search.results.run_directories import write_run
from tests.search.results.test_comparison import member, run


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert report.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize("content", ["", "no database at all\n" * 9])
def test_a_damaged_tracking_store_does_not_keep_a_report_from_being_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    records = study(trial(0), task="rte"), study(trial(0), task="cola")
    root = write_run(tmp_path / "run", *records)
    (root / "mlflow.db").write_text(content)
    assert report.main([str(root)]) == 0
    told = capsys.readouterr()
    pages = [root / "rte" / "report.html", root / "cola" / "report.html", root / "report.html"]
    assert told.out.splitlines() == [str(page) for page in pages]
    assert all(page.is_file() for page in pages)
    # MLflow makes its tables in an empty file; of one that is damaged it is told once.
    damaged = [f"{root}/mlflow.db cannot be read: file is not a database"]
    assert told.err.splitlines() == (damaged if content else [])


@pytest.mark.parametrize(
    ("options", "file", "start"),
    [
        ([], "front.json", "{root}/report.html is not written: "),
        (["--table", "glue"], "table.md", "{root}: cannot be read or written: "),
    ],
)
def test_a_file_that_cannot_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], file: str, start: str
) -> None:
    record, confirmation = run("rte", member(0, "lora", 0.7))
    root = write_run(tmp_path / "run", record)
    write_confirmations([confirmation], root)
    (root / file / "in the way").mkdir(parents=True)
    assert report.main([str(root), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(start.format(root=root))
    assert file in line


def test_what_was_confirmed_is_named_where_it_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, confirmation = run("rte", member(0, "lora", 0.7))
    root = write_run(tmp_path / "run", record)
    file = write_confirmations([confirmation], root)
    whole = file.read_text()
    (content,) = json.loads(whole)
    wrong = content | {"members": [content["members"][0] | {"scores": ["high"]}]}
    for damaged in (whole[:-30], json.dumps([wrong]), "3"):
        file.write_text(damaged)
        told = refused(capsys, str(root))
        assert told.startswith(f"{root}/report.html is not written: {file} is damaged: ")
        assert "delete it, and python -m search.confirm writes it again" in told


def test_a_folder_without_a_run_has_no_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        told = refused(capsys, str(place), "--table", "glue")
        assert told == f"{place}: holds no run (no study.db)\n"


def test_two_runs_that_confirmed_the_same_task_are_both_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, confirmation = run("rte", member(0, "lora", 0.7))
    for name in ("first", "second"):
        write_confirmations([confirmation], write_run(tmp_path / name, record))
    told = refused(capsys, str(tmp_path), "--table", "glue")
    assert told == f"{tmp_path}: two runs are of the task rte: first and second\n"
