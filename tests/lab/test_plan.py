"""The plan of an experiment: counts are exact, and what is measured is scaled to the whole."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from weedout_core.lab import plan, probe
from weedout_core.lab.data.datasets import load_dataset
from weedout_core.lab.experiment import ExperimentConfig
from weedout_core.lab.plan import evaluations, work

Weedout = Callable[..., int]


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({}, 5 * 100),
        ({"population": 10, "generations": 3}, 30),
        ({"population": 10, "generations": 3, "elite": "cache", "batch_policy": "fixed"}, 10 + 9 + 9),
        ({"population": 10, "generations": 3, "winner": "rescored"}, 30 + 3),
        ({"population": 10, "generations": 3, "budget": 25}, 25),
        ({"population": 10, "generations": None, "patience": 2}, None),
    ],
)
def test_the_evaluations_of_a_search(options: dict, most: int | None) -> None:
    assert evaluations(wc.SearchConfig(sparsity=0.5, **options)) == most


@pytest.mark.parametrize("winner", ["last_generation", "rescored"])
def test_a_search_takes_no_more_evaluations_than_planned(winner: str) -> None:
    data = load_dataset("digits")
    config = wc.SearchConfig(sparsity=0.5, population=4, generations=3, winner=winner)
    found = wc.search(wc.mlp((8, 8, 1), (6,), 10), data.validation, config, backend="numpy", key=wc.key(0))
    most = evaluations(config)
    assert most is not None
    assert 12 <= found.evaluations <= most


def test_the_work_of_an_experiment() -> None:
    data = load_dataset("digits", train_examples=500)
    config = ExperimentConfig(
        sparsity=(0.0, 0.5), repeats=3, train_examples=500,
        search=wc.SearchConfig(sparsity=0.0, population=10, generations=2, batch=64),
        train=wc.TrainConfig(epochs=4, batch_size=120),
    )  # fmt: skip
    found = work(config, data)
    assert found.evaluations == 2 * 3 * 20
    assert found.batch == 64
    assert found.steps == 2 * 4 * (500 // 120), "of both arms and all repeats together, at each sparsity"
    assert (found.networks, found.batch_size) == (6, 120)
    assert found.evaluated == 2 * (4 * 297 + 500 + 297), "the test split after each epoch, then both splits"
    whole = replace(config, search=replace(config.search, batch_policy="whole"))
    assert work(whole, data).batch == 300, "the validation split of digits"


def test_what_is_measured_is_scaled_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    net = wc.mlp(6, (5,), 3)
    # begin, end: scoring twice, training twice, evaluating twice
    seconds = iter(np.cumsum([0, 3.0, 0, 1.0, 0, 7.0, 0, 2.0, 0, 0.75, 0, 0.5]))
    monkeypatch.setattr(probe.time, "perf_counter", lambda: next(seconds))
    monkeypatch.setattr(probe, "_MACS", wc.costs(net).macs * 3 * 2 * 8)  # 8 examples of one network in two steps
    arguments = (wc.load_backend("numpy"), net, wc.SearchConfig(sparsity=0.5), wc.TrainConfig())
    found = probe.measure(*arguments, batch=1200, batch_size=80, networks=4, tested=480)
    assert found.candidate == 1.0 / 4 * 1200 / 12, "four candidates on 12 examples took a second"
    assert found.step == 2.0 / 2 * (80 / 8) * (4 / 1), "two steps of one network on 8 examples took two"
    assert found.thousand == 0.5 * (1000 / 48) * (4 / 1), "48 examples of one network took half a second"
    assert found.compiling == (3.0 - 1.0) + (7.0 - 2.0) + (0.75 - 0.5), "what the first calls took more"


@pytest.mark.parametrize("name", ["numpy", "jax", "torch"])
def test_every_network_is_evaluated_on_the_test_split(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name != "numpy":
        pytest.importorskip(name)
    backend, shapes = wc.load_backend(name), list[tuple[int, ...]]()

    def predict(*arguments: Any) -> Any:
        logits = backend.predict(*arguments)
        shapes.append(tuple(logits.shape))
        return logits

    arguments = (wc.mlp(6, (5,), 3), wc.SearchConfig(sparsity=0.5), wc.TrainConfig())
    probe.measure(replace(backend, predict=predict), *arguments, batch=12, batch_size=8, networks=4, tested=50)
    assert shapes == [(4, 50, 3)] * 2, "small enough to be measured whole: networks, examples, classes; twice"


def test_the_hours_are_those_of_search_training_and_evaluation(
    weedout: Weedout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    measured = probe.Probe(candidate=1.0, step=2.0, thousand=4.0, compiling=0.0)
    monkeypatch.setattr(plan, "measure", lambda *arguments: measured)
    options = ("--sparsity", "0.5", "--repeats", "1", "--population", "10", "--generations", "1", "--epochs", "10")
    assert weedout("plan", "--backend", "numpy", *options) == 0
    out = capfd.readouterr().out
    steps, evaluated = 10 * (1200 // 128), 10 * 297 + 1200 + 297
    assert f"each network on {evaluated:,} examples" in out
    assert "2 s a step, 4 s an evaluation on 1,000 examples" in out
    evaluation = evaluated * 4.0 / 1000
    assert f"search: 10 s; training: {2 * steps / 60:.1f} minutes; evaluation: {evaluation:.3g} s" in out
    assert f"together about {(10 + 2 * steps + evaluation) / 60:.1f} minutes on this machine" in out


def test_the_plan_is_printed_and_nothing_is_written(
    weedout: Weedout, tmp_path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ("--backend", "numpy", "--hidden", "20", "--sparsity", "0", "0.5", "--repeats", "1", "--population", "4")
    assert weedout("plan", *options) == 0
    out, err = capfd.readouterr()
    cost = wc.costs(wc.mlp((8, 8, 1), (20,), 10))
    half = wc.costs(wc.mlp((8, 8, 1), (10,), 10))
    assert cost.parameters == 1510
    for said in (
        "mlp on digits: 0.00 million parameters",
        "20 nodes at 1 sites",
        f"{half.active_parameters:,} ({100 * half.parameters / cost.parameters:.0f} %)",
        f"{half.macs:,} (50 %)",
        "1,200 training, 300 validation and 297 test examples",
        "search: at most 40 candidates, each on 300 examples, 4 masks at once",
        f"training: {2 * 20 * (1200 // 128)} steps of 2 networks with 128 examples each",
        "memory: numpy has no compiler that could tell",
        "together about",
    ):
        assert said in out, said
    assert "measuring numpy on cpu" in err
    assert not list(tmp_path.iterdir())
