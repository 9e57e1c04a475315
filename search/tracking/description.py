"""What MLflow shows of a run before its numbers: descriptions in Markdown."""

from __future__ import annotations

from search.pareto.front import front
from search.record import StudyRecord, TrialRecord
from search.results.catalogue import COMMANDS
from search.results.headline import headline, listed
from search.results.markdown import code, plain, table
from search.results.measured import final
from search.results.units import readable, title

#: Rows of the front; more do not fit into a description.
MOST_ROWS = 20
# Of names that people give, and of what a program said when it failed.
_NAME_LENGTH = 60
_REASON_LENGTH = 500
_HEADLINE_LENGTH = 1500

_BESIDE = ("trainable_params_start", "trainable_params_end", "train_seconds", "train_flops")
_PLACE = "the folder in which `report.html` lies"


def of_trial(study: StudyRecord, trial: TrialRecord, member: bool) -> str:
    """What a trial is, what it reached, why it stopped, how to take it home.

    Args:
        study: that it belongs to.
        trial: that has begun.
        member: whether it is on the front.
    """
    mark = f", enqueued as {code(_short(trial.mark))}" if trial.mark else ""
    # The page shows the first lines, and the others at a click.
    lines = [
        _became(study, trial, member),
        "",
        f"Trial {trial.number} of the search {code(_short(study.name))} on "
        f"{code(_short(study.task))}: {code(_short(trial.label))}{mark}.",
    ]
    if trial.failures:
        lines += ["", "Earlier attempts at it ended with:", ""]
        lines += [f"- {code(_reason(text))}" for text in trial.failures[-5:]]
    lines += _reached(study, trial)
    if member:
        lines += ["", f"Take it home once the search has ended; `RUN` is {_PLACE}:"]
        for purpose, needs, command in COMMANDS:
            if needs != "adapter":
                continue
            told = command.format(run="RUN", trial=trial.number)
            lines += ["", f"{purpose}:", "", "```sh", told, "```"]
    elif trial.state == "complete":
        lines += ["", "Its adapter is not kept: those of the front are."]
    return "\n".join(lines)


def of_study(study: StudyRecord) -> str:
    """What a search has found so far, its front, and where there is more."""
    names = list(study.objectives)
    members = front(study.trials, names)
    lines = [plain(_cut(" ".join(headline(study)), _HEADLINE_LENGTH))]
    if members:
        head = ["trial", "configuration", *(plain(title(name, study.metric)) for name in names)]
        rows = [
            [str(trial.number), _configuration(trial), *(_value(trial, name) for name in names)]
            for trial in members[:MOST_ROWS]
        ]
        lines += ["", *table(head, rows)]
    if len(members) > MOST_ROWS:
        lines += ["", f"{len(members) - MOST_ROWS} more are in `front.json`."]
    measures = dict.fromkeys([*names, "trainable_params", "train_seconds"])
    meant = "; ".join(f"`{name}`, {_meant(study, name)}" for name in measures)
    return "\n".join([
        *lines, "",
        "**Look closer**: once the search has ended, `report.html` is among the artifacts; "
        f"`python -m search.report RUN` writes it at any time; `RUN` is {_PLACE}.", "",
        '**Compare**: above the list of runs, type `tags.front = "true"`, sort by `score`, select '
        f"runs and press Compare. The metrics: {meant}.",
    ])  # fmt: skip


def _became(study: StudyRecord, trial: TrialRecord, member: bool) -> str:
    values = [
        f"{plain(title(name, study.metric))} {_value(trial, name)}"
        for name in study.objectives
        if final(trial, name) is not None
    ]
    reached = f": {listed(values)}." if values else "."
    why = "" if trial.reason is None else f" It says: {code(_reason(trial.reason))}"
    if trial.state == "complete" and member:
        return f"**On the front**{reached} No trial is as good in all of these and better in one."
    if trial.state == "complete" and not trial.feasible:
        return f"**Complete**, but outside the limits of the search{reached}"
    if trial.state == "complete":
        return f"**Complete**{reached} Another is as good in all of these and better in one."
    if trial.state in ("pruned", "failed"):
        return f"**{trial.state.capitalize()}** {_when(trial)}{reached}{why}"
    if trial.state == "paused":
        return f"**Paused**; it can go on.{why}"
    return "**Running**; what it has reached so far is below."


def _when(trial: TrialRecord) -> str:
    if not trial.rungs:
        return "before it was measured"
    of_all = f" of {trial.total_steps}" if trial.total_steps else ""
    return f"after {trial.rungs[-1].step}{of_all} steps"


def _reached(study: StudyRecord, trial: TrialRecord) -> list[str]:
    if trial.state not in ("complete", "pruned", "failed"):
        return []
    names = dict.fromkeys([*study.objectives, *_BESIDE])
    rows = [
        [_meant(study, name), _value(trial, name)]
        for name in names
        if final(trial, name) is not None
    ]
    when = "at the end" if trial.state == "complete" else "when it stopped"
    return ["", *table(["measured", when], rows)] if rows else []


def _meant(study: StudyRecord, name: str) -> str:
    averaged = " averaged over steps" if name == "trainable_params" else ""
    return f"{plain(title(name, study.metric))}{averaged}"


def _configuration(trial: TrialRecord) -> str:
    mark = f" ({plain(_short(trial.mark))})" if trial.mark else ""
    return f"{plain(_short(trial.label))}{mark}"


def _value(trial: TrialRecord, name: str) -> str:
    return readable(name, final(trial, name))


def _short(text: str) -> str:
    return _cut(text, _NAME_LENGTH)


def _reason(text: str) -> str:
    return _cut(text, _REASON_LENGTH)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
