"""Where a trial finds its backbone: on the driver's node by its name, elsewhere through Ray."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import ray

from search.trial.packed import kept, pack, unpack
from search.trial.training import TrialJob


@dataclasses.dataclass(frozen=True)
class Delivery:
    """A backbone in the object store.

    Attributes:
        node: that has it already.
        fingerprint: of its files.
        reference: of a :class:`Backbone`; fetched by a node that lacks it, and by no other.
    """

    node: str
    fingerprint: str
    reference: Any

    @classmethod
    def of(cls, model: str) -> Delivery:
        """Put a model that this node has into the object store.

        Raises:
            NotFound: it is not here.
        """
        backbone = pack(model)
        here = ray.get_runtime_context().get_node_id()
        return cls(here, backbone.fingerprint, ray.put(backbone))

    def place(self) -> Path | None:
        """The folder of the model on this node; None where it is found by its name."""
        if ray.get_runtime_context().get_node_id() == self.node:
            return None
        folder = kept(self.fingerprint)
        return folder if folder.is_dir() else unpack(ray.get(self.reference))


def placed(job: TrialJob, delivery: Delivery | None) -> TrialJob:
    """The job with the place of its backbone on this node."""
    place = None if delivery is None else delivery.place()
    return job if place is None else dataclasses.replace(job, place=str(place))
