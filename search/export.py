"""``python -m search.export RUN --trial N --out DIR``: take an adapter out of a run."""

from __future__ import annotations

import argparse
import shutil
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from search import environment

environment.prepare()

from search.engine.run_directory import RunDirectory  # noqa: E402 - see search.run
from search.engine.runs import Run  # noqa: E402
from search.environment import WRONG_INPUT  # noqa: E402
from search.pareto.front import front  # noqa: E402
from search.pareto.knee import knee  # noqa: E402
from search.record import StudyRecord, TrialRecord  # noqa: E402
from search.results.confirmed import read_confirmations  # noqa: E402
from search.spec import LoadedSpace, Mistake, SpecError, load_space  # noqa: E402
from search.spec.errors import first_line  # noqa: E402

#: Words for trials that one need not look up.
BEST, KNEE = "best", "knee"
_FORMS = ("peft", "aflora", "merged")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, 1 where what was written does not score as it should, or 2."""
    parser = argparse.ArgumentParser(prog="python -m search.export", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="a run directory, or that of one of its tasks")
    parser.add_argument(
        "--trial", required=True, metavar=f"N|{BEST}|{KNEE}", help="a member of the front"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="a folder that is made for it")
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
    try:
        return _export(options)
    except SpecError as error:
        print(error, file=sys.stderr)
        return WRONG_INPUT


def _export(options: argparse.Namespace) -> int:
    directory = _directory(options)
    study, trial = _chosen(directory, options)
    out = Path(options.out).absolute()
    if out.exists():
        raise SpecError("command line", [Mistake(f"--out {options.out}", "is there already")])
    loaded = load_space(directory.space, options.overrides, resumed=True)

    from search.loading import check_same_data, prepare_data, read_task
    from search.results.card import FILE, Facts, card
    from search.spec.settings import TrialSettings
    from search.trial.backbone import NotFound
    from search.trial.exported import Trained, check, measure, read, write

    task = read_task(loaded)
    trained = Trained(
        loaded.space.model,
        task,
        TrialSettings.model_validate(trial.settings),
        directory.adapters / str(trial.number),
        loaded.space.train.precision,
    )
    form = options.format or trained.forms[0]
    data = None
    if not options.unchecked:
        data = prepare_data(loaded, task)
        opened = directory.open_study()
        try:
            check_same_data(loaded, opened, data)
        finally:
            opened.close()
    # A folder that is there is whole: it is filled under another name first.
    partial = out.with_name(f".{out.name}-{uuid.uuid4().hex}")
    try:
        write(trained, form, partial)
        measured = None
        if data is not None:
            measured = measure(trained, read(trained, form, partial), data.selection)
            check(measured, trial.measures, len(data.selection))
        facts = Facts(
            form,
            task.labels,
            measured,
            0 if data is None else len(data.selection),
            _hub_data(loaded),
        )
        text = card(study, trial, read_confirmations(directory.root), facts)
        (partial / FILE).write_text(text, encoding="utf-8")
        partial.rename(out)
    except NotFound as error:
        raise loaded.error(Mistake("model", str(error))) from None
    except ValueError as error:
        print(f"trial {trial.number} is not exported: {first_line(error)}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(f"{out}: trial {trial.number}, {trial.label}, as {form}")
    if measured is not None:
        print(
            f"read back it scores {measured['score']:.4f} ({study.metric}) on the selection split, "
            f"as recorded: {trial.measures['score']:.4f}"
        )
    return 0


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
    if options.task is not None and run.several and options.task not in run.begun:
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
    names = list(study.objectives)
    members = front(study.trials, names)
    kept = [t for t in members if (directory.adapters / str(t.number)).is_dir()]
    trials: dict[str, TrialRecord] = {str(t.number): t for t in kept}
    if kept:
        trials[BEST] = max(kept, key=lambda t: t.measures.get("score", float("-inf")))
        trials[KNEE] = knee(kept, names) or trials[BEST]
    if options.trial not in trials:
        numbers = ", ".join(str(t.number) for t in kept) or "none yet; they are kept at the end"
        what = f"{options.trial} has no adapter: members of the front keep theirs ({numbers})"
        raise SpecError("command line", [Mistake("--trial", what)])
    return study, trials[options.trial]


def _hub_data(loaded: LoadedSpace) -> str | None:
    return loaded.space.data.path


if __name__ == "__main__":
    sys.exit(main())
