"""A Ray cluster on several hosts, brought up with this project's own files as a user would."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.hosts import ROOT, Host, Hosts

CLUSTER_NAME = "aflora-search-test"


@dataclass
class Laptop:
    """This machine, as the user's: it brings the cluster up and hands it searches.

    Attributes:
        net: the network of the hosts.
        home: of the user.
        cluster: the cluster file.
    """

    net: Hosts
    home: Path
    cluster: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        path = f"{Path(sys.executable).parent}:{kept['PATH']}"
        return kept | {
            "PATH": path,
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONUNBUFFERED": "1",
        }

    def command(
        self, *words: str, folder: Path = ROOT, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, by default in a clone of this project; what it printed is one text."""
        return subprocess.run(
            words, cwd=folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
        )  # fmt: skip


def laptop(net: Hosts, head: Host, workers: Sequence[Host]) -> Laptop:
    """Fill in ``deploy/onprem.yaml`` for the hosts, and make the token that it mounts."""
    home = net.folder / "laptop"
    (home / "tmp").mkdir(parents=True)
    content = yaml.safe_load((ROOT / "deploy" / "onprem.yaml").read_text())
    content["cluster_name"] = CLUSTER_NAME
    content["provider"] |= {"head_ip": head.address, "worker_ips": [w.address for w in workers]}
    content["max_workers"] = len(workers)
    content["auth"] = {"ssh_user": "root", "ssh_private_key": str(net.key)}
    cluster = home / "cluster.yaml"
    cluster.write_text(yaml.safe_dump(content))
    made = Laptop(net, home, cluster)
    told = made.command("ray", "get-auth-token", "--generate")
    assert told.returncode == 0, told.stdout
    return made


def install(host: Host) -> None:
    """What ``deploy/setup.sh`` would install, taken from this environment: it takes minutes."""
    environment = host.home / "aflora-venv"
    environment.mkdir()
    for name in ("bin", "lib", "include", "pyvenv.cfg"):
        if (Path(sys.prefix) / name).exists():
            (environment / name).symlink_to(Path(sys.prefix) / name)
    lock = (ROOT / "constraints.txt").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    (environment / ".lock").write_text(hashlib.sha256(lock).hexdigest() + "\n")
