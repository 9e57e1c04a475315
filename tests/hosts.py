"""Several hosts on one machine: each with network, processes, /tmp and home of its own, and an sshd."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.waiting import until

ROOT = Path(__file__).resolve().parents[1]
NETWORK = "10.77.0"
BRIDGE = "afl-bridge"
# Of this process: several try at the same time, and a name is there once.
TRIED = f"afl-t{os.getpid()}"[:12]
NEEDED = ("unshare", "setpriv", "nsenter", "ip", "rsync", "ssh", "ssh-keygen")
SSHD = "/usr/sbin/sshd"

# Run as the first process of a host, with its own mounts, network and processes.
_BOOT = """
set -e
mount --make-rprivate /
mkdir -p {keep}
at=0
for folder in {kept}; do
    at=$((at + 1)); mkdir -p {keep}/$at; mount --bind "$folder" {keep}/$at
done
mount -t tmpfs host /tmp
mount -t proc proc /proc
mount -t sysfs sys /sys 2>/dev/null || true
at=0
for folder in {kept}; do
    at=$((at + 1)); mkdir -p "$folder"; mount --bind {keep}/$at "$folder"
done
mkdir -p /run/sshd
mount --bind {files}/passwd /etc/passwd
mount --bind {files}/hosts /etc/hosts
hostname {name}
echo ready > {files}/ready
while [ ! -e {files}/connected ]; do sleep 0.05; done
ip link set lo up
ip link set eth0 up
ip addr add {address}/24 dev eth0
exec {sshd} -D -e -f {files}/sshd_config
"""
_SSHD_CONFIG = """
ListenAddress {address}
HostKey {files}/host_key
AuthorizedKeysFile {keys}
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
AllowTcpForwarding yes
MaxSessions 100
"""


def what_is_missing() -> str | None:
    """Why no hosts can be made here, or None."""
    if sys.platform != "linux":
        return "hosts need Linux"
    if os.geteuid() != 0:
        return "hosts need root, for namespaces and a bridge"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    missing += [] if Path(SSHD).exists() else ["sshd"]
    if missing:
        return f"hosts need {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "ip", "link", "set", "lo", "up"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tried.returncode != 0:
        return f"namespaces cannot be made here: {tried.stderr.strip()}"
    for kind in (["type", "bridge"], ["type", "veth", "peer", "name", f"{TRIED}-in"]):
        tried = subprocess.run(
            ["ip", "link", "add", TRIED, *kind], capture_output=True, text=True, check=False
        )
        subprocess.run(["ip", "link", "delete", TRIED], capture_output=True, check=False)
        if tried.returncode != 0:
            return f"a {kind[1]} cannot be made here: {tried.stderr.strip()}"
    return None


@dataclass
class Host:
    """A host that has booted.

    Attributes:
        name: its name.
        address: in the network.
        home: root's home on it, as a folder of this machine.
        process: keeps it alive.
    """

    name: str
    address: str
    home: Path
    process: subprocess.Popen[bytes]

    @property
    def link(self) -> str:
        """The other end of its cable, here."""
        return f"afl-{self.name}"

    def cut_off(self) -> None:
        """Pull the cable."""
        run("ip", "link", "set", self.link, "down")

    def plug_in(self) -> None:
        run("ip", "link", "set", self.link, "up")

    def kill(self) -> None:
        """Power off: all its processes end at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    @property
    def first_process(self) -> int:
        """Its process 1, as this machine numbers it."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text())

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command on it, past the network."""
        enter = ["nsenter", "--target", str(self.first_process), "--all", "--wd=/"]
        return subprocess.run(
            [*enter, "env", f"HOME={self.home}", *words],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip


@dataclass
class Hosts:
    """A network of hosts; this machine is on it as well.

    Attributes:
        folder: what is theirs, of this machine's disk.
        key: private key that all of them let in.
        address: of this machine in the network.
        kept: folders of this machine that hosts see at the same place.
    """

    folder: Path
    kept: Sequence[Path]
    address: str = f"{NETWORK}.254"
    _made: list[Host] = field(default_factory=list)

    @property
    def key(self) -> Path:
        return self.folder / "id_ed25519"

    def boot(self, name: str, number: int) -> Host:
        """Start a host and wait until it lets in."""
        address = f"{NETWORK}.{number}"
        files, home = self.folder / name, self.folder / name / "home"
        home.mkdir(parents=True)
        _write_files(files, home, name, address, self.key.with_suffix(".pub"))
        keep = f"/run/aflora-hosts-{name}"
        script = _BOOT.format(
            kept=" ".join(f"'{folder}'" for folder in self.kept), keep=keep, files=files,
            name=name, address=address, sshd=SSHD,
        )  # fmt: skip
        flags = ["--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
        with (files / "log").open("w") as log:
            process = subprocess.Popen(
                # Who is killed leaves no host behind.
                ["setpriv", "--pdeathsig", "KILL", "unshare", *flags, "bash", "-c", script],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.environ["PATH"]},
            )  # fmt: skip
        host = Host(name, address, home, process)
        self._made.append(host)
        _booted((files / "ready").exists, process)
        subprocess.run(["ip", "link", "delete", host.link], capture_output=True, check=False)
        run("ip", "link", "add", host.link, "type", "veth", "peer", "name", f"{host.link}-in")
        run(
            "ip", "link", "set", f"{host.link}-in", "netns", str(host.first_process), "name", "eth0"
        )
        run("ip", "link", "set", host.link, "master", BRIDGE, "up")
        (files / "connected").touch()
        _booted(lambda: _answers(address), process)
        return host

    def shut_down(self) -> None:
        for host in self._made:
            host.kill()
            subprocess.run(["ip", "link", "delete", host.link], capture_output=True, check=False)


@contextmanager
def hosts(kept: Sequence[Path] = ()) -> Iterator[Hosts]:
    """A network without hosts, and its end with all that were booted."""
    folder = Path(tempfile.mkdtemp(prefix="aflora-hosts-", dir="/var/tmp"))
    subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True, check=False)
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    made = Hosts(folder, [ROOT, Path(sys.prefix), *kept])
    try:
        run("ip", "addr", "add", f"{made.address}/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made.key))
        yield made
    finally:
        made.shut_down()
        run("ip", "link", "delete", BRIDGE)
        shutil.rmtree(folder, ignore_errors=True)


def _write_files(files: Path, home: Path, name: str, address: str, public_key: Path) -> None:
    root = pwd.getpwuid(0)
    lines = Path("/etc/passwd").read_text().splitlines()
    own = [
        line if not line.startswith("root:") else line.replace(f":{root.pw_dir}:", f":{home}:")
        for line in lines
    ]
    (files / "passwd").write_text("\n".join(own) + "\n")
    (files / "hosts").write_text(f"127.0.0.1 localhost\n{address} {name}\n")
    config = _SSHD_CONFIG.format(address=address, files=files, keys=public_key)
    (files / "sshd_config").write_text(config)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(files / "host_key"))


def _answers(address: str) -> bool:
    try:
        socket.create_connection((address, 22), timeout=1).close()
    except OSError:
        return False
    return True


def _booted(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for a step of a host's start; one that died on the way is an error."""

    def alive_and_well() -> bool:
        assert process.poll() is None, "the host did not boot"
        return holds()

    until(alive_and_well, 30)


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)
