"""Limited training in an experiment: in paper, judge and plan, in the record, the ledger and the page."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.lab.arms.tasks import CONFIG, DATA, NET, choices
from weedout_core.lab.arms.paper import WEEDOUT
from weedout_core.lab.commands.amounts import work
from weedout_core.lab.commands.hours import Measured, hours
from weedout_core.lab.commands.probe import Probe
from weedout_core.lab.experiment.arms import Start, Work
from weedout_core.lab.experiment.ledger import STEP
from weedout_core.lab.experiment.rows import ResultRow, from_csv
from weedout_core.lab.experiment.so_far import NOTHING
from weedout_core.lab.run.plain import as_progress, plain

Weedout = Callable[..., int]
SMALL = (
    *("--backend", "numpy", "--hidden", "8", "6", "--sparsity", "0.5", "--repeats", "2", "--population", "4"),
    *("--generations", "2", "--validation-batch", "32", "--epochs", "1", "--batch-size", "64"),
    *("--training-steps", "3", "--out", "run"),
)


def searched(**search: Any) -> Start:
    config = replace(CONFIG, search=replace(CONFIG.search, validation_batch=32, training_steps=5, **search))
    (found,) = choices(WEEDOUT, config=config).values()
    assert isinstance(found, Start)
    return found


def macs(kept: Any = (8, 6)) -> int:
    """Of an example through 64 inputs, two hidden layers and ten classes."""
    one, two = kept
    return 64 * int(one) + int(one) * int(two) + 10 * int(two)


@pytest.mark.parametrize("weights", ["reset", "kept"])
def test_the_steps_of_all_candidates_are_billed(weights: str) -> None:
    """Eight candidates: five steps on 256 examples, forward and backward, and a score on 32."""
    spent = searched(trained_weights=weights).spent
    seen, again = 8 * (STEP * 5 * 256 + 32), STEP * 5 * 256
    if weights == "reset":
        assert spent == Work(8, 40, seen * macs(), seen * macs((4, 3)), seen * macs((4, 3)))
    else:  # the winner takes its steps again
        small = (seen + again) * macs((4, 3))
        assert spent == Work(8, 45, seen * macs() + again * macs((4, 3)), small, small)


def test_where_candidates_differ_in_what_they_keep_the_parent_is_trained_and_billed() -> None:
    config = replace(CONFIG, search=replace(CONFIG.search, allocation="global", validation_batch=32, training_steps=5))
    (found,) = choices(WEEDOUT, config=config).values()
    assert isinstance(found, Start)
    seen = 8 * (STEP * 5 * 256 + 32)
    assert (found.spent.candidates, found.spent.steps) == (8, 40)
    assert found.spent.dense_macs == found.spent.computed_macs == seen * macs()
    assert found.spent.active_macs < found.spent.dense_macs


def test_a_checkpoint_keeps_what_the_steps_began_with() -> None:
    history = searched().history
    assert history[0].began is not None
    assert history[0].began.learning is not None
    arrays, facts = plain(NOTHING._replace(scored=history))
    assert as_progress(arrays, json.loads(json.dumps(facts)), NET).scored == history


def test_the_winner_that_is_kept_is_ahead_of_its_initial_weights() -> None:
    kept = searched(trained_weights="kept").network
    reset = searched().network
    assert any(not np.array_equal(kept.params[path], reset.params[path]) for path in kept.params)
    assert {path: value.shape for path, value in kept.params.items()} == dict(wc.nn.parameter_shapes(NET))


@pytest.mark.slow
def test_a_run_records_continues_and_shows_it(
    weedout: Weedout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weedout("paper", *SMALL) == 0
    assert "briefly trained (3 steps)" in " ".join(capsys.readouterr().out.split())
    run = tmp_path / "run"
    record = json.loads((run / "config.json").read_text())
    assert record["identity"]["search"]["training_steps"] == 3
    assert {"row": 24, "point": "fitness after limited training", "field": "SearchConfig.training_steps",
            "value": 3} in record["choices"]  # fmt: skip
    results = (run / "results.csv").read_bytes()
    assert weedout("paper", *SMALL) == 0, "the same command continues"
    assert (run / "results.csv").read_bytes() == results
    assert weedout("report", "run") == 0
    assert "briefly trained (3 steps)" in (run / "report.html").read_text()


def test_a_judgement_searches_so_too(weedout: Weedout, tmp_path: Path) -> None:
    line = ("judge", "magnitude", *SMALL, "--trained-weights", "kept", "--no-sanity")
    assert weedout(*line) == 0
    results = from_csv(ResultRow, (tmp_path / "run" / "results.csv").read_text(), "results.csv")
    assert {"weedout", "random", "magnitude"} <= {row.arm for row in results}


def test_a_plan_counts_the_steps() -> None:
    config = replace(CONFIG, search=replace(CONFIG.search, training_steps=5))
    plain, limited = work(CONFIG, DATA, 2), work(config, DATA, 2)
    assert limited == plain._replace(limited=5)
    backend, probe = wc.load_backend("numpy"), Probe(candidate=1.0, step=4.0, thousand=0.0, compiling=0.0)
    said = [" ".join(hours(one, [Measured([0.5], probe)], backend)) for one in (plain, limited)]
    assert "search: 16 s" in said[0], said[0]
    assert "search: 2.9 minutes" in said[1], (
        "16 candidates, each with five steps that two networks share: 16 · (1 + 10) s"
    )
