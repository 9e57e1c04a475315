"""A folder on a disk and one in an object store: what is asked of one the other answers as well."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.store import Store, same_place
from tests.object_store import BUCKET, object_store


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with object_store(tmp_path_factory.mktemp("s3") / "log") as found:
        yield found


@pytest.fixture(params=["disk", "s3"])
def store(
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Store:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    place = tmp_path / "store" if request.param == "disk" else f"s3://{BUCKET}/{tmp_path.name}"
    return Store.at(place).below("run")


def put(store: Store, folder: Path, relative: str, text: str) -> None:
    source = folder / "source"
    source.write_text(text)
    store.put(source, relative)


def test_what_is_put_is_found_again_here_and_in_another_process(
    store: Store, tmp_path: Path
) -> None:
    put(store, tmp_path, "trials/001/0-0/checkpoint_0/head", "tensors")
    put(store, tmp_path, "space.yaml", "name: ä")
    for found in (store, pickle.loads(pickle.dumps(store))):
        assert found.names() == ["space.yaml", "trials"]
        assert found.names("trials/001/0-0") == ["checkpoint_0"]
        assert found.files() == ["space.yaml", "trials/001/0-0/checkpoint_0/head"]
        assert found.files(without=["trials"]) == ["space.yaml"]
        assert found.read("space.yaml") == "name: ä"
        assert found.is_file("space.yaml")
        assert not found.is_file("trials")
        assert found.is_folder("trials/001")
        assert not found.is_folder("trials/002")
    put(store, tmp_path, "space.yaml", "name: b")
    store.get("space.yaml", tmp_path / "made" / "fetched")
    assert (tmp_path / "made" / "fetched").read_text() == "name: b"


def test_what_is_not_there_is_nothing_or_an_error_that_says_so(
    store: Store, tmp_path: Path
) -> None:
    assert store.names() == []
    assert store.names("trials") == []
    put(store, tmp_path, "a file", "1")
    assert store.names("a file") == []
    store.delete("a file")
    assert store.files() == []
    assert store.read("space.yaml") is None
    store.delete("trials")
    with pytest.raises(FileNotFoundError):
        store.get("space.yaml", tmp_path / "fetched")
    with pytest.raises(FileNotFoundError, match="checkpoint_1"), store.opened("checkpoint_1"):
        pass


def test_a_folder_is_opened_and_deleted_with_all_that_is_in_it(
    store: Store, tmp_path: Path
) -> None:
    put(store, tmp_path, "trials/a/head", "1")
    put(store, tmp_path, "trials/a/state/optimizer", "2")
    put(store, tmp_path, "trials/ab/head", "3")
    with store.opened("trials/a") as folder:
        assert (folder / "head").read_text() == "1"
        assert (folder / "state" / "optimizer").read_text() == "2"
    store.delete("trials/a")
    assert store.files() == ["trials/ab/head"]
    store.delete("trials/ab/head")
    assert store.files() == []


def test_a_relative_path_is_of_the_folder_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert same_place(Store.at("runs").below("a"), tmp_path / "runs" / "a")
    assert not same_place(Store.at(tmp_path), tmp_path / "runs")
    assert str(Store.at("runs").below("a")) == str(tmp_path / "runs" / "a")


def test_an_address_is_shown_as_it_was_given(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    store = Store.at(f"s3://{BUCKET}/runs")
    assert str(store.below("a")) == f"s3://{BUCKET}/runs/a"
    assert not same_place(store, Path("runs"))


@pytest.mark.parametrize("place", ["nope://bucket/runs", "s3://"])
def test_a_place_that_nothing_knows_is_named(place: str) -> None:
    with pytest.raises(ValueError, match=f"{place} cannot be used"):
        Store.at(place)
