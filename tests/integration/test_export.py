"""Adapters taken out of a real run: written, read back, measured, registered and served."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from search import export, report
from search.trial import exported as exported_module
from tests.waiting import until

Exporter = Callable[..., tuple[int, str, str]]


@pytest.fixture
def exported(capsys: pytest.CaptureFixture[str]) -> Exporter:
    def run_export(run: Path, *options: str) -> tuple[int, str, str]:
        status = export.main([str(run), *options])
        return status, *capsys.readouterr()

    return run_export


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_stopped_leaves_nothing_half_written(
    number: signal.Signals,
    exported: Exporter,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = export._Exporting._written

    def written_and_stopped(*given: Any) -> Any:
        write(*given)
        signal.raise_signal(number)

    monkeypatch.setattr(export._Exporting, "_written", written_and_stopped)
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    try:
        status, _, trouble = exported(
            finished, "--trial=best", f"--out={tmp_path / 'adapter'}", "--unchecked"
        )
    finally:
        for each, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(each, handler)
    assert status == 130
    assert trouble.endswith("stopped: what is not named above was not exported\n")
    assert list(tmp_path.iterdir()) == []


def test_an_exported_adapter_scores_as_it_did_and_says_how_to_load_it(
    exported: Exporter, finished: Path, tmp_path: Path
) -> None:
    """The code of its model card is run as it stands there, and answers."""
    member = json.loads((finished / "front.json").read_text())["front"][0]
    status, said, trouble = exported(finished, "--trial=best", f"--out={tmp_path / 'adapter'}")
    assert status == 0, trouble
    score = f"{member['values']['score']:.4f}"
    assert f"scores {score} (accuracy) on the selection split, as recorded: {score}" in said
    card = (tmp_path / "adapter" / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0].replace("FOLDER", str(tmp_path / "adapter"))
    code += """
model.eval()
logits = model(**tokenizer("the film is not good", return_tensors="pt")).logits
print(logits.shape, model.config.id2label, model.config.label2id)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    named = "{0: 'negative', 1: 'positive'} {'negative': 0, 'positive': 1}"
    assert ran.stdout.endswith(f"torch.Size([1, 2]) {named}\n"), ran.stderr


def test_a_merged_model_needs_nothing_of_ours(
    exported: Exporter, finished: Path, tmp_path: Path
) -> None:
    number = json.loads((finished / "front.json").read_text())["front"][0]["trial"]
    out = tmp_path / "model"
    status, _, trouble = exported(finished, f"--trial={number}", "--format=merged", f"--out={out}")
    assert status == 0, trouble
    model = AutoModelForSequenceClassification.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert model(**tokenizer("the film is not good", return_tensors="pt")).logits.shape == (1, 2)
    assert not any(name.endswith((".A", "lora_A")) for name, _ in model.named_modules())


def test_a_registered_model_is_served_also_from_a_run_that_was_moved(
    exported: Exporter, finished: Path, tmp_path: Path
) -> None:
    run, moved = tmp_path / "run", tmp_path / "moved"
    shutil.copytree(finished, run)
    for version in (1, 2):
        status, said, trouble = exported(run, "--trial=best", "--register=negation")
        assert status == 0, trouble
        assert f"models:/negation/{version}: trial " in said
    run.rename(moved)
    assert report.main([str(moved)]) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/negation/2", "-p", str(port),
         "--env-manager", "local"],
        # As in an environment that was activated: MLflow calls uvicorn by its name.
        env=os.environ | {
            "MLFLOW_TRACKING_URI": f"sqlite:///{moved}/mlflow.db",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        ask = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps({"inputs": ["the film is not good", "the film is good"]}).encode(),
            {"Content-Type": "application/json"},
        )

        def answer() -> list[dict[str, float]] | None:
            assert server.poll() is None
            try:
                with urllib.request.urlopen(ask) as reply:
                    found: list[dict[str, float]] = json.load(reply)["predictions"]
                    return found
            except urllib.error.URLError:
                return None

        until(lambda: answer() is not None, seconds=180)
        told = answer()
        assert told is not None
        assert [set(row) for row in told] == [{"label", "score"}] * 2
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_an_adapter_that_does_not_score_as_recorded_is_not_exported(
    exported: Exporter, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose head was turned round answers the opposite."""
    # Of six rows two would be a third.
    monkeypatch.setattr(exported_module, "_ROWS_APART", {"fp32": 0})
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    member = next(
        m
        for m in json.loads((run / "front.json").read_text())["front"]
        if m["values"]["score"] != 0.5
    )
    folder = run / member["adapter"]
    (weights,) = folder.glob("*.safetensors")
    state = load_file(weights)
    for name in state:
        if "classifier" in name:
            state[name] = -state[name]
    save_file(state, weights, metadata={"format": "pt"})
    if (folder / "aflora.json").exists():
        about = json.loads((folder / "aflora.json").read_text())
        about["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        (folder / "aflora.json").write_text(json.dumps(about))
    out = tmp_path / "adapter"
    status, _, trouble = exported(run, f"--trial={member['trial']}", f"--out={out}")
    assert status == 1
    assert f"trial {member['trial']} is not exported: what was written scores" in trouble
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    status, _, trouble = exported(run, f"--trial={member['trial']}", "--register=turned")
    assert status == 1
    assert "what was written scores" in trouble
    assert MlflowClient(f"sqlite:///{run}/mlflow.db").search_registered_models() == []


def test_a_name_that_the_registry_refuses_is_told_before_anything_is_written(
    exported: Exporter, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "adapter"
    status, _, trouble = exported(finished, "--trial=best", "--register=a/b", f"--out={out}")
    assert status == 1
    assert "MLflow does not register 'a/b': " in trouble
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--trial=99", "--out=x"], "--trial: takes best, knee or a number of this run, got '99'"),
        (["--trial=kneee", "--out=x"], "takes best, knee or a number of this run, got 'kneee'"),
        (["--trial=best", "--out=x", "--task=rte"], "--task: is 'rte', but "),
        (["--trial=best", "--out=."], "--out .: is there already"),
        (["--trial=best"], "--out and --register: are both missing"),
        (["--trial=best", "--register=x", "--format=peft"], "--format: is of --out"),
    ],
)
def test_what_cannot_be_exported_is_told(
    exported: Exporter, finished: Path, options: list[str], told: str
) -> None:
    status, _, trouble = exported(finished, *options)
    assert status == 2
    assert told in trouble


def test_before_adapters_are_kept_the_best_is_told_to_have_none(
    exported: Exporter, finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("adapters"))
    for number in ("best", "0"):
        status, _, trouble = exported(run, f"--trial={number}", f"--out={tmp_path / 'x'}")
        assert status == 2
        assert f"{number} has no adapter: members of the front keep theirs (none yet; " in trouble


def test_an_adapter_leaves_unchecked_where_its_model_is_not(
    exported: Exporter, finished: Path, tmp_path: Path
) -> None:
    members = json.loads((finished / "front.json").read_text())["front"]
    forms = {"aflora.json": "aflora", "adapter_config.json": "peft"}
    number, folder, form = next(
        (member["trial"], finished / member["adapter"], forms[path.name])
        for member in members
        for path in (finished / member["adapter"]).iterdir()
        if path.name in forms
    )
    options = [f"--trial={number}", f"--format={form}", f"--set=model={tmp_path / 'nowhere'}"]
    status, _, trouble = exported(finished, *options, f"--out={tmp_path / 'checked'}")
    assert status == 2
    assert re.search(r"model \(--set\): .*nowhere holds no model", trouble), trouble
    out = tmp_path / "adapter"
    status, _, trouble = exported(finished, *options, "--unchecked", f"--out={out}")
    assert status == 0, trouble
    (weights,) = (path.name for path in folder.glob("*.safetensors"))
    assert (out / weights).read_bytes() == (folder / weights).read_bytes()
    assert "Read back" not in (out / "README.md").read_text()


def test_an_export_of_nothing_is_told(exported: Exporter, tmp_path: Path) -> None:
    status, _, trouble = exported(tmp_path, "--trial=0", "--out=x")
    assert (status, "holds no run" in trouble) == (2, True)
