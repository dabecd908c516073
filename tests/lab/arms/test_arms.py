"""Arms: what each of the library's own chooses, and what it is handed."""

import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.lab.arms.tasks import CONFIG, DATA, NET, choices, choosing, start, task
from weedout_core.errors import ConfigError, RunError
from weedout_core.lab.arms.dense import DENSE, SMALL_DENSE, narrower
from weedout_core.lab.arms.named import RANDOM, arm_named
from weedout_core.lab.arms.paper import WEEDOUT, control, with_budget_of
from weedout_core.lab.arms.scored import METHODS
from weedout_core.lab.arms.starts import masked
from weedout_core.lab.experiment.arms import Arm, Start, Task, Work
from weedout_core.lab.experiment.choosing import choose_all
from weedout_core.lab.experiment.experiment import check_arms
from weedout_core.lab.experiment.so_far import NOTHING, GroupProgress

ROOT = wc.random.fold_in(wc.key(0), 0)


def counts(mask: object) -> dict[str, int]:
    assert isinstance(mask, dict) or hasattr(mask, "items")
    return {site: int(np.count_nonzero(kept)) for site, kept in mask.items()}  # type: ignore[attr-defined]


@pytest.mark.slow
def test_all_arms_of_a_repeat_start_from_the_parent_of_its_search() -> None:
    found = choices(WEEDOUT, control(RANDOM, "member"), DENSE, *METHODS.values())
    parent = found["weedout"].network.params  # type: ignore[union-attr]
    for name, one in found.items():
        assert isinstance(one, Start)
        for path, value in parent.items():
            assert np.array_equal(one.network.params[path], value), f"{name} starts from other weights"


def test_repeats_have_other_weights_and_other_keys() -> None:
    seen: list[Task] = []
    choose_all(choosing(repeats=2), [Arm("see", lambda one: seen.append(one) or masked(None, one))], NOTHING)
    first, second = seen
    assert not np.array_equal(first.params["dense_0/kernel"], second.params["dense_0/kernel"])
    assert not np.array_equal(first.key, second.key)
    assert (first.repeat, second.repeat) == (0, 1)


def test_a_task_hands_out_what_it_says_and_nothing_that_can_be_written_to() -> None:
    one = task()
    assert (one.net, one.sparsity, one.repeat) == (NET, 0.5, 0)
    assert one.plan == wc.mask_plan(wc.mask_space(NET), 0.5)
    assert np.array_equal(one.train.x, DATA.train.x)
    assert np.array_equal(one.validation.y, DATA.validation.y)
    assert (one.search, one.learning) == (CONFIG.search, CONFIG.train)
    assert np.array_equal(one.root, ROOT)
    assert not any(array.flags.writeable for array in (*one.train, *one.validation, *one.params.values()))
    assert DATA.train.x.flags.writeable, "the data itself is left as it was"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "synflow" else name for name in METHODS]
)
def test_methods_keep_the_nodes_that_their_scores_rate_highest(name: str) -> None:
    found, one = start(METHODS[name]), task()
    assert counts(found.network.mask) == one.plan.kept
    assert found.scores is not None
    for site, mask in (found.network.mask or {}).items():
        assert found.scores[site][mask].min() >= found.scores[site][~mask].max()


@pytest.mark.slow
def test_methods_rate_by_what_they_are_named_after() -> None:
    one, backend = task(), wc.load_backend("numpy")
    dense = wc.Subnetwork(NET, one.params)
    trained = wc.train(dense, DATA.train, backend=backend, key=ROOT, config=CONFIG.train).network
    wanted = {
        "magnitude": wc.scores.magnitude(NET, one.params),
        "magnitude_after_training": wc.scores.magnitude(NET, trained.params),
        "snip": wc.scores.snip(NET, one.params, DATA.train, backend=backend, key=arm_key("snip")),
        "synflow": wc.scores.synflow(NET, one.params, one.plan, backend=backend, key=arm_key("synflow")),
    }
    assert set(wanted) == set(METHODS)
    for name, scores in wanted.items():
        np.testing.assert_equal(dict(start(METHODS[name]).scores or {}), scores, err_msg=name)


def arm_key(name: str) -> wc.random.Key:
    return wc.random.fold_in(wc.random.fold_in(ROOT, int(wc.random.Stream.ARMS)), zlib.crc32(name.encode()))


def test_a_dense_parent_that_diverges_is_one_sentence() -> None:
    config = replace(CONFIG, train=wc.TrainConfig(epochs=1, batch_size=256, learning_rate=1e30))
    said = (
        "the arm magnitude_after_training failed at sparsity 0.5, repeat 0: the training of the dense parent diverged"
    )
    with pytest.raises(RunError, match=said):
        start(METHODS["magnitude_after_training"], config=config)


def test_dense_keeps_every_node_and_small_dense_as_many_parameters_as_a_mask_leaves() -> None:
    assert start(DENSE).network.mask is None
    small = start(SMALL_DENSE).network
    assert small.mask is None
    assert wc.nn.parameter_shapes(small.net)["dense_0/kernel"] == (64, 4)
    assert small.costs.parameters == start(control(RANDOM, "member")).network.costs.active_parameters


@pytest.mark.parametrize(
    "net",
    [
        wc.mlp(64, (100, 30), 10),
        wc.vgg(8, 10, (16, 16, 3), granularity="channel"),
        wc.wide_resnet(10, 1, 10, (16, 16, 3), granularity="channel", mask_residual=True),
    ],
    ids=["mlp", "vgg", "wrn"],
)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 1.0])
def test_a_narrower_network_has_the_nearest_number_of_parameters(net: wc.Network, share: float) -> None:
    whole = wc.costs(net).parameters
    wanted = round(share * whole)
    found = narrower(net, wanted)
    others = [narrower(net, round(other * whole)) for other in np.linspace(0.001, 1, 8)]
    nearest = min(abs(sum(map(np.prod, wc.nn.parameter_shapes(other).values())) - wanted) for other in others)
    assert abs(wc.costs(found).parameters - wanted) <= nearest
    assert found.output_shape == net.output_shape
    assert (found == net) == (share == 1.0)


def test_a_search_with_the_budget_of_a_method_computes_no_more() -> None:
    method = METHODS["magnitude_after_training"]
    found = choices(method, with_budget_of(method))
    spent, allowed = found["weedout"].spent, found[method.name].spent  # type: ignore[union-attr]
    one = spent.computed_macs // spent.candidates
    assert allowed.computed_macs - one * CONFIG.search.population < spent.computed_macs <= allowed.computed_macs
    least = choices(METHODS["magnitude"], with_budget_of(METHODS["magnitude"]))["weedout"]
    assert least.spent.candidates == 2, "magnitude computes nothing, and a search has two candidates at least"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("population", "options"),
    [
        (8, {"strategy": "genetic"}),
        (8, {"strategy": "one_plus_lambda", "sampling": "bernoulli"}),
        (8, {"strategy": "binary_tournament", "allocation": "global"}),
        (128, {"strategy": "successive_halving"}),
        (64, {"strategy": "successive_halving", "winner": "rescored"}),
        (2, {"winner": "rescored"}),
        (2, {"winner": "rescored", "elite": "cache", "batch_policy": "fixed"}),
        (4, {"training_steps": 2, "sampling": "bernoulli"}),
        (17, {"training_steps": 3, "trained_weights": "kept"}),
    ],
    ids=str,
)
def test_a_search_of_any_kind_keeps_to_the_budget(population: int, options: dict[str, Any]) -> None:
    """The method trains the parent for an epoch, which is what hundreds of candidates cost, or tens that train."""
    search = replace(CONFIG.search, population=population, validation_batch=16, **options)
    learning = replace(CONFIG.train, batch_size=128 if not search.training_steps else 16)
    config = replace(CONFIG, hidden=(40, 24), search=search, train=learning)
    method = METHODS["magnitude_after_training"]
    found = choices(method, with_budget_of(method), config=config)
    spent, allowed = found["weedout"].spent, found[method.name].spent  # type: ignore[union-attr]
    assert allowed.computed_macs / 4 < spent.computed_macs <= allowed.computed_macs, options


def test_examples_of_which_statistics_are_taken_count_against_the_budget() -> None:
    search = replace(CONFIG.search, validation_batch=16, batch_norm="recalibrated", population=4)
    config = replace(CONFIG, network="vgg-1", hidden=None, search=search)
    found = choices(METHODS["snip"], with_budget_of(METHODS["snip"]), config=config)
    spent, allowed = found["weedout"].spent, found["snip"].spent  # type: ignore[union-attr]
    assert allowed.computed_macs / 2 < spent.computed_macs <= allowed.computed_macs


def test_work_is_counted_where_the_backend_does_it() -> None:
    macs = 64 * 8 + 8 * 6 + 6 * 10
    small = 64 * 4 + 4 * 3 + 3 * 10
    assert start(WEEDOUT).spent == Work(8, 0, 8 * 300 * macs, 8 * 300 * small, 8 * 300 * small)
    assert start(METHODS["magnitude"]).spent == Work()
    seen = 3 * 10 * 10 * macs  # ten examples a class, and three times the products of a forward pass
    assert start(METHODS["snip"]).spent == Work(0, 0, seen, seen, seen)
    steps = len(DATA.train.y) // 256
    seen = 3 * steps * 256 * macs
    assert start(METHODS["magnitude_after_training"]).spent == Work(0, steps, seen, seen, seen)


def test_work_of_a_search_is_counted_once_wherever_it_is_interrupted() -> None:
    offered: list[GroupProgress] = []
    whole = choose_all(choosing(offered=offered), [WEEDOUT], NOTHING)
    assert len(offered) == 3, "after each generation, and when it has chosen"
    for progress in offered:
        assert choose_all(choosing(), [WEEDOUT], progress).chosen == whole.chosen


def test_an_arm_is_handed_what_it_reads_and_nothing_else() -> None:
    seen: list[Task] = []
    reader = Arm("reader", lambda one: seen.append(one) or masked(None, one), reads=("magnitude",))
    found = choices(WEEDOUT, METHODS["magnitude"], reader)
    assert seen[0].found == {"magnitude": found["magnitude"]}


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ((WEEDOUT, WEEDOUT), "each arm needs its own name; got 'weedout' twice"),
        ((control("control", "member"),), r"the arm 'control' reads \['weedout'\], which must come before it"),
        ((Arm("train", lambda one: masked(None, one)),), "letters, digits and underscores.*got 'train'"),
        ((Arm("a/b", lambda one: masked(None, one)),), "letters, digits and underscores.*got 'a/b'"),
        ((Arm("", lambda one: masked(None, one)),), "letters, digits and underscores.*got ''"),
    ],
)
def test_arms_that_cannot_stand_in_one_run_are_refused(arms: tuple[Arm, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_arms(arms)


def test_an_unknown_method_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(
        ConfigError, match=r"weedout, random, dense, .*snip.*got 'grasp'\. Hand in a function of your own \(--arm"
    ):
        arm_named("grasp", "member")


def test_the_tasks_of_a_group_share_one_plan_and_one_view_of_the_data() -> None:
    seen: list[Task] = []
    look = [Arm(name, lambda one: seen.append(one) or masked(None, one)) for name in ("one", "other")]
    choose_all(choosing(repeats=2), look, NOTHING)
    assert len(seen) == 4
    for shared in ("plan", "train", "validation"):
        assert len({id(getattr(one, shared)) for one in seen}) == 1, shared
