"""What ``search.run`` does once it knows what to search: check what needs torch, and search."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from search import environment
from search.checks import check_capacity, check_engine, check_gpu, check_schedules, check_storage
from search.console.startup import Startup
from search.spec import LoadedSpace, SpecError
from search.spec.schema import Confirm
from search.spec.tasks import Task
from search.store import Store
from search.stored import check_unused

if TYPE_CHECKING:
    from search.engine.capacity import Capacity
    from search.engine.runs import Run
    from search.engine.where import Place
    from search.part import Part
    from search.trial.data import TaskData
    from search.trial.delivery import Delivery
    from search.trial.preflight import Size


@dataclass(frozen=True)
class Wanted:
    """A search that was asked for, checked as far as can be without torch and Ray.

    Attributes:
        loaded: the space.
        run: where it is kept; new, or to go on with.
        store: of its checkpoints.
        resume: go on with it.
        address: of the Ray to use, or None.
        local: use one of this machine.
        again: the command that goes on with it.
        console: the terminal.
        startup: says what is being done.
    """

    loaded: LoadedSpace
    run: Run
    store: Store
    resume: bool
    address: str | None
    local: bool
    again: str
    console: Console
    startup: Startup


@dataclass(frozen=True)
class Material:
    """What a search works on, task by task.

    Attributes:
        spaces: as they are searched for each task.
        tasks: what is trained for.
        data: tokenised.
        sizes: of the smallest and the largest configuration of any task.
    """

    spaces: list[LoadedSpace]
    tasks: list[Task]
    data: list[TaskData]
    sizes: tuple[Size, Size]


def material(wanted: Wanted, ray: Future[Place] | None = None) -> Material:
    """Load, check and tokenise what is searched on.

    Args:
        wanted: the search.
        ray: that is being connected to meanwhile.

    Raises:
        SpecError: data or model cannot be used, a method does not fit the model, a schedule not its
            training, a sampler or pruner cannot be made; or nothing answers where Ray should be.
    """
    startup, loaded = wanted.startup, wanted.loaded
    with startup.step("loading torch and transformers"):
        from search.loading import prepare_data, read_task
        from search.trial.preflight import extremes, smallest_and_largest
    if ray is not None and ray.done():
        ray.result()  # an address where nothing answers is known by now
    spaces = [loaded.for_task(name) for name in wanted.run.tasks]
    with startup.step("trying sampler and pruner"):
        for space in spaces:
            check_engine(space)
    with startup.step(f"fitting every method to {loaded.space.model}"):
        tasks = [read_task(space) for space in spaces]
        sizes = [smallest_and_largest(*one) for one in _differing(spaces, tasks)]
    data = []
    for space, task in zip(spaces, tasks, strict=True):
        with startup.step(f"reading and tokenising {task.name}"):
            data.append(prepare_data(space, task))
        check_schedules(space, len(data[-1].train))
    return Material(spaces, tasks, data, extremes([size for both in sizes for size in both]))


def search(wanted: Wanted, held: ExitStack) -> int:
    """Search, and confirm what was found where the space asks for it; the exit status.

    Args:
        wanted: the search.
        held: what is entered into it, Ray and the run's lock, is left by the caller.

    Raises:
        SpecError: the search cannot be; nothing was written.
    """
    from search.engine.runs import RunLock

    loaded, run, startup = wanted.loaded, wanted.run, wanted.startup
    if wanted.resume:
        held.enter_context(RunLock(run))
    with startup.step("loading Ray"):
        from search.engine.where import connecting
    # Its processes start while this one loads what the checks need.
    ray = held.enter_context(connecting(wanted.address, wanted.local))
    found = material(wanted, ray)

    with startup.step("loading the engine"):
        from search.driver import Driver, deposed_by_another
        from search.engine.snapshots import Snapshots
        from search.loading import deliver
        from search.part import write_space
        from search.store import same_place

    with startup.step("starting Ray" if wanted.local else "looking for Ray, or starting it"):
        place = ray.result()
    slots = _checked_slots(wanted, place)
    # A Ray of our own is this machine, which has just read the model.
    backbone = None
    if not place.own:
        with startup.step(f"handing {loaded.space.model} to the nodes"):
            backbone = deliver(loaded)
    for note in _notes(wanted, found.spaces, place, slots):
        print(note)
    print(f"Running trials {place.why}; {slots()} at a time.", flush=True)
    if not wanted.resume:
        held.enter_context(RunLock(run))
        run.check_new()
        check_unused(run, wanted.store)
        write_space(loaded, run.directory)
    parts = _open_studies(wanted, found)
    snapshots = None
    if not same_place(wanted.store, run.root):
        snapshots = Snapshots(run, wanted.store, deposed_by_another(parts))
    driver = Driver(
        loaded, run, parts, wanted.store, snapshots, slots, place.why, wanted.console, backbone,
        wanted.again, startup.since,
    )  # fmt: skip
    # Not before: opening a study imports what Optuna's storage needs.
    environment.collect_as_usual()
    status = driver.run()
    if loaded.space.confirm is not None and driver.ended_by_itself:
        # One task that came to nothing is no reason not to confirm the others.
        return max(status, confirm_all(run, wanted.store, parts, loaded.space.confirm, backbone))
    return status


def _checked_slots(wanted: Wanted, place: Place) -> Capacity:
    """Trials at a time, on nodes that are alike, reach the store and have what a trial takes."""
    from search.engine.capacity import Capacity, read_plan
    from search.nodes import check_nodes

    loaded = wanted.loaded
    with wanted.startup.step("comparing the nodes"):
        check_nodes()
    plan: Mapping[str, Any] | None = None if place.own else read_plan()
    check_storage(wanted.run, wanted.store, plan)
    slots = Capacity(loaded.space.resources.of_ray, plan)
    check_capacity(loaded, slots)
    if place.own:
        check_gpu(loaded)
    return slots


def _notes(
    wanted: Wanted, spaces: Sequence[LoadedSpace], place: Place, slots: Capacity
) -> list[str]:
    """What the user should know before it begins."""
    from search.processor import idle_gpu, shared_gpu, slow_bf16

    space = wanted.loaded.space
    gpu = space.resources.gpu
    notes: list[str | None] = [*dict.fromkeys(note for each in spaces for note in each.notes)]
    notes.append(idle_gpu(gpu, None if place.own else slots.most_of("GPU")))
    notes.append(shared_gpu(gpu, space.objectives))
    if place.own and space.train.precision == "bf16":
        with wanted.startup.step("trying bf16 on this machine"):
            notes.append(slow_bf16(gpu > 0))
    return [note for note in notes if note is not None]


def _open_studies(wanted: Wanted, found: Material) -> list[Part]:
    from search.engine.checkpoints import Checkpoints
    from search.nodes import check_shared
    from search.part import Part, follow_data, seconds_worked

    with wanted.startup.step("opening the study"):
        check_shared(wanted.store)
        studies, worked = wanted.run.studies, seconds_worked(wanted.run)
        parts = [
            Part(space, task, rows, studies[task.name], wanted.store, worked)
            for space, task, rows in zip(found.spaces, found.tasks, found.data, strict=True)
        ]
        if wanted.resume:
            there = Checkpoints(wanted.store)
            for part, space in zip(parts, found.spaces, strict=True):
                part.catch_up(there)
                follow_data(space, part.directory)
            follow_data(wanted.loaded, wanted.run.directory)
    return parts


def confirm_all(
    run: Run, store: Store, parts: Sequence[Part], wanted: Confirm, backbone: Delivery | None
) -> int:
    """Confirm what was found on every task; the exit status."""
    from search.confirming import (
        Confirming,
        confirm,
        copied_to,
        worth_confirming,
        write_confirmed,
    )

    made, whole = [], True
    for part in parts:
        try:
            made.append(Confirming(*part.searched, part.engine.record(), wanted))
        # What is damaged of one task is no reason not to confirm the others.
        except SpecError as error:
            print(error, file=sys.stderr)
            whole = False
    found = worth_confirming(made)
    if found:
        whole = confirm(found, backbone, copied_to(store, run)) and whole
        whole = write_confirmed(run, store, found) and whole
    return 0 if whole else 1


def _differing(
    spaces: Sequence[LoadedSpace], tasks: Sequence[Task]
) -> list[tuple[LoadedSpace, Task]]:
    """A task of every search tree: what does not fit the model does not fit it on any task."""
    found = {id(space.tree): (space, task) for space, task in zip(spaces, tasks, strict=True)}
    return list(found.values())
