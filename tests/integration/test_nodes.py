"""A cluster whose nodes do not run the same program is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from search import nodes
from search.nodes import PROGRAM, differences, fingerprint
from search.spec import SpecError
from search.store import Store

ROOT = Path(__file__).resolve().parents[2]
# Two nodes on one machine; workers of the second find another copy of this program.
SCRIPT = """
import sys
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from search.nodes import check_nodes, check_shared
from search.spec import SpecError
from search.store import Store

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": sys.argv[1]})
ray.init(address=cluster.address, log_to_driver=False)
try:
    check_shared(Store.at(sys.argv[1]))
    print("all reach it")
    check_nodes()
    print("all alike")
except SpecError as error:
    print(error)
finally:
    ray.shutdown()
    cluster.shutdown()
"""


def test_what_is_the_same_everywhere_is_not_told() -> None:
    alike = {"a": {"python": "3.11", "torch": "2"}, "b": {"python": "3.11", "torch": "2"}}
    assert differences(alike) == ""
    other = alike | {"c": {"python": "3.11"}}
    assert differences(other).splitlines() == [
        "  node  torch",
        "  a     2",
        "  b     2",
        "  c     –",
    ]


def test_the_fingerprint_is_of_names_and_contents_and_not_of_where_they_lie(
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        for package in ("aflora", "search"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, tmp_path / name / package, ignore=ignored)
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two") == fingerprint()
    (tmp_path / "one/search/run.py").rename(tmp_path / "one/search/walk.py")
    with (tmp_path / "two/search/run.py").open("a") as file:
        file.write("#")
    assert len({fingerprint(), *(fingerprint(tmp_path / name) for name in ("one", "two"))}) == 3


def test_a_node_with_another_copy_of_the_program_is_named(tmp_path: Path) -> None:
    for package in ("aflora", "search"):
        shutil.copytree(ROOT / package, tmp_path / package)
    with (tmp_path / "search/run.py").open("a") as file:
        file.write("# changed\n")
    script = tmp_path / "check.py"
    script.write_text(SCRIPT)
    ended = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert "all reach it" in ended.stdout, ended.stderr
    assert not list(tmp_path.glob(".seen-by-all*"))
    assert "nodes: are not alike" in ended.stdout, ended.stderr
    assert PROGRAM in ended.stdout
    assert fingerprint() in ended.stdout
    assert fingerprint(tmp_path) in ended.stdout
    assert "torch" not in ended.stdout


def test_a_folder_that_a_node_does_not_reach_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nodes of a test share this machine's disk, so what one of them sees is made up."""
    others = [{"NodeID": name, "NodeManagerAddress": f"10.0.0.{name}"} for name in "12"]
    monkeypatch.setattr(nodes, "_others", lambda: others)
    monkeypatch.setattr(
        nodes, "_sees", lambda node_id, store, path: node_id == "1" and store.is_file(path)
    )
    with pytest.raises(SpecError, match=r"is not reached by 10\.0\.0\.2; take one that"):
        nodes.check_shared(Store.at(tmp_path))
    assert list(tmp_path.iterdir()) == []
