"""The plan of an experiment: counts are exact, and what is measured is scaled to the whole."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

import weedout_core as wc
from weedout_core.lab.commands import plan, probe
from weedout_core.lab.commands.amounts import evaluations, work
from weedout_core.lab.commands.plan import alike
from weedout_core.lab.data.datasets import load_dataset
from weedout_core.lab.experiment.configuration import ExperimentConfig

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
    assert evaluations(wc.SearchConfig(**options)) == most


@pytest.mark.parametrize("winner", ["last_generation", "rescored"])
def test_a_search_takes_no_more_evaluations_than_planned(winner: str) -> None:
    data = load_dataset("digits")
    config = wc.SearchConfig(population=4, generations=3, winner=winner)
    found = wc.search(
        wc.mlp((8, 8, 1), (6,), 10), data.validation, sparsity=0.5, backend="numpy", key=wc.key(0), config=config
    )
    most = evaluations(config)
    assert most is not None
    assert 12 <= found.evaluations <= most


def test_the_work_of_an_experiment_at_each_sparsity() -> None:
    data = load_dataset("digits", train_examples=500)
    config = ExperimentConfig(
        sparsity=(0.0, 0.5), repeats=3, train_examples=500,
        search=wc.SearchConfig(population=10, generations=2, validation_batch=64),
        train=wc.TrainConfig(epochs=4, batch_size=120),
    )  # fmt: skip
    config = replace(config, together=6)
    found = work(config, data, together=6)
    assert found.evaluations == 3 * 20
    assert found.batch == 64
    assert (found.epochs, found.steps) == (4, 500 // 120), "of both arms and all repeats together"
    assert (found.networks, found.parts, found.batch_size) == (6, 1, 120)
    assert [(some.networks, some.parts) for some in (work(config, data, n) for n in (3, 4))] == [(3, 2), (4, 2)]
    alone = replace(config, together=None)
    assert [work(alone, data, n).parts for n in (1, 2)] == [6, 3], "each repeat is a group"
    assert work(replace(config, together=3), data, 3).parts == 2 + 1, "a group of two repeats, and one of the third"
    assert found.tested == 297
    assert found.evaluated == 4 * 297 + 500 + 297, "the test split after each epoch, then both splits"
    whole = replace(config, search=replace(config.search, batch_policy="whole", validation_batch=1024))
    assert work(whole, data, 6).batch == 300, "the validation split of digits"


class Device:
    """A device, and a clock that no one else moves: calls take a time in proportion to their work, and some before it.

    Attributes:
        rate: seconds for a unit of work.
        latency: seconds of any call.
        compiling: seconds of the first call of each amount.
        amounts: of the calls that were prepared.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rate: float, latency: float = 0.0, compiling: float = 0.0):
        self.rate, self.latency, self.compiling = rate, latency, compiling
        self.now, self.amounts = 0.0, list[tuple[int, ...]]()
        monkeypatch.setattr(probe.time, "perf_counter", lambda: self.now)

    def prepare(self, *amount: int) -> Callable[[], None]:
        self.amounts.append(amount)
        pending = [self.compiling]

        def call() -> None:
            self.now += self.latency + self.rate * math.prod(amount) + (pending.pop() if pending else 0.0)

        return call


def test_a_call_that_is_long_enough_is_timed_once_and_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch, rate=2.0**-4, compiling=3.0)
    timed = probe.grow(device.prepare, (1, 1), (64, 10), 8)
    assert device.amounts == [(8, 1)], "half a second tells"
    assert timed == (2.0**-4 * 640, 3.0), "the second call counts, and the first says what compiling took"


def test_work_grows_until_a_call_takes_about_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch, rate=2.0**-8, compiling=1.0)
    timed = probe.grow(device.prepare, (1, 1), (64, 10), 8)
    assert device.amounts == [(8, 1), (64, 4)], "the batch is filled first; 256 units take a second"
    assert timed == (2.0**-8 * 640, 1.0), "what the amount that counts took to compile"


def test_work_grows_no_further_than_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch, rate=2.0**-20)
    assert probe.grow(device.prepare, (1, 1, 2), (64, 10, 9), 8).seconds == 2.0**-20 * 64 * 10 * 9
    assert device.amounts == [(4, 1, 2), (64, 10, 9)]


def test_work_grows_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch, rate=0.0, latency=2.0**-2)
    probe.grow(device.prepare, (1,), (10**6,), 1)
    assert device.amounts == [(1,), (4,), (16,)], "each amount compiles anew"


def test_parts_of_work_are_multiples_of_their_least(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch, rate=2.0**-10)
    probe.grow(device.prepare, (8, 16), (100, 50), 8 * 16)
    assert device.amounts == [(8, 16), (64, 16)], "1,024 units, in which the batch of 100 is not whole"
    device = Device(monkeypatch, rate=2.0**-12)
    probe.grow(device.prepare, (8, 16), (100, 50), 1)
    assert device.amounts == [(8, 16), (100, 32)], "4,096 units: the whole batch need be no multiple"
    device = Device(monkeypatch, rate=1.0)
    probe.grow(device.prepare, (8, 16), (3, 10), 1)
    assert device.amounts == [(3, 10)], "there is no more"


def test_a_clock_that_stands_still_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch, rate=0.0)
    assert probe.grow(device.prepare, (1,), (1000,), 1) == (0.0, 0.0)
    assert device.amounts == [(1,), (1000,)]


class Calls(NamedTuple):
    """What a backend was asked for while it was measured, of each kind the last."""

    backend: wc.backend.Backend
    last: dict[str, tuple[Any, ...]]


def listening(devices: int = 1, name: str = "numpy") -> Calls:
    """A backend that remembers what it is asked for."""
    backend, last = wc.load_backend(name), dict[str, tuple[Any, ...]]()

    def remembering(name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            last[name] = arguments
            return getattr(backend, name)(*arguments)

        return call

    changed = {name: remembering(name) for name in ("score_population", "train_epoch", "predict")}
    return Calls(replace(backend, devices=devices, **changed), last)


PARENT = wc.mlp(6, (10, 8), 3)
SIZES = {"batch": 12, "batch_size": 8, "steps": 3, "networks": 4, "tested": 50}
CHANNELS = wc.vgg(2, 3, (4, 4, 3), "channel")


@pytest.mark.parametrize("name", ["numpy", "jax", "torch"])
@pytest.mark.parametrize("net", [PARENT, CHANNELS], ids=["dense", "channels"])
def test_what_a_run_computes_is_measured(name: str, net: wc.Network) -> None:
    if name != "numpy":
        pytest.importorskip(name)
    search, train = wc.SearchConfig(population=6, validation_batch=12, chunk=4), wc.TrainConfig(batch_size=8)
    backend, last = listening(name=name)
    found = probe.measure(backend, net, 0.5, search, train, **SIZES)
    assert min(found[:3]) > 0
    plan = wc.mask_plan(wc.mask_space(net), 0.5)
    small = wc.compact(net, plan.counts).net

    parent, _, population, batch, scoring = last["score_population"]
    assert (parent, population.plan, population.masks) == (net, plan, None), "a population is its keys"
    assert (batch.statistics, batch.calibration) == (None, None)
    assert population.weight_keys is None
    assert (len(population.mask_keys), len(np.unique(population.mask_keys, axis=0))) == (6, 6)
    assert (len(batch.x), len(batch.y)) == (12, 12)
    assert scoring == wc.backend.Scoring(search.fitness, "highest", 4)

    computed, fixed, state, masks, x, _, batches = last["train_epoch"]
    assert computed == small, "the parent was trained"
    assert batches.order.shape == (4, 3, 8), "networks, steps, examples"
    assert (fixed.batch_size, fixed.steps, len(x)) == (8, 3, 24)
    assert all(len(tree) == 4 for tree in state.params.values())
    assert masks == {} or set(masks) == set(wc.mask_space(small)) | gathers(small)

    computed, _, _, _, x = last["predict"]
    assert (computed, len(x)) == (small, 50)

    probe.measure(backend, net, 0.5, search, train, **SIZES, searched_at=0.25)
    assert last["score_population"][2].plan == wc.mask_plan(wc.mask_space(net), 0.25)
    assert last["train_epoch"][0] == small


def gathers(net: wc.Network) -> set[str]:
    return {layer.name for layer in wc.nn.every_layer(net.layers) if isinstance(layer, wc.nn.Gather)}


@pytest.mark.parametrize("change", [{"sampling": "bernoulli"}, {"compaction": False}])
def test_what_a_run_does_not_compact_is_measured_as_large_as_the_parent(change: dict) -> None:
    search = wc.SearchConfig(population=6, **{k: v for k, v in change.items() if k == "sampling"})
    train = wc.TrainConfig(batch_size=8, **{k: v for k, v in change.items() if k == "compaction"})
    backend, last = listening()
    probe.measure(backend, PARENT, 0.5, search, train, **(SIZES | {"networks": 1}))
    for call, masks in (("train_epoch", 3), ("predict", 3)):
        assert last[call][0] == PARENT
        assert {site: mask.shape for site, mask in last[call][masks].items()} == {
            site: (1, *shape) for site, shape in wc.mask_space(PARENT).items()
        }


def test_candidates_with_weights_of_their_own_draw_them() -> None:
    backend, last = listening()
    search = wc.SearchConfig(population=6, reading="section3", fan_counts="kept")
    probe.measure(backend, PARENT, 0.5, search, wc.TrainConfig(batch_size=8), **SIZES)
    _, params, population, *_ = last["score_population"]
    kept = wc.mask_plan(wc.mask_space(PARENT), 0.5).kept
    assert params == wc.nn.he_normal(PARENT, "fan_in", kept)
    assert population.weight_keys.shape == (6, 2)


def test_batch_normalisation_while_scoring_is_measured_as_it_is_chosen() -> None:
    backend, last = listening()
    for chosen in ("running", "recalibrated"):
        search = wc.SearchConfig(population=6, batch_norm=chosen)
        probe.measure(backend, CHANNELS, 0.5, search, wc.TrainConfig(batch_size=8), **SIZES)
        batch = last["score_population"][3]
        if chosen == "running":
            assert set(batch.statistics) == set(wc.nn.initial_statistics(CHANNELS))
            assert batch.calibration is None
        else:
            assert batch.calibration.shape == (12, 4, 4, 3), "a batch of other inputs"
            assert batch.statistics is None


def test_devices_get_batches_and_populations_that_they_divide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_CHEAP", 1)
    monkeypatch.setattr(probe, "_ENOUGH", 0.0)  # no growth: the least is measured
    backend, last = listening(devices=4)
    search, train = wc.SearchConfig(population=20), wc.TrainConfig(batch_size=16)
    sizes = {"batch": 24, "batch_size": 16, "steps": 5, "networks": 6}
    probe.measure(backend, PARENT, 0.5, search, train, **sizes, tested=50)
    population, batch, _ = last["score_population"][2:]
    assert (population.size, len(batch.x)) == (2 * 4, 1)
    assert last["train_epoch"][6].order.shape == (1, 2, 4)
    assert len(last["predict"][4]) == 50, "50 is not shared by four devices: no part of it may be"
    probe.measure(backend, PARENT, 0.5, replace(search, population=5), train, **sizes, tested=48)
    assert last["score_population"][2].size == 5, "there are no more"
    assert len(last["predict"][4]) == 4


@pytest.mark.parametrize("cheap", [1, 10**9])
def test_part_of_a_batch_has_whole_groups_of_batch_normalisation(monkeypatch: pytest.MonkeyPatch, cheap: int) -> None:
    monkeypatch.setattr(probe, "_CHEAP", cheap)
    monkeypatch.setattr(probe, "_ENOUGH", 0.0)
    backend, last = listening(devices=3)
    train = wc.TrainConfig(batch_size=24, batch_norm_group=4, epochs=0, warmup_epochs=0)
    sizes = SIZES | {"batch_size": 24, "steps": 2}
    probe.measure(backend, CHANNELS, 0.5, wc.SearchConfig(population=6), train, **sizes)
    fixed = last["train_epoch"][1]
    assert (fixed.batch_size, fixed.groups) == ((3, 3) if cheap == 1 else (24, 6))


def seconds(sparsity: float) -> probe.Probe:
    """What measuring is to find: each number tells of its sparsity and of its phase."""
    return probe.Probe(candidate=1.0 + sparsity, step=2.0 + sparsity, thousand=4.0 + sparsity, compiling=0.0)


def test_the_hours_are_summed_over_the_sparsities(
    weedout: Weedout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "measure", lambda backend, net, sparsity, *_, **__: seconds(sparsity))
    options = ("--repeats", "3", "--population", "10", "--generations", "2", "--epochs", "10", "--together", "6")
    assert weedout("plan", "--backend", "numpy", "--sparsity", "0.25", "0.75", *options) == 0
    out, err = capfd.readouterr()
    steps, evaluated = 10 * (1200 // 128), 10 * 297 + 1200 + 297
    search, training = 3 * 20 * (1.25 + 1.75), steps * (2.25 + 2.75)
    evaluation = evaluated / 1000 * (4.25 + 4.75)
    assert f"each network on {evaluated:,} examples" in out
    assert "for sparsity 0.25: 1.25 s a candidate, 2.25 s a step, 4.25 s an evaluation on 1,000 examples" in out
    assert "for sparsity 0.75: 1.75 s a candidate, 2.75 s a step, 4.75 s an evaluation on 1,000 examples" in out
    assert (
        f"search: {search / 60:.1f} minutes; training: {training / 60:.1f} minutes; evaluation: {evaluation:.3g} s"
        in out
    )
    assert f"together about {(search + training + evaluation) / 60:.1f} minutes on this machine" in out
    assert "measuring numpy on cpu at sparsity 0.75 …" in err
    assert "measuring numpy on cpu at sparsity 0.25 …" in err


@pytest.mark.parametrize("clock", [None, lambda: 0.0])
def test_seconds_of_compilation_are_those_of_a_backend_that_compiles(
    weedout: Weedout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], clock: Any
) -> None:
    backend = replace(wc.load_backend("numpy"), compile_seconds=clock)
    monkeypatch.setattr(plan, "load_backend", lambda *_: backend)
    monkeypatch.setattr(plan, "measure", lambda *_, **__: probe.Probe(1.0, 2.0, 4.0, 3.5))
    assert weedout("plan", "--sparsity", "0.5", "--repeats", "1") == 0
    (measured,) = (line for line in capfd.readouterr().out.splitlines() if line.startswith("measured on "))
    assert measured.endswith("1,000 examples" if clock is None else "1,000 examples, 3.5 s compiling")


@pytest.mark.parametrize("clock", [None, lambda: 0.0])
def test_workers_take_as_long_as_the_one_that_ends_last(
    weedout: Weedout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], clock: Any
) -> None:
    """Groups of 100 and 300 s, three of each: the workers have 100 + 100, 300, 100 + 300 and 300 s to do."""
    backend = replace(wc.load_backend("numpy"), compile_seconds=clock)
    monkeypatch.setattr(plan, "load_backend", lambda *_: backend)
    monkeypatch.setattr(
        plan, "measure", lambda backend, net, sparsity, *_, **__: probe.Probe(200 * sparsity, 0.0, 0.0, 6.0)
    )
    options = (
        *("--sparsity", "0.25", "0.75", "--repeats", "3"),
        *("--population", "2", "--generations", "1", "--epochs", "0"),
    )
    run = ("plan", "--backend", "numpy", *options)
    assert weedout(*run, "--workers", "4", "--price", "3") == 0
    out = capfd.readouterr().out
    assert (
        "6 groups of 100 s to 5.0 minutes: 4 workers take about 6.7 minutes, no number of them less than 5.0 minutes"
        f"{'' if clock is None else ', and each compiles for at most 12 s besides'}\n"
    ) in out
    cost = 4 * (400 + (0 if clock is None else 12)) / 3600 * 3
    assert f"cost: about {cost:.2f}, at 3 for an hour of a worker, all of them until the last one ends" in out
    assert weedout(*run, "--workers", "99") == 0
    out = capfd.readouterr().out
    assert "99 workers take about 5.0 minutes" in out, "as the longest group"
    assert "cost" not in out
    assert weedout(*run) == 0
    assert "workers" not in capfd.readouterr().out
    assert weedout(*run, "--price", "3") == 2
    assert "price=3.0 has no effect without workers" in capfd.readouterr().err


def test_parts_that_are_trained_one_after_another_take_their_time_each(
    weedout: Weedout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "measure", lambda *_, **__: probe.Probe(1.0, 2.0, 4.0, 0.0))
    options = ("--sparsity", "0.5", "--repeats", "3", "--population", "10", "--generations", "1", "--epochs", "1")
    assert weedout("plan", "--backend", "numpy", "--together", "2", *options) == 0
    out, steps = capfd.readouterr().out, 1200 // 128
    assert f"training: {3 * steps} steps of 2 networks with 128 examples each" in out
    evaluation = 3 * 4.0 * (297 + 1200 + 297) / 1000
    assert f"training: {3 * steps * 2.0:.3g} s; evaluation: {evaluation:.3g} s" in out


def test_sparsities_that_cost_the_same_are_measured_once(
    weedout: Weedout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    measured = list[float]()

    def measure(backend: Any, net: Any, sparsity: float, *_: Any, **__: Any) -> probe.Probe:
        measured.append(sparsity)
        return seconds(sparsity)

    monkeypatch.setattr(plan, "measure", measure)
    options = ("--repeats", "1", "--population", "10", "--generations", "1", "--epochs", "0")
    assert weedout("plan", "--backend", "numpy", "--sparsity", "0", "0.02", "0.5", *options) == 0
    out, err = capfd.readouterr()
    assert measured == [0.5, 0.02], "0 and 0.02 differ by less than a tenth, and masks are drawn at 0.02"
    assert "for sparsity 0, 0.02: 1.02 s a candidate" in out
    assert "for sparsity 0.5: 1.5 s a candidate" in out
    assert f"search: {10 * (1.02 + 1.02 + 1.5):.3g} s; training: 0 s" in out, "each sparsity is counted"
    assert len(err.splitlines()) == 2


def test_masks_of_single_nodes_in_convolutions_cost_the_same_at_any_sparsity() -> None:
    config = ExperimentConfig(sparsity=(0.0, 0.2, 0.5, 0.8))
    assert alike(config, wc.vgg(8, 10, (8, 8, 3))) == [[0.8, 0.5, 0.2, 0.0]]
    assert alike(config, wc.vgg(8, 10, (8, 8, 3), "channel")) == [[0.8], [0.5], [0.2], [0.0]]
    counted = replace(config, search=replace(config.search, sampling="bernoulli"))
    assert alike(counted, wc.mlp(6, (10,), 3)) == [[0.8], [0.5, 0.2, 0.0]], "there is room for the fullest candidate"


def test_the_memory_is_that_at_the_smallest_sparsity(
    weedout: Weedout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def memory(net: Any, sparsity: float, search: Any, train: Any, examples: int, networks: int, topology: Any) -> Any:
        assert (sparsity, examples, networks, topology) == (0.2, 1200, 2, None), "those of a repeat"
        return {"train_epoch": 3 * 2**30}

    backend = replace(wc.load_backend("numpy"), compiled_memory=memory)
    monkeypatch.setattr(plan, "load_backend", lambda *_: backend)
    monkeypatch.setattr(plan, "measure", lambda *_, **__: seconds(0.5))
    of_three = "plan", "--backend", "numpy", "--repeats", "3", "--sparsity"
    assert weedout(*of_three, "0.8", "0.2") == 0
    assert "memory of train_epoch at sparsity 0.2, a device of cpu: 3.00 GiB" in capfd.readouterr().out
    assert weedout(*of_three, "0.8", "0.5", "--search-epochs", "1", "--initial-sparsity", "0.2", "--together", "2") == 0
    assert "memory of train_epoch at sparsity 0.2" in capfd.readouterr().out


def test_the_table_says_what_is_computed(
    weedout: Weedout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "measure", lambda *_, **__: seconds(0.5))
    options = ("--backend", "numpy", "--network", "wrn-10-1", "--sparsity", "0.8")
    assert weedout("plan", *options) == 0
    out = capfd.readouterr().out
    net = wc.wide_resnet(10, 1, 10, (8, 8, 1))
    small = wc.costs(wc.compact(net, wc.mask_plan(wc.mask_space(net), 0.8).counts).net)
    share = f"{100 * small.macs / wc.costs(net).macs:.0f} %"
    row = next(line for line in out.splitlines() if line.split()[:1] == ["0.8"])
    assert [cell.strip() for cell in row.split("│")[-2:]] == [share, share], "in the search and in training"
    assert weedout("plan", *options, "--no-compaction") == 0
    row = next(line for line in capfd.readouterr().out.splitlines() if line.split()[:1] == ["0.8"])
    assert [cell.strip() for cell in row.split("│")[-2:]] == [share, "100 %"]
    rising = "--search-epochs", "1", "--initial-sparsity", "0"
    assert weedout("plan", *options, *rising) == 0
    row = next(line for line in capfd.readouterr().out.splitlines() if line.split()[:1] == ["0.8"])
    assert [cell.strip() for cell in row.split("│")[-2:]] == ["100 %", share], "the search begins with the parent"


@pytest.mark.parametrize("trained_whole", [True, False])
def test_a_model_that_is_trained_whole_is_counted_whole_in_training(trained_whole: bool) -> None:
    held = wc.backend.Held("a", (4, 2), 8, -2, (wc.backend.Follows(-2, "h"),))
    places = (wc.backend.Place("h", (4,), "", "", whole=False),)
    layer = wc.backend.Adopted("Model", ("numpy",), 3, places, (held,), (), "digest", trained_whole)
    config = ExperimentConfig(network="mine:f", sparsity=(0.5,))
    search, training = (
        list(column.cells) for column in plan._sparsities(config, wc.Network((layer,), (4,))).columns[-2:]
    )
    assert search == ["50 %"]
    assert training == (["100 %"] if trained_whole else search)


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
        "memory: unknown, because numpy has no compiler that reports it",
        "together about",
    ):
        assert said in out, said
    assert "measuring numpy on cpu at sparsity 0.5" in err
    assert not list(tmp_path.iterdir())


def test_sparsities_that_differ_are_told_apart(
    weedout: Weedout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "measure", lambda backend, net, sparsity, *_, **__: seconds(sparsity))
    assert weedout("plan", "--backend", "numpy", "--hidden", "8", "--sparsity", "0.3234567", "0.3234568") == 0
    out = capfd.readouterr().out
    for name in ("0.3234567", "0.3234568"):
        assert any(line.split()[:1] == [name] for line in out.splitlines()), "a row of its own"
    assert "for sparsity 0.3234567, 0.3234568: " in out
