"""What ``search.run`` refuses before anything is written: each mistake that is known by then."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from search.flat import flattened
from search.spec import LoadedSpace, Mistake, SpecError
from search.spec.data import PLACES_OF_DATA

if TYPE_CHECKING:
    from search.engine.capacity import Capacity
    from search.engine.runs import Run
    from search.store import Store


def check_options(options: argparse.Namespace) -> None:
    """Options that contradict one another."""
    places = {"--local": options.local, "--address": options.address, "--cluster": options.cluster}
    deeds = {"--attach": options.attach, "--stop": options.stop, "--resume": options.resume}
    for group in (places, deeds):
        given = [name for name, value in group.items() if value]
        if len(given) > 1:
            what = "cannot go together; leave one out"
            raise SpecError("command line", [Mistake(" and ".join(given), what)])


def check_places(loaded: LoadedSpace) -> None:
    """A model and data of this machine must be there; this is told before anything is loaded."""
    from search.trial.places import NotFound, check_data, check_model

    try:
        check_model(loaded.space.model)
    except NotFound as error:
        raise loaded.error(Mistake("model", str(error))) from None
    for task in loaded.space.task_names:
        space = loaded.for_task(task)
        try:
            check_data(space.space.data, task)
        except NotFound as error:
            raise space.error(Mistake("data", str(error))) from None


def check_same_tasks(loaded: LoadedSpace, run: Run) -> None:
    """A run is resumed with the tasks it was started with."""
    if not run.directory.space.is_file():
        return  # there is no run, which is said next
    before = yaml.safe_load(run.directory.space.read_text(encoding="utf-8"))
    if before.get("tasks") != loaded.space.tasks:
        what = (
            f"was {before.get('tasks')!r} when the run was started, is now {loaded.space.tasks!r}"
        )
        raise SpecError(f"{loaded.source} does not fit the run to resume", [Mistake("tasks", what)])


def check_same_space(loaded: LoadedSpace, run: Run) -> None:
    """A study is resumed with the space it was started with: but for its budget, and where it runs.

    Data may lie elsewhere now; that it is the same is checked once it has been read.
    """
    where_only = {"budget", "confirm", "failures", "resources", "storage", "tracking"}
    changed = []
    for task, directory in run.begun.items():
        before = yaml.safe_load(directory.space.read_text(encoding="utf-8"))
        now = loaded.for_task(task).resolved()
        of_task = f" (for {task})" if run.several else ""
        sections = sorted({*before, *now} - where_only)
        was = flattened({key: before.get(key) for key in sections})
        wanted = flattened({key: now.get(key) for key in sections})
        changed += [
            Mistake(
                key,
                f"was {was.get(key)!r} when the run was started, "
                f"is now {wanted.get(key)!r}{of_task}",
            )
            for key in dict.fromkeys([*was, *wanted])
            if was.get(key) != wanted.get(key) and not _is_place(key)
        ]
    if changed:
        raise SpecError(f"{loaded.source} does not fit the run to resume", changed)


def _is_place(key: str) -> bool:
    section, _, name = key.partition(".")
    return section == "data" and name.partition(".")[0] in PLACES_OF_DATA


def check_engine(loaded: LoadedSpace) -> None:
    """Sampler and pruner must exist and take what the file gives them."""
    from search.engine.pruners import make_judge
    from search.engine.rehearsal import rehearse

    mistakes = []
    try:
        rehearse(loaded.space.sampler, loaded.tree, list(loaded.space.objectives))
    except ValueError as error:
        mistakes.append(Mistake("sampler", str(error)))
    try:
        make_judge(loaded.space.pruner, tuple(loaded.space.objectives))
    except ValueError as error:
        mistakes.append(Mistake("pruner", str(error)))
    if mistakes:
        raise loaded.error(*mistakes)


def check_schedules(loaded: LoadedSpace, rows: int) -> None:
    """Every configuration must have room for its freezing schedule in a trial of this length."""
    from search.spec.relations import schedule_mistakes, settings_mistakes
    from search.trial.training import length_of

    length = length_of(loaded.space.train, rows)
    mistakes = schedule_mistakes(loaded.tree, length)
    for entry in loaded.enqueued:
        mistakes += settings_mistakes(entry.settings, length, entry.where)
    if mistakes:
        raise loaded.error(*mistakes)


def check_machine(loaded: LoadedSpace, options: argparse.Namespace) -> None:
    """What a trial takes must be here, where it is known that trials run here."""
    if not options.local:
        return
    from search.engine.cpus import cpus_here

    cpus = cpus_here()
    if loaded.space.resources.cpu > cpus:
        what = f"a trial takes {loaded.space.resources.cpu:g} CPUs, this machine has {cpus}"
        raise loaded.error(Mistake("resources.cpu", what))


def check_gpu(loaded: LoadedSpace) -> None:
    """A GPU of this machine, which Ray counts by its driver, must be one that torch can use."""
    from search.trial.process import why_no_gpu

    if loaded.space.resources.gpu and (why := why_no_gpu()) is not None:
        raise loaded.error(Mistake("resources.gpu", f"this machine has a GPU, but {why}"))


def check_storage(run: Run, store: Store, plan: Mapping[str, Any] | None) -> None:
    """Machines that a cluster starts later must find the run's checkpoints too.

    Args:
        run: that is to begin or to go on.
        store: where its checkpoints lie.
        plan: of the cluster whose head this is; None where it is none.
    """
    from search.store import same_place

    provider = (plan or {}).get("provider", {}).get("type", "local")
    if provider == "local" or not same_place(store, run.root):
        return
    what = (
        f"is the run directory, {run.root}, which the machines that this cluster starts do not "
        "reach; take one that all nodes reach (--storage s3://bucket/runs, --storage /shared/runs)"
    )
    raise SpecError("the cluster", [Mistake("storage", what)])


def check_capacity(loaded: LoadedSpace, capacity: Capacity) -> None:
    """A trial that fits nowhere would wait for ever."""
    wanted = loaded.space.resources
    keys = {"CPU": "cpu", "GPU": "gpu", "memory": "memory"}
    mistakes = []
    for unit, amount in wanted.of_ray.items():
        most = capacity.most_of(unit)
        if amount > most:
            scale = 2**30 if unit == "memory" else 1
            named = {"memory": "GiB of memory"}.get(unit, f"{unit}s" if unit in keys else unit)
            what = (
                f"a trial takes {amount / scale:g} {named}, the largest node has {most / scale:.3g}"
            )
            mistakes.append(Mistake(f"resources.{keys.get(unit, f'custom.{unit}')}", what))
    if not mistakes and not capacity():
        told = ", ".join(f"{name} {amount:g}" for name, amount in wanted.of_ray.items())
        mistakes.append(Mistake("resources", f"no node has all of it at once: {told}"))
    if mistakes:
        raise loaded.error(*mistakes)
