"""``python -m search.export RUN --trial N --out DIR``: take an adapter out of a run.

``--register NAME`` puts it into MLflow's model registry.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search import environment

environment.prepare()

from search.engine.run_directory import RunDirectory  # noqa: E402 - see search.run
from search.engine.runs import Run  # noqa: E402
from search.environment import INTERRUPTED, WRONG_INPUT  # noqa: E402
from search.pareto.front import front  # noqa: E402
from search.pareto.knee import knee, with_adapter  # noqa: E402
from search.record import StudyRecord, TrialRecord  # noqa: E402
from search.results.confirmed import read_confirmations  # noqa: E402
from search.spec import LoadedSpace, Mistake, SpecError, load_space  # noqa: E402
from search.spec.errors import first_line  # noqa: E402

if TYPE_CHECKING:
    from search.tracking.mlflow_store import MLflowStore
    from search.trial.exported import Form

#: Words for trials that one need not look up.
BEST, KNEE = "best", "knee"
_FORMS = ("peft", "aflora", "merged")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, 1 where what was written does not score as it should, 2, or 130."""
    parser = argparse.ArgumentParser(
        prog="python -m search.export", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("run", metavar="RUN", help="a run directory, or that of one of its tasks")
    parser.add_argument(
        "--trial", required=True, metavar=f"N|{BEST}|{KNEE}", help="a member of the front"
    )
    parser.add_argument("--out", metavar="DIR", help="a folder that is made for it")
    parser.add_argument(
        "--register",
        metavar="NAME",
        help="put it, merged, into the model registry of the MLflow that recorded the run",
    )
    parser.add_argument("--task", metavar="NAME", help="of a run of several tasks")
    parser.add_argument(
        "--format",
        choices=_FORMS,
        help="peft: an adapter for plain PEFT; aflora: one for aflora.load; merged: a model of "
        "plain layers (default: the first of these that the method has)",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="where data or model lie now, as in data.dir=/path",
    )
    parser.add_argument(
        "--unchecked",
        action="store_true",
        help="do not measure what was written, which needs the data",
    )
    options = parser.parse_args(arguments)
    environment.heed_signals()
    try:
        return _export(options)
    except SpecError as error:
        print(error, file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        print("stopped: what is not named above was not exported", file=sys.stderr)
        return INTERRUPTED


def _export(options: argparse.Namespace) -> int:
    if options.out is None and options.register is None:
        what = "are both missing: where shall it go?"
        raise SpecError("command line", [Mistake("--out and --register", what)])
    if options.format is not None and options.out is None:
        what = "is of --out; what is registered is merged"
        raise SpecError("command line", [Mistake("--format", what)])
    out = None if options.out is None else Path(options.out).absolute()
    if out is not None and out.exists():
        raise SpecError("command line", [Mistake(f"--out {options.out}", "is there already")])
    directory = _directory(options)
    study, trial = _chosen(directory, options)
    loaded = load_space(directory.space, options.overrides, resumed=True)

    from search.trial.places import NotFound

    try:
        exporting = _Exporting(directory, loaded, study, trial, checked=not options.unchecked)
        # What can be asked of the registry is known before anything is written.
        store = None if options.register is None else exporting.registry(options.register)
        if out is not None:
            exporting.to_folder(options.format or exporting.forms[0], out)
        if store is not None:
            exporting.to_registry(store, options.register)
    except NotFound as error:
        raise loaded.error(Mistake("model", str(error))) from None
    except (ValueError, OSError) as error:
        print(f"trial {trial.number} is not exported: {first_line(error)}", file=sys.stderr)
        return 1
    return 0


class _Exporting:
    """A trial on its way out of a run.

    Args:
        directory: of its study.
        loaded: the space.
        study: that it belongs to.
        trial: whose adapter was kept.
        checked: whether what is written is read back and measured.

    Raises:
        SpecError: model or data cannot be found, or are others than those of the search.
    """

    def __init__(
        self,
        directory: RunDirectory,
        loaded: LoadedSpace,
        study: StudyRecord,
        trial: TrialRecord,
        *,
        checked: bool,
    ) -> None:
        from transformers.utils import logging

        from search.loading import check_same_data, prepare_data, read_task
        from search.spec.settings import TrialSettings
        from search.trial.exported import Trained

        logging.disable_progress_bar()
        self._directory = directory
        self._loaded = loaded
        self._study = study
        self._trial = trial
        self._task = read_task(loaded)
        self._trained = Trained(
            loaded.space.model,
            self._task,
            TrialSettings.model_validate(trial.settings),
            directory.adapters / str(trial.number),
            loaded.space.train.precision,
            loaded.space.resources.gpu > 0,
        )
        self._selection = None
        if checked:
            data = prepare_data(loaded, self._task)
            opened = directory.open_study()
            try:
                check_same_data(loaded, opened, self._task, data)
            finally:
                opened.close()
            self._selection = data.selection

    @property
    def forms(self) -> tuple[Form, ...]:
        return self._trained.forms

    def to_folder(self, form: Form, out: Path) -> None:
        """Write it with its model card into a folder that is made for it.

        Raises:
            ValueError: it has no such form, or what was written does not score as it should.
        """
        # A folder that is there is whole: it is filled under another name first.
        partial = out.with_name(f".{out.name}-{uuid.uuid4().hex}")
        try:
            measured = self._written(form, partial)
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        print(f"{out}: {self._named}, as {form}")
        self._say(measured)

    def registry(self, name: str) -> MLflowStore:
        """MLflow's store of the run, in which a model can be registered by this name.

        Raises:
            ValueError: it cannot be reached, has no run of the trial, or refuses the name.
        """
        from search.tracked import store_opener
        from search.tracking.registry import opened

        study_id = self._study.provenance["study_id"]
        open_store = store_opener(self._loaded, self._directory, study_id)
        return opened(open_store, self._trial.number, name)

    def to_registry(self, store: MLflowStore, name: str) -> None:
        """Put it into MLflow's model registry, merged, as a model that serves predictions.

        Raises:
            ValueError: it does not score as it should, or MLflow does not take it.
        """
        from search.tracking.registry import as_mlflow, register

        with tempfile.TemporaryDirectory(prefix="export-") as scratch:
            merged, model = Path(scratch) / "merged", Path(scratch) / "model"
            measured = self._written("merged", merged)
            as_mlflow(merged, model)
            version = register(store, self._trial.number, model, name)
        print(f"models:/{name}/{version}: {self._named}")
        self._say(measured)

    def _written(self, form: Form, folder: Path) -> Mapping[str, float] | None:
        from search.results.card import FILE, Facts, card
        from search.trial.backbone import other_head
        from search.trial.exported import check, read, write

        write(self._trained, form, folder)
        measured, rows, other = None, None, False
        if self._selection is not None:
            rows = len(self._selection)
            model = read(self._trained, form, folder)
            measured = check(self._trained, model, self._selection, self._trial.measures)
            # Who does not check may have no model at hand to ask.
            other = other_head(self._study.model, self._task.labels)
        facts = Facts(
            form,
            self._task.labels,
            measured,
            rows,
            self._loaded.space.data.path,
            other,
        )
        confirmations = read_confirmations(self._directory.root)
        text = card(self._study, self._trial, confirmations, facts)
        (folder / FILE).write_text(text, encoding="utf-8", errors="replace")
        return measured

    @property
    def _named(self) -> str:
        return f"trial {self._trial.number}, {self._trial.label}"

    def _say(self, measured: Mapping[str, float] | None) -> None:
        if measured is not None:
            print(
                f"read back it scores {measured['score']:.4f} ({self._study.metric}) on the "
                f"selection split, as recorded: {self._trial.measures['score']:.4f}"
            )


def _directory(options: argparse.Namespace) -> RunDirectory:
    root = Path(options.run).absolute()
    study = Run.study_at(root)
    if study is not None:
        return study
    run = Run.at(root)
    if not run.begun:
        raise SpecError(options.run, [Mistake("(folder)", "holds no run (no study.db)")])
    if run.several and options.task is None:
        what = f"is needed: the run has {', '.join(run.begun)}"
        raise SpecError("command line", [Mistake("--task", what)])
    if run.several and options.task not in (None, *run.begun):
        what = f"{options.task!r} is not in this run, which has {', '.join(run.begun)}"
        raise SpecError("command line", [Mistake("--task", what)])
    return run.begun[options.task] if run.several else next(iter(run.begun.values()))


def _chosen(
    directory: RunDirectory, options: argparse.Namespace
) -> tuple[StudyRecord, TrialRecord]:
    """The study, and the trial that is meant.

    Raises:
        SpecError: there is none, or its adapter was not kept.
    """
    try:
        opened = directory.open_study()
    except ValueError as error:
        raise SpecError(options.run, [Mistake("study", str(error))]) from None
    study = opened.record(opened.trials())
    opened.close()
    if options.task not in (None, study.task):
        what = f"is {options.task!r}, but {options.run} is of {study.task}"
        raise SpecError("command line", [Mistake("--task", what)])
    names = list(study.objectives)
    members = front(study.trials, names)
    kept = [t for t in members if (directory.adapters / str(t.number)).is_dir()]
    trials: dict[str, TrialRecord] = {str(t.number): t for t in kept}
    if kept:
        # Of two alike the one with fewer trainable parameters, as everywhere.
        trials[BEST] = max(
            kept,
            key=lambda t: (
                t.measures.get("score", float("-inf")),
                -t.measures.get("trainable_params", 0.0),
            ),
        )
    # The one that the report marks, whatever was kept of the others.
    middle = knee(members, names)
    if middle in kept:
        trials[KNEE] = middle
    if options.trial == KNEE and kept and middle is None:
        what = (
            f"{KNEE} needs a front with three adapters or more, this one has "
            f"{len(with_adapter(members))}; take {BEST}"
        )
        raise SpecError("command line", [Mistake("--trial", what)])
    if options.trial not in trials:
        numbers = ", ".join(str(t.number) for t in kept) or "none yet; they are kept at the end"
        if options.trial in (BEST, KNEE, *(str(t.number) for t in study.trials)):
            what = f"{options.trial} has no adapter: members of the front keep theirs ({numbers})"
        else:
            what = (
                f"takes {BEST}, {KNEE} or a number of this run, got {options.trial!r}; "
                f"with an adapter: {numbers}"
            )
        raise SpecError("command line", [Mistake("--trial", what)])
    return study, trials[options.trial]


if __name__ == "__main__":
    sys.exit(main())
