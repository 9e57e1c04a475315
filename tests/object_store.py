"""A real server that speaks S3, on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
BUCKET = "bucket"


@contextmanager
def object_store(log: Path) -> Iterator[dict[str, str]]:
    """Serves one bucket from memory; what clients need in their environment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with log.open("w") as output:
        words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(words, stdout=output, stderr=output)
    address = f"http://127.0.0.1:{port}"
    try:
        _make(f"{address}/{BUCKET}")
        yield CREDENTIALS | {"AWS_ENDPOINT_URL": address}
    finally:
        server.kill()
        server.wait()


def _make(bucket: str) -> None:
    last = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(bucket, method="PUT")).close()
            return
        except OSError:
            if time.monotonic() > last:
                raise
            time.sleep(0.1)
