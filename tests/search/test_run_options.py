"""Options of ``search.run`` that contradict one another, or name what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.run import main
from tests.search.spec.spaces import QUICKSTART


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main([str(QUICKSTART), *options]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--local", "--address", "auto"], "--local and --address"),
        (["--local", "--cluster", "cluster.yaml"], "--local and --cluster"),
        (["--resume", "--attach"], "--attach and --resume"),
        (["--stop", "--attach", "--cluster", "cluster.yaml"], "--attach and --stop"),
    ],
)
def test_options_that_exclude_one_another_are_named(
    capsys: pytest.CaptureFixture[str], options: list[str], named: str
) -> None:
    assert f"{named}: cannot go together; leave one out" in refused(capsys, *options)


def test_a_head_may_name_the_storage_of_runs_that_have_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "runs" / "mine"
    inside = f"{out / 'there' / 'mine'} lies inside the run directory {out}"
    monkeypatch.setenv("AFLORA_STORAGE", str(out / "there"))
    assert inside in refused(capsys, "--out", str(out))
    # What the command or the space says wins.
    monkeypatch.setenv("AFLORA_STORAGE", str(tmp_path / "elsewhere"))
    assert inside in refused(capsys, "--out", str(out), "--storage", str(out / "there"))


@pytest.mark.parametrize("option", ["--attach", "--stop"])
def test_what_is_of_a_cluster_wants_one(
    capsys: pytest.CaptureFixture[str],
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"{option}: is of a search that was handed to a cluster" in refused(capsys, option)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        ("tasks: [rte]", "is no cluster file: it has no cluster_name or no provider"),
        ("a: [", "while parsing"),
    ],
)
def test_a_file_that_is_no_cluster_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str | None, told: str
) -> None:
    file = tmp_path / "cluster.yaml"
    if content is not None:
        file.write_text(content)
    message = refused(capsys, "--cluster", str(file))
    assert f"--cluster {file}: " in message
    assert told in message


def test_a_cluster_that_was_never_brought_up_is_told_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, out = tmp_path / "cluster.yaml", tmp_path / "run"
    file.write_text(
        "{cluster_name: never-brought-up, provider: {type: local, head_ip: 192.0.2.1, "
        "worker_ips: []}, auth: {ssh_user: nobody, ssh_private_key: /nowhere}}"
    )
    message = refused(capsys, "--cluster", str(file), "--out", str(out))
    assert f"has `ray up {file}` been run from here?" in message
    assert not out.exists()


def test_a_storage_that_nothing_can_open_is_named_with_its_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    message = refused(capsys, "--local", "--out", str(out), "--storage", "nope://bucket/runs")
    assert "storage (--set): nope://bucket/runs cannot be used" in message
    with_password = "s3://key:secret@bucket/runs"
    message = refused(capsys, "--local", "--out", str(out), "--storage", with_password)
    assert "would write a password into the run directory" in message
    assert "secret" not in message
    assert not out.exists()
