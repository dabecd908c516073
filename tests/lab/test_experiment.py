"""The experiment: its configuration, and what a group computes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from weedout_core.lab.arms.paper import paper
from weedout_core.lab.data.datasets import load_dataset
from weedout_core.lab.experiment.configuration import ExperimentConfig, network
from weedout_core.lab.experiment.decided import Decided
from weedout_core.lab.experiment.events import EpochTrained, Event, GenerationScored, GroupFinished, PhaseStarted
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.group import GroupResult, run_group
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.so_far import NOTHING, GroupProgress

CONFIG = ExperimentConfig(
    hidden=(8, 6),
    sparsity=(0.5,),
    repeats=2,
    backend="numpy",
    search=wc.SearchConfig(population=5, generations=2),
    train=wc.TrainConfig(epochs=2, batch_size=256),
)
DATA = load_dataset("digits")


def decided(config: ExperimentConfig) -> Decided:
    return Decided(config.search.population, config.together or 2 * config.repeats)


def experiment(config: ExperimentConfig = CONFIG) -> Experiment:
    return Experiment(config, paper(config.control), (config.repeats,))


def run(
    config: ExperimentConfig = CONFIG, sparsity: float = 0.5, resume: GroupProgress = NOTHING
) -> tuple[GroupResult, list[Event]]:
    events: list[Event] = []
    group, backend = Group(sparsity, 0, config.repeats), wc.load_backend(config.backend)
    return run_group(experiment(config), decided(config), group, DATA, backend, events.append, resume), events


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sparsity": ()}, "one or more values"),
        ({"sparsity": (0.2, 0.2)}, "each of them once"),
        ({"sparsity": (0.0, -0.0)}, "each of them once"),
        ({"sparsity": (1.0,)}, r"sparsity\[0\] must be a finite number in \[0, 1\), the fraction removed; got 1.0"),
        ({"sparsity": (float("nan"),)}, r"sparsity\[0\] must be a finite number in \[0, 1\), .* got nan"),
        ({"repeats": 0}, "repeats must be an integer of at least 1; got 0"),
        ({"devices": 0}, "devices must be an integer of at least 1; got 0"),
        ({"together": 0}, "together must be an integer of at least 1 or None; got 0"),
        ({"granularity": "channel"}, r"no effect without convolutions \(network wrn-D-K or vgg-W\)"),
        ({"granularity": "connection", "rescale": True}, "rescale=True has no effect without masks of activations"),
        (
            {"granularity": "connection", "mask_residual": True, "network": "wrn-10-1"},
            "mask_residual=True has no effect without masks of activations",
        ),
        ({"mask_residual": True}, r"no effect without residual blocks \(network wrn-D-K\)"),
        ({"mask_residual": True, "network": "vgg-8"}, r"no effect without residual blocks \(network wrn-D-K\)"),
        ({"hidden": ()}, "at least one layer"),
        ({"hidden": (8, 0)}, r"hidden\[1\] must be an integer of at least 1; got 0"),
        ({"seed": -1}, "seed must be an integer of at least 0; got -1"),
        (
            {"dataset": "cifar"},
            "'cifar10', 'cifar100', or package.module:function, a function of your own; got 'cifar'",
        ),
        ({"control": "none"}, "'member', 'independent'; got 'none'"),
        ({"interval": "none"}, "'student_t', 'normal', 'bootstrap'; got 'none'"),
        ({"validation_in_training": "always"}, "must be one of 'never'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_configurations_out_of_range_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(wc.errors.ConfigError, match=said):
        ExperimentConfig(**wrong)


@pytest.mark.parametrize(
    "options",
    [
        {"granularity": "connection"},
        {"network": "wrn-10-1", "granularity": "connection"},
        {"network": "vgg-8", "granularity": "channel"},
        {"network": "wrn-10-1", "granularity": "channel", "mask_residual": True},
    ],
)
def test_masks_that_a_network_has_a_use_for_are_taken(options: dict[str, Any]) -> None:
    ExperimentConfig(**options)


def test_the_order_of_sparsities_is_no_part_of_a_run() -> None:
    assert ExperimentConfig(sparsity=(0.8, 0, 0.2)) == ExperimentConfig(sparsity=(0.0, 0.2, 0.8))


def test_choices_list_the_experiments_rows() -> None:
    rows = {choice.row for choice in wc.choices(CONFIG, CONFIG.search, CONFIG.train)}
    assert {1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 18, 19, 21, 25, 26} <= rows


def test_a_group_has_every_cell_epoch_and_generation() -> None:
    group, _ = run()
    assert [(row.arm, row.repeat) for row in group.results] == [
        ("weedout", 0), ("weedout", 1), ("control", 0), ("control", 1),
    ]  # fmt: skip
    assert [(row.arm, row.repeat, row.epoch) for row in group.curves][:3] == [
        ("weedout", 0, 1), ("weedout", 0, 2), ("weedout", 1, 1),
    ]  # fmt: skip
    assert [(row.repeat, row.generation, row.evaluations) for row in group.searches] == [
        (0, 0, 5), (0, 1, 5), (1, 0, 5), (1, 1, 5),
    ]  # fmt: skip
    assert set(group.masks) == {
        f"{arm}/{repeat}/hidden_{site}" for arm in ("weedout", "control") for repeat in (0, 1) for site in (0, 1)
    }


def test_rows_say_what_the_searches_found() -> None:
    group, _ = run()
    backend, net = wc.load_backend("numpy"), network(CONFIG, DATA)
    for repeat in range(2):
        key = wc.random.fold_in(wc.key(0), repeat)
        found = wc.search(net, DATA.validation, sparsity=0.5, backend=backend, key=key, config=CONFIG.search)
        winner = next(row for row in group.results if row.arm == "weedout" and row.repeat == repeat)
        assert (winner.origin_generation, winner.origin_candidate) == found.origin
        assert winner.fitness == found.fitness
        assert winner.population_mean_fitness == found.history[-1].mean
        assert (winner.evaluations, winner.stopped, winner.validation_batch) == (10, "generations", 300)
        assert found.network.mask is not None
        assert np.array_equal(group.masks[f"weedout/{repeat}/hidden_0"], found.network.mask["hidden_0"])
        control = next(row for row in group.results if row.arm == "control" and row.repeat == repeat)
        assert control.origin_generation == 0
        assert control.origin_candidate is not None
        assert control.fitness == found.history[0].fitness[control.origin_candidate]
        origin_key = wc.random.fold_in(
            wc.random.fold_in(wc.random.fold_in(key, int(wc.random.Stream.MASKS)), 0), control.origin_candidate
        )
        member = backend.masks_from_keys(origin_key[None], wc.mask_plan(wc.mask_space(net), 0.5))
        for site in ("hidden_0", "hidden_1"):
            assert np.array_equal(group.masks[f"control/{repeat}/{site}"], backend.to_numpy(member[site])[0]), (
                "the control is the member of the first generation that its row names"
            )


def test_rows_say_what_a_cell_learnt_and_costs() -> None:
    group, _ = run()
    row = group.results[0]
    last = [curve for curve in group.curves if curve.arm == "weedout" and curve.repeat == 0][-1]
    assert row.test_accuracy == last.test_accuracy
    assert 0 < row.train_accuracy <= 1
    assert row.train_loss > 0
    assert row.achieved_sparsity == 0.5
    assert (row.parameters, row.macs) == (64 * 8 + 8 + 8 * 6 + 6 + 6 * 10 + 10, 64 * 8 + 8 * 6 + 6 * 10)
    assert (row.active_parameters, row.active_macs) == (64 * 4 + 4 + 4 * 3 + 3 + 3 * 10 + 10, 64 * 4 + 4 * 3 + 3 * 10)


def test_an_independent_control_has_no_origin_and_no_fitness() -> None:
    group, _ = run(replace(CONFIG, control="independent"))
    controls = [row for row in group.results if row.arm == "control"]
    assert [(row.origin_candidate, row.fitness, row.population_mean_fitness) for row in controls] == [
        (None, None, None)
    ] * 2


def test_a_winner_scored_on_a_batch_of_its_own_has_no_population_mean() -> None:
    group, _ = run(replace(CONFIG, search=replace(CONFIG.search, winner="rescored")))
    assert all(row.population_mean_fitness is None for row in group.results if row.arm == "weedout")


def test_without_sparsity_the_arms_are_the_same_network() -> None:
    group, _ = run(sparsity=0.0)
    weedout, control = group.results[:2], group.results[2:]
    assert [row.test_loss for row in weedout] == [row.test_loss for row in control]
    assert [row.train_loss for row in weedout] == [row.train_loss for row in control]


def test_per_candidate_weights_and_zero_epochs_are_possible() -> None:
    config = replace(
        CONFIG, search=wc.SearchConfig(population=3, generations=2, reading="section3"),
        train=wc.TrainConfig(epochs=0),
    )  # fmt: skip
    group, _ = run(config)
    assert group.curves == ()
    assert len(group.results) == 4


def test_events_tell_the_whole_story_in_order() -> None:
    _, events = run()
    kinds = [type(event) for event in events]
    one_search = [PhaseStarted, GenerationScored, GenerationScored]
    rest = [PhaseStarted, PhaseStarted, PhaseStarted, EpochTrained, EpochTrained, PhaseStarted, GroupFinished]
    assert kinds == [*one_search, *one_search, *rest]
    phases = [(event.phase, event.repeat) for event in events if isinstance(event, PhaseStarted)]
    chosen = [(arm, repeat) for arm in ("weedout", "control") for repeat in (0, 1)]
    assert phases == [*chosen, ("train", None), ("evaluate", None)]


@pytest.mark.parametrize("together", [1, 3, 4, 99])
def test_networks_trained_some_at_a_time_are_those_trained_together(together: int) -> None:
    """The reference trains each network apart: to the bit."""
    found, events = run(replace(CONFIG, together=together))
    np.testing.assert_equal(found, run()[0])
    trained = [event for event in events if isinstance(event, EpochTrained)]
    slices = {1: [(0, 1), (1, 1), (2, 1), (3, 1)], 3: [(0, 3), (3, 1)]}.get(together, [(0, 4)])
    assert [(event.first, event.together, event.epoch) for event in trained] == [
        (first, count, epoch) for first, count in slices for epoch in (1, 2)
    ]
    assert {event.cells for event in trained} == {4}


@pytest.mark.slow
def test_each_slice_is_trained_as_if_alone() -> None:
    pytest.importorskip("weedout_jax")
    config = replace(CONFIG, backend="jax", together=3)
    group, _ = run(config)
    net, backend = network(config, DATA), wc.load_backend("jax")
    for cells in ([("weedout", 0), ("weedout", 1), ("control", 0)], [("control", 1)]):
        keys = [wc.random.fold_in(wc.key(0), repeat) for _, repeat in cells]
        masks = [
            {site: group.masks[f"{arm}/{repeat}/{site}"] for site in ("hidden_0", "hidden_1")} for arm, repeat in cells
        ]
        parents = [backend.initialise(net, wc.random.fold_in(key, int(wc.random.Stream.WEIGHTS))) for key in keys]
        alone = wc.train_together(
            [wc.Subnetwork(net, *one) for one in zip(parents, masks, strict=True)], DATA.train,
            backend=backend, keys=keys, config=config.train, test=DATA.test,
        )  # fmt: skip
        for (arm, repeat), trained in zip(cells, alone, strict=True):
            for path, value in trained.network.params.items():
                assert np.array_equal(group.parameters[f"{arm}/{repeat}/{path}"], value), (arm, repeat, path)
            curve = [row for row in group.curves if (row.arm, row.repeat) == (arm, repeat)]
            assert [row.loss for row in curve] == [epoch.loss for epoch in trained.history]


@pytest.mark.parametrize("together", [None, 3])
@pytest.mark.slow
def test_a_group_goes_on_from_every_checkpoint(together: int | None) -> None:
    config = replace(CONFIG, together=together)
    kept: list[GroupProgress] = []
    whole = run_group(
        experiment(config), decided(config), Group(0.5, 0, 2), DATA, wc.load_backend("numpy"), lambda event: None,
        NOTHING, lambda fetch, epoch: kept.append(fetch()),
    )  # fmt: skip
    done = [tuple(len(trained.history) for trained in progress.trained) for progress in kept if progress.trained]
    assert done == ([(1,) * 4] if together is None else [(1,) * 3, (2,) * 3, (2, 2, 2, 1)])
    assert len(kept) == 2 * (2 + 1) + 2 + len(done), "after each generation, choice and epoch"
    for progress in kept:
        np.testing.assert_equal(run(config, resume=progress)[0], whole)


def test_what_is_trained_is_not_trained_again() -> None:
    config, kept = replace(CONFIG, together=2), list[GroupProgress]()
    run_group(
        experiment(config), decided(config), Group(0.5, 0, 2), DATA, wc.load_backend("numpy"), lambda event: None,
        NOTHING, lambda fetch, epoch: kept.append(fetch()),
    )  # fmt: skip
    last = kept[-1]
    assert [len(trained.history) for trained in last.trained] == [2, 2, 1, 1]
    _, events = run(config, resume=last)
    trained = [event for event in events if isinstance(event, EpochTrained)]
    assert [(event.first, event.epoch) for event in trained] == [(2, 2)]


def test_no_epochs_are_possible_some_at_a_time() -> None:
    config = replace(CONFIG, together=3, train=wc.TrainConfig(epochs=0))
    assert run(config)[0].curves == ()
