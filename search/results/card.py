"""The model card of an exported adapter, in the form that the hub expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from search.flat import legible
from search.record import StudyRecord, TrialRecord
from search.results.catalogue import own_settings
from search.results.confirmed import Confirmation
from search.results.markdown import code, fenced
from search.results.measured import final
from search.results.units import readable, title

FILE = "README.md"
_COUNTED = ("trainable_params", "trainable_params_start", "trainable_params_end", "head_params",
            "train_seconds", "train_flops")  # fmt: skip
# Not the command, which names places on somebody's machine.
_ORIGIN = ("commit", "data", "seed")
_LIBRARIES = {"peft": "peft", "merged": "transformers", "aflora": "aflora"}


@dataclass(frozen=True)
class Facts:
    """What a card tells.

    Attributes:
        form: ``peft``, ``aflora`` or ``merged``.
        labels: outputs of the head.
        measured: what the exported adapter scored when it was read back; None where it was not.
        rows: of the selection split; None where it was not read.
        hub_data: name of the data set on the hub, where it is from there.
        other_head: whether the base's own files hold a head of another size.
    """

    form: str
    labels: int
    measured: Mapping[str, float] | None
    rows: int | None
    hub_data: str | None
    other_head: bool = False


def card(
    study: StudyRecord, trial: TrialRecord, confirmations: list[Confirmation], facts: Facts
) -> str:
    """The card, as Markdown with a head in YAML."""
    score = final(trial, "score")
    hub_model = study.model if _is_on_the_hub(study.model) else None
    about = ModelCardData(
        base_model=hub_model,
        library_name=_LIBRARIES[facts.form],
        pipeline_tag="text-classification",
        datasets=[facts.hub_data] if facts.hub_data else None,
        tags=["aflora-search", str(own_settings(trial).get("method", ""))],
        model_name=f"{study.name}-{study.task}-{trial.number}",
        eval_results=[
            EvalResult(
                task_type="text-classification",
                dataset_type=facts.hub_data or study.task,
                dataset_name=study.task,
                dataset_split="selection",
                metric_type=study.metric,
                metric_value=score,
            )
        ]
        if score is not None
        else None,
    )
    rows = [
        (title(name, study.metric), readable(name, value))
        for name in _COUNTED
        if (value := final(trial, name)) is not None
    ]
    lines = [
        "---", about.to_yaml(), "---", "",
        f"# {code(trial.label)} for {code(study.task)}", "",
        f"Trial {trial.number} of the search {code(study.name)}, of AFLoRA Search, on the "
        f"backbone {code(study.model)}.", "",
        *_scores(study, trial, confirmations, facts), "",
        "| measured | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in rows), "",
        "## Configuration", "", "| | |", "| --- | --- |",
        *(f"| {code(key)} | {code(legible(value))} |"
          for key, value in own_settings(trial).items()), "",
        "## How to load it", "", *fenced("python", _loading(study, facts)), "",
        "## Where it comes from", "", "| | |", "| --- | --- |",
        *(f"| {code(key)} | {code(legible(value))} |"
          for key in _ORIGIN if (value := study.provenance.get(key)) is not None), "",
    ]  # fmt: skip
    return "\n".join(lines)


def _scores(
    study: StudyRecord, trial: TrialRecord, confirmations: list[Confirmation], facts: Facts
) -> list[str]:
    on = "rows" if facts.rows is None else f"{facts.rows} rows"
    told = [
        f"- {study.metric} **{readable('score', final(trial, 'score'))}** on the {on} on which the "
        "search chose, trained once: the best of many looks better than it is."
    ]
    if facts.measured is not None:
        told.append(
            f"- Read back from these files it scores {facts.measured['score']:.4f} on these rows."
        )
    else:
        told.append("- What these files score was not checked when they were written.")
    return told + [
        f"- Trained again with {len(member.scores)} fresh seeds: {member.score.mean:.4f} on "
        f"average on {confirmation.split} (95 % interval {member.score.low:.4f} … "
        f"{member.score.high:.4f}){_chosen_on(confirmation)}."
        for confirmation in confirmations
        for member in confirmation.members
        if member.trial == trial.number
    ]


def _chosen_on(confirmation: Confirmation) -> str:
    return "" if confirmation.apart else ", the rows on which it was chosen, which flatters"


def _loading(study: StudyRecord, facts: Facts) -> list[str]:
    get = "AutoModelForSequenceClassification.from_pretrained"
    if facts.form == "merged":
        return [
            "from transformers import AutoModelForSequenceClassification, AutoTokenizer", "",
            f'model = {get}("FOLDER")',
            'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
        ]  # fmt: skip
    imports, place, model = [], repr(study.model), study.model
    if model.startswith("package:"):
        package, _, below = model.removeprefix("package:").partition("/")
        imports = ["from importlib.resources import files", ""]
        place = f'str(files("{package}") / "{below}")'
    # An adapter holds the head, not the names of what it tells apart.
    head, named = f"num_labels={facts.labels}", []
    if study.classes is not None:
        named = [f"classes = {dict(enumerate(study.classes))!r}"]
        head = "id2label=classes, label2id={name: n for n, name in classes.items()}"
    sizes = "ignore_mismatched_sizes=True, " if facts.other_head else ""
    base = [
        *imports, "from transformers import AutoModelForSequenceClassification, AutoTokenizer", "",
        f"base = {place}",
        "tokenizer = AutoTokenizer.from_pretrained(base)",
        *named,
        f'model = {get}(base, {head}, {sizes}dtype="float32")',
    ]  # fmt: skip
    if facts.form == "aflora":
        return ["import aflora", *base, 'aflora.load(model, "FOLDER")']
    return [
        "from peft import PeftModel",
        *base,
        'model = PeftModel.from_pretrained(model, "FOLDER")',
    ]


def _is_on_the_hub(model: str) -> bool:
    return not model.startswith(("package:", "/", "./", "../", "~")) and not Path(model).exists()
