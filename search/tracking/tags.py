"""Tags of MLflow's runs: what one filters by."""

from __future__ import annotations

from search.record import StudyRecord, TrialRecord
from search.spec.nodes import method_of

STUDY_TAG = "search.study"
TRIAL_TAG = "search.trial"
#: Digest of a description, which tells one that is ours from one that somebody has edited.
NOTE_TAG = "search.note"


def tags_of_study(study: StudyRecord) -> dict[str, str]:
    """What a search is about, and where it comes from."""
    return {
        "task": study.task,
        "model": study.model,
        "metric": study.metric,
        "objectives": ", ".join(f"{k}: {v}" for k, v in study.objectives.items()),
        "commit": str(study.provenance.get("commit")),
        "machine": str(study.provenance.get("machine")),
    }


def tags_of_trial(study: StudyRecord, trial: TrialRecord, member: bool) -> dict[str, str]:
    """What a trial is, and what became of it; ``member``: whether it is on the front."""
    hosts = dict.fromkeys(rung.host for rung in trial.rungs if rung.host)
    tags = {
        "task": study.task,
        "method": method_of(trial.settings),
        "state": trial.state,
        "front": "true" if member else "false",
        "commit": str(study.provenance.get("commit")),
        # Where it trained, which need not be where the search is led.
        "machine": ", ".join(hosts) or str(study.provenance.get("machine")),
    }
    if trial.mark:
        tags["mark"] = trial.mark
    if trial.reason is not None:
        tags["reason"] = trial.reason
    return tags
