"""What a search takes of machines and of servers, as the space file says it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, field_validator

from search.spec.section import PositiveNumber, Section


def refuse_password(url: str, instead: str) -> None:
    """Refuse a URL with a password: the space is written into the run directory, which is shared.

    Args:
        url: as given.
        instead: where the password may stand.

    Raises:
        ValueError: there is one.
    """
    parts = urlsplit(url)
    asked = [(key, value) for key, value in parse_qsl(parts.query) if "pass" in key or key == "pwd"]
    secrets = [parts.password, *(value for _, value in asked)]
    if any(secret is not None for secret in secrets):
        shown = url
        for secret in filter(None, secrets):
            shown = shown.replace(secret, "…")
        raise ValueError(
            f"would write a password into the run directory ({shown}); leave it out and set "
            f"{instead}"
        )


class StudyStorage(Section):
    """Where the study lies: by default an SQLite file in the run directory.

    Attributes:
        storage: any storage URL of Optuna; without a password, which the database's client takes
            from its own environment (``PGPASSWORD``).
    """

    storage: str | None = None

    @field_validator("storage")
    @classmethod
    def _no_password(cls, storage: str | None) -> str | None:
        if storage is None:
            return None
        if not urlsplit(storage).scheme or "://" not in storage:
            raise ValueError(
                f"takes a URL such as postgresql+psycopg://user@host/database, got {storage!r}"
            )
        refuse_password(storage, "PGPASSWORD or a password file")
        return storage


class Resources(Section):
    """What one trial takes of a machine.

    Attributes:
        cpu: cores; a trial uses as many threads.
        gpu: a part of one is enough where several trials share it; a trial trains on one at most,
            and on the CPU where it is 0.
        memory: GiB that are set aside for it.
        custom: of resources that nodes were given a name for when they were started.
    """

    cpu: PositiveNumber = 1
    gpu: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0
    memory: PositiveNumber | None = None
    custom: dict[str, PositiveNumber] = Field(default_factory=dict)

    @field_validator("custom")
    @classmethod
    def _not_built_in(cls, custom: dict[str, float]) -> dict[str, float]:
        for name in custom:
            if name.lower() in {"cpu", "gpu", "memory", "object_store_memory"}:
                raise ValueError(f"{name} is no resource of your own")
        return custom

    @property
    def of_ray(self) -> dict[str, float]:
        """What a trial takes, by the names that Ray gives to resources."""
        memory = 0 if self.memory is None else round(self.memory * 2**30)
        wanted = {"CPU": self.cpu, "GPU": self.gpu, "memory": memory, **self.custom}
        return {name: amount for name, amount in wanted.items() if amount}


class Tracking(Section):
    """Where MLflow records; by default an SQLite file in the run directory.

    ``system_metrics``: also what the machine that leads the search is doing; where it is not
    given, MLflow's own ``MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING`` says so.
    """

    uri: str | None = None
    experiment: str | None = None
    system_metrics: bool | None = None

    @field_validator("uri")
    @classmethod
    def _no_password(cls, uri: str | None) -> str | None:
        if uri is not None:
            refuse_password(uri, "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
        return uri
