"""What a search on a cluster came to is brought home, and nothing that lies there is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from search.cluster.handing import Errand, _bring_home, _check_home
from search.cluster.jobs import _PREAMBLE
from search.cluster.launcher import Launcher, Unreachable
from search.engine.runs import Run
from search.spec import Mistake, SpecError, load_space
from search.spec.schema import Pruner
from tests.search.engine.curves import RUNGS, engine_on, new_study, report
from tests.search.spec.spaces import changed


class Head(Launcher):
    """A launcher whose head is a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.file = Path("cluster.yaml")
        self.folder = folder

    def fetch(self, source: str, target: Path) -> None:
        assert source == "~/aflora-search/runs/mine"
        if not self.folder.exists():
            raise Unreachable("command line", [Mistake("--cluster", "no answer")])
        shutil.copytree(self.folder, target, dirs_exist_ok=True)


@pytest.fixture
def head(tmp_path: Path) -> Head:
    folder = tmp_path / "head"
    folder.mkdir()
    searched(folder, rungs=2)
    (folder / "report.html").write_text("the front")
    return Head(folder)


@pytest.fixture
def errand(tmp_path: Path) -> Errand:
    loaded = load_space(changed(tmp_path))
    return Errand(loaded, tmp_path / "home" / "mine", [], False, "again")


def searched(folder: Path, rungs: int) -> None:
    (folder / "space.yaml").write_text("tasks: [rte]\n")
    study = new_study(folder)
    engine = engine_on(study, trials=1, pruner=Pruner(name="none", rungs=RUNGS))
    proposal = engine.ask(0.0)
    assert proposal is not None
    for index in range(1, rungs + 1):
        engine.report(0, report(proposal.settings, index), float(index))
    study.close()


def test_the_run_directory_is_fetched_and_fetched_again(head: Head, errand: Errand) -> None:
    said: list[str] = []
    for _ in range(2):
        _check_home(errand)
        _bring_home(errand, head, said.append)
    assert (errand.root / "report.html").read_text() == "the front"
    assert Run.at(errand.root).begun
    assert str(errand.root / "report.html") in said[0]
    assert [path.name for path in errand.root.parent.iterdir()] == ["mine"]


def test_files_of_the_user_s_own_stay(head: Head, errand: Errand) -> None:
    _bring_home(errand, head, lambda text: None)
    (errand.root / "notes.txt").write_text("mine")
    _bring_home(errand, head, lambda text: None)
    assert (errand.root / "notes.txt").read_text() == "mine"


def test_a_folder_that_holds_something_else_is_told_before_anything_runs(errand: Errand) -> None:
    errand.root.mkdir(parents=True)
    (errand.root / "thesis.tex").touch()
    with pytest.raises(SpecError, match="is not empty and holds no run"):
        _check_home(errand)


@pytest.mark.parametrize(
    ("here", "told"),
    [
        ("more rungs", "holds more of this run than the cluster does"),
        ("another study", "holds another run"),
        ("confirmations", "holds confirmations that the cluster's run does not"),
    ],
)
def test_what_the_cluster_does_not_have_is_kept(
    head: Head, errand: Errand, here: str, told: str
) -> None:
    _bring_home(errand, head, lambda text: None)
    if here == "confirmations":
        (errand.root / "confirm").mkdir()
        (errand.root / "confirm" / "0-1.json").touch()
    elif here == "more rungs":
        (errand.root / "study.db").unlink()
        searched(errand.root, rungs=3)
    else:
        (head.folder / "study.db").unlink()
        from search.engine.study import SearchStudy, StudyHeader
        from tests.search.engine.curves import OBJECTIVES

        provenance = {"seed": 0, "data": "x", "study_id": "other"}
        other = StudyHeader("n", "rte", "m", "accuracy", OBJECTIVES, provenance, {})
        SearchStudy.create(head.folder / "study.db", other).close()
    before = (errand.root / "study.db").read_bytes()
    with pytest.raises(SpecError, match=told) as caught:
        _bring_home(errand, head, lambda text: None)
    assert (errand.root / "study.db").read_bytes() == before
    (beside,) = [path for path in errand.root.parent.iterdir() if path != errand.root]
    assert str(beside) in str(caught.value)


def test_a_head_that_cannot_be_reached_leaves_nothing_behind(
    errand: Errand, tmp_path: Path
) -> None:
    with pytest.raises(Unreachable):
        _bring_home(errand, Head(tmp_path / "nowhere"), lambda text: None)
    assert list(errand.root.parent.iterdir()) == []


def test_what_ray_says_of_its_own_is_not_repeated() -> None:
    said = (
        "2026-11-25 17:24:05,969\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
        "Running entrypoint for job glue-1: bash -c 'exec python'\n"
        "Running trials on 10.0.0.1:6379: RAY_ADDRESS is set; 4 at a time.\n"
    )
    assert _PREAMBLE.sub("", said).startswith("Running trials on 10.0.0.1:6379")
