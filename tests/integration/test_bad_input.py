"""Every mistake on the command line: one clear message, status 2, nothing written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import Dataset

from search.run import main

QUICK = yaml.safe_load(Path("spaces/quickstart.yaml").read_text(encoding="utf-8"))


def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str, out: str = "out") -> str:
    """The message of a call that must fail, after checking that it wrote nothing."""
    before = sorted(tmp_path.rglob("*"))
    status = main([*options, "--out", str(tmp_path / out), "--local"])
    said = capsys.readouterr()
    assert status == 2
    assert "Traceback" not in said.err
    # What was being done until then, each line with its time; the mistake stands apart.
    assert all(re.match(r"\[ *[\d.]+\N{NO-BREAK SPACE}", line) for line in said.out.splitlines())
    assert sorted(tmp_path.rglob("*")) == before
    return said.err


def space(tmp_path: Path, **change: object) -> str:
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump(QUICK | change), encoding="utf-8")
    return str(path)


def search_of(**change: object) -> dict[str, object]:
    """The search of the quickstart, changed; nothing is tried first."""
    return {"search": QUICK["search"] | change, "enqueue": []}


LORA = {"rank": 8, "learning_rate": 1e-3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "package:nothing/model"}, "pip install nothing"),
        ({"model": "./nowhere"}, "model (line"),
        ({"seeed": 1}, "did you mean 'seed'?"),
        ({"train": {"steps": "many"}}, "train.steps (line"),
        ({"tasks": ["rtee"]}, "unknown task 'rtee'; did you mean 'rte'?"),
        ({"objectives": {"score": None}}, "the direction of score must be max, got None"),
        (search_of(learning_rate={"lgo": [1e-4, 1e-2]}), "unknown distribution 'lgo'"),
        (search_of(learning_rate={"log": [1e-2, 1e-4]}), "reversed: 0.01 is larger than 0.0001"),
        (search_of(learning_rate={"log": [1e-2, 1e-2]}), "empty; write the constant 0.01"),
        ({"resources": {"cpu": 1000}}, "a trial takes 1000 CPUs, this machine has"),
        ({"resources": {"cpu": 1, "gpu": 64}}, "resources.gpu (line"),
        (
            {"resources": {"custom": {"unicorn": 1}}},
            "a trial takes 1 unicorn, the largest node has 0",
        ),
        ({"data": {"generated": {"train": 10**9}}}, "data (line"),
        (
            search_of(method={"lora": LORA | {"modules": ["ffn_gate"]}}),
            "does not fit the model",
        ),
        (search_of(method={"lora": {"rank": 8}}), "search.learning_rate"),
        ({"tasks": ["rte"], "data": {"dir": "/nowhere"}}, "data.dir '/nowhere'"),
    ],
)
def test_a_space_that_cannot_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    assert message in run(tmp_path, capsys, space(tmp_path, **change))


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "(file): is empty"), ("name: [a\nmodel: b\n", "(file) (line 2): is not YAML")],
)
def test_a_file_that_is_no_space_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text, encoding="utf-8")
    assert message in run(tmp_path, capsys, str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "package:nothing/model"}, "model (line"),
        ({"model": "./nowhere"}, "model (line"),
        ({"tasks": ["rte"], "data": {"dir": "/nowhere"}}, "data.dir '/nowhere'"),
        (
            {
                "tasks": ["rte"],
                "data": {"path": "nyu-mll/glue"},
                "per_task": {"rte": {"data": {"dir": "/else"}}},
            },
            "data.dir '/else'",
        ),
        (
            {
                "tasks": ["own"],
                "data": {"files": {"train": "gone.csv"}, "text": ["a"], "label": "b"},
            },
            "gone.csv does not exist",
        ),
    ],
)
def test_what_is_not_there_is_told_before_anything_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    status = main([space(tmp_path, **change), "--out", str(tmp_path / "out"), "--local"])
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert message in said.err


def test_data_without_the_needed_columns_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "glue" / "rte"
    folder.mkdir(parents=True)
    for split in ("train", "validation"):
        Dataset.from_dict({"sentence1": ["a"], "other": ["b"], "label": [0]}).to_parquet(
            folder / f"{split}.parquet"
        )
    path = space(tmp_path, tasks=["rte"], data={"dir": str(tmp_path / "glue")})
    told = run(tmp_path, capsys, path)
    told = told.rpartition("\r")[2]  # datasets showed its progress in writing the files above
    assert "split train of rte has no column 'sentence2'" in told
    assert "its columns are sentence1, other, label" in told


@pytest.mark.parametrize(
    ("change", "place", "name", "way_out"),
    [
        (
            {"model": "someone/no-such-model"},
            "model",
            "someone/no-such-model",
            "name a local copy with model: /path/to/folder",
        ),
        (
            {"tasks": ["rte"], "data": {"path": "someone/no-such-data"}},
            "data",
            "someone/no-such-data",
            "use a local copy with data.dir: /path/to/folder",
        ),
    ],
    ids=["model", "data"],
)
def test_a_hub_that_cannot_be_reached_is_told_soon_with_the_way_out(
    tmp_path: Path, change: dict[str, Any], place: str, name: str, way_out: str
) -> None:
    path = space(tmp_path, **change)
    before = sorted(tmp_path.rglob("*"))
    # Read when huggingface_hub is imported, so this takes a process of its own. Nothing listens.
    ended = subprocess.run(
        [sys.executable, "-m", "search.run", path, "--out", str(tmp_path / "out"), "--dry-run"],
        env=os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"},
        capture_output=True,
        text=True,
        # Half a minute where nothing else is done; the hub's own retries take minutes.
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    *done, told = ended.stderr.splitlines()
    assert told.startswith(f"{path}: {place} (line ")
    assert f"'{name}': the hub could not be reached within 10 s" in told
    assert way_out in told
    # Without a run standard output is for the space; what is being done is told beside it.
    assert all(re.match(r"\[ *[\d.]+\N{NO-BREAK SPACE}", line) for line in done)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not exist" in run(tmp_path, capsys, str(tmp_path / "nothing.yaml"))


def test_an_output_that_holds_something_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    assert "is not empty and holds no run" in run(tmp_path, capsys, space(tmp_path))
    (tmp_path / "out" / "study.db").write_text("")
    assert "already holds a run; go on with it with --resume" in run(
        tmp_path, capsys, space(tmp_path)
    )
    assert "is a file, not a folder" in run(tmp_path, capsys, space(tmp_path), out="space.yaml")
    assert "is a file" in run(tmp_path, capsys, space(tmp_path), out="space.yaml/deep")


def test_an_output_that_cannot_be_written_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([space(tmp_path), "--out", "/proc/here", "--local"])
    assert status == 2
    assert "cannot be written" in capsys.readouterr().err


def test_resuming_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no run to resume" in run(tmp_path, capsys, space(tmp_path), "--resume")


def test_options_that_exclude_one_another_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = run(tmp_path, capsys, space(tmp_path), "--address", "10.0.0.1:6379")
    assert "--local and --address: cannot go together" in told


def test_a_dry_run_prints_the_space_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import ray

    path = space(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main([path, "--dry-run", "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert yaml.safe_load(told)["pruner"]["wait"] == 3
    # Rank 1 on query alone: d and b of six layers.
    assert "# smallest: 2,310 (2.31\N{NO-BREAK SPACE}k) at the start: aflora r1" in told
    largest = 6 * (4 * (8 * 768) + 2 * (8 * 1920)) + 6 * (6 * 8 + 5 * 384 + 1536)
    assert f"# largest: {largest:,}" in told
    assert not ray.is_initialized()
    assert sorted(tmp_path.rglob("*")) == before
