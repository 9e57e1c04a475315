"""Studies as a search would leave them, made from seeded numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from search.record import FreezeEvent, Rung, State, StudyRecord, TrialRecord
from search.results.html import write_report
from tests.chromium import chromium
from tests.search.results.browsing import Opener, Seen

OBJECTIVES = {"score": "max", "trainable_params": "min", "train_seconds": "min"}
BEGAN = 1_760_000_000.0
STEPS = 400
LAYERS = 12

StudyMaker = Callable[..., StudyRecord]
TrialMaker = Callable[..., TrialRecord]


def make_trial(
    number: int,
    state: State = "complete",
    *,
    score: float = 0.9,
    params: float = 12_300.0,
    seconds: float = 21.4,
    flops: float = 3.1e12,
    objectives: tuple[str, ...] = tuple(OBJECTIVES),
    rungs: int | None = None,
    freezes: bool = True,
    **changes: Any,
) -> TrialRecord:
    """A trial of 400 steps and 5 rungs, its score growing to ``score``; 3 rungs when pruned."""
    count = {"complete": 5, "pruned": 3, "running": 2}.get(state, 0) if rungs is None else rungs
    started = BEGAN + 30.0 * number

    def measures(fraction: float) -> dict[str, float]:
        return {
            "score": round(score - 0.2 * (1 - fraction) ** 2, 6),
            "trainable_params": params * (1.6 - 0.6 * fraction),
            "trainable_params_start": params * 2.0,
            "trainable_params_end": params * 0.1,
            "head_params": 1538.0,
            "train_seconds": seconds * fraction,
            "total_seconds": seconds * fraction,
            "train_flops": flops * fraction,
        }

    projected = {"trainable_params": params, "train_seconds": seconds, "train_flops": flops}
    projected["total_seconds"] = seconds
    reached = tuple(
        Rung(
            index=index,
            step=STEPS * index // 5,
            fraction=index / 5,
            measures=measures(index / 5),
            projected=measures(index / 5) | projected,
            at=started + seconds * index / 5,
        )
        for index in range(1, count + 1)
    )
    roles = ("ffn_in", "ffn_out")
    matrices: tuple[Literal["A", "B"], ...] = ("A", "B")
    freezing = tuple(
        FreezeEvent(layer, role, matrix, None if layer == 0 else 40 + 25 * layer + 9 * place)
        for layer in range(LAYERS)
        for place, (role, matrix) in enumerate((r, m) for r in roles for m in matrices)
    )
    fields: dict[str, Any] = {
        "settings": {
            "method": {
                "aflora": {
                    "rank": 4,
                    "modules": list(roles),
                    "freeze": {
                        "rule": "paper",
                        "beta1": 0.85,
                        "beta2": 0.95,
                        "start": 0.1,
                        "end": 0.7,
                    },
                }
            },
            "learning_rate": 0.0031,
        },
        "label": "aflora r4 ffn paper",
        "values": {name: measures(1.0)[name] for name in objectives}
        if state == "complete"
        else None,
        "measures": dict(reached[-1].measures) if reached else {},
        "rungs": reached,
        "freezing": freezing if freezes and reached else (),
        "total_steps": STEPS if reached else None,
        "reason": {"pruned": "rung 3: dominated by 4 trials", "failed": "CUDA out of memory"}.get(
            state
        ),
        "started": None if state == "waiting" else started,
        "finished": started + 1.2 * seconds if state in ("complete", "pruned", "failed") else None,
        "adapter": f"adapters/{number}" if state == "complete" else None,
    }
    return TrialRecord(number=number, state=state, **(fields | changes))


def make_study(*trials: TrialRecord, **changes: Any) -> StudyRecord:
    """A study of these trials on three objectives."""
    fields: dict[str, Any] = {
        "name": "glue",
        "task": "rte",
        "model": "microsoft/deberta-v3-base",
        "metric": "accuracy",
        "objectives": OBJECTIVES,
        "reference": None,
        "provenance": {
            "commit": "4f2a9c1d7e",
            "versions": {"python": "3.11.9", "torch": "2.8.0", "ray": "2.49.0"},
            "machine": {"cpu": "AMD EPYC 7763", "gpu": "NVIDIA H100", "memory_gib": 128},
            "data": "sha256:91c2",
            "seed": 0,
        },
    }
    return StudyRecord(trials=trials, **(fields | changes))


def make_search(count: int, seed: int = 0) -> StudyRecord:
    """A whole search: two marks, then trials of all methods, a third pruned, some failed."""
    random = np.random.default_rng(seed)
    trials = [
        make_trial(0, score=0.884, params=21_400, seconds=34.0, mark="AFLoRA, paper"),
        make_trial(
            1, score=0.891, params=294_912, seconds=52.0, freezes=False, mark="LoRA r=8",
            label="lora r8 qv", settings={"method": {"lora": {"rank": 8}}, "learning_rate": 0.0004},
        ),
    ]  # fmt: skip
    for number in range(2, count):
        rank = int(random.choice([2, 4, 8, 16]))
        rule = str(random.choice(["paper", "official"]))
        cost = float(random.lognormal(0, 0.5))
        params = rank * 2_600 * cost
        quality = 0.80 + 0.028 * np.log10(params) - 0.05 * random.exponential()
        state: State = random.choice(
            ["complete", "pruned", "failed"], p=[0.6, 0.34, 0.06]
        )  # fmt: skip
        trial = make_trial(
            number,
            state,
            score=float(round(quality - (0.02 if state == "pruned" else 0.0), 4)),
            params=float(params),
            seconds=float(14 + 9 * random.lognormal(0, 0.6)),
            flops=float(2.5e12 * random.lognormal(0, 0.4)),
            label=f"aflora r{rank} ffn {rule}",
            settings={
                "method": {
                    "aflora": {
                        "rank": rank,
                        "modules": ["ffn_in", "ffn_out"],
                        "freeze": {"rule": rule, "beta1": float(random.uniform(0.5, 0.99))},
                    }
                },
                "learning_rate": float(10 ** random.uniform(-4, -1.5)),
            },
        )
        trials.append(trial)
    return make_study(*trials)


@pytest.fixture
def trial() -> TrialMaker:
    return make_trial


@pytest.fixture
def study() -> StudyMaker:
    return make_study


@pytest.fixture(scope="session")
def whole_search() -> StudyRecord:
    """48 trials in all states, with the marks ``AFLoRA, paper`` and ``LoRA r=8``."""
    return make_search(48)


@pytest.fixture(scope="session")
def large_search() -> StudyRecord:
    """200 trials."""
    return make_search(200, seed=1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def opened(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    contexts = []

    def open_report(
        study: StudyRecord | Callable[[Path], None], width: int = 1280, **settings: Any
    ) -> Seen:
        path = tmp_path_factory.mktemp("report") / "report.html"
        study(path) if callable(study) else write_report(study, path)
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        seen = Seen(context.new_page(), path.as_uri())

        def dismiss(dialog: Any) -> None:
            seen.dialogs.append(dialog.message)
            dialog.dismiss()

        seen.page.on("dialog", dismiss)
        seen.page.on("console", lambda message: seen.trouble.append(message.text))
        seen.page.on("pageerror", lambda error: seen.trouble.append(str(error)))
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.goto(seen.address)
        if settings.get("java_script_enabled", True):
            seen.page.wait_for_selector("html[data-plots=drawn]", timeout=30_000)
        return seen

    yield open_report
    for context in contexts:
        context.close()
