"""What a search costs under each value of each option: the ledger against a count by hand.

A count is written out as arithmetic: candidates, times the examples that each is scored on, times the products of one
example. None of it calls what the ledger counts with. A value of an option that has no count here fails.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest
from safetensors.numpy import load_file

import weedout_core as wc
from tests.lab.arms.tasks import CONFIG, DATA, start
from weedout_core import TrainConfig
from weedout_core._configs.checks import named_options
from weedout_core._configs.search_config import FitnessName, StrategyName
from weedout_core._masks.allocation import ALLOCATIONS
from weedout_core.lab.arms.dense import DENSE
from weedout_core.lab.arms.paper import control
from weedout_core.lab.experiment.arms import Cell, Start, Work
from weedout_core.lab.experiment.billing import ledger_rows
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.ledger import LedgerRow, Meter
from weedout_core.lab.experiment.rows import from_csv

CLASSES, M, BATCH, SPLIT = 10, 8, 32, 300
MLP = wc.mlp(64, (40, 24), CLASSES)
#: An image of 6 x 6 x 2, and at each of its 36 places 40 features of windows of 3 x 3.
CONV = wc.Network(
    (wc.nn.Conv("conv", 40), wc.nn.BatchNorm("norm"), wc.nn.Relu(), wc.nn.Mask("map", granularity="channel"),
     wc.nn.GlobalAveragePool(), wc.nn.Dense("logits", CLASSES)),
    (6, 6, 2),
)  # fmt: skip
#: The same with a mask of each weight.
WEIGHTS = wc.nn.with_connections(
    wc.Network(tuple(one for one in CONV.layers if not isinstance(one, wc.nn.Mask)), (6, 6, 2))
)


def of_mlp(one: int, other: int) -> int:
    """The products of an example through 64 inputs, two hidden layers and the logits."""
    return 64 * one + one * other + other * CLASSES


def of_conv(features: int) -> int:
    """Those of an image: a window of 3 x 3 x 2 at each of 36 places for each feature; batch normalisation has none."""
    return 36 * (3 * 3 * 2) * features + features * CLASSES


WHOLE, HALF = of_mlp(40, 24), of_mlp(20, 12)
#: Masks that were bred are handed in. What is computed has room for the fullest in whole sixteens: for 20 and 12 nodes,
#: 32 and 16.
BRED = of_mlp(32, 16)
#: Where the draw decides how many stay, there is room for three standard deviations, sqrt(40/4) = 3.2 and
#: sqrt(24/4) = 2.4, above what is expected: 20 + 10 and 12 + 8.
ROOM = of_mlp(20 + 10, 12 + 8)


def bill(*scored: tuple[int, int], whole: int = WHOLE, active: int = HALF, computed: int = HALF) -> Work:
    """Of generations: candidates, and the examples that each is scored on."""
    seen = sum(candidates * examples for candidates, examples in scored)
    return Work(sum(candidates for candidates, _ in scored), 0, seen * whole, seen * active, seen * computed)


def trained(candidates: int, steps: int) -> Work:
    """Candidates that take steps of 16 examples, each three times the products of a forward pass, and are scored."""
    return bill((candidates, 3 * steps * 16 + BATCH))._replace(steps=candidates * steps)


DRAWN = bill((M, BATCH), (M, BATCH), (M, BATCH))
FIRST_DRAWN_THEN_BRED = bill((M, BATCH)).plus(bill((M, BATCH), (M, BATCH), computed=BRED))
STEPS = trained(3 * M, 2)


class Count(NamedTuple):
    """What a search costs, or how that follows from what it finds; what else is configured, and the network."""

    work: Work | Callable[[wc.SearchResult], Work]
    more: dict[str, Any] = {}  # noqa: RUF012
    net: wc.Network = MLP


def left_to_the_draw(sampling: str, allocation: str) -> Work:
    """Every candidate is billed as one that the plan draws, that of key 0: others keep a few nodes more or fewer."""
    plan = wc.mask_plan(wc.mask_space(MLP), 0.5, sampling, allocation)  # pyright: ignore[reportArgumentType]
    one = [int(mask.sum()) for mask in wc.backend.masks_from_keys(wc.key(0)[None], plan).values()]
    return bill(*[(M, BATCH)] * 3, active=of_mlp(*one), computed=ROOM)


def with_elites_again(found: wc.SearchResult) -> Work:
    """The elites of three generations, each of them once, on one more batch."""
    elites = len({generation.elite for generation in found.history})
    assert elites > 1
    return DRAWN.plus(bill((elites, BATCH)))


def a_winner_that_is_ahead(found: wc.SearchResult) -> Work:
    """Two steps again, by the winner alone: it is handed in as the smaller network, whose whole products are HALF."""
    again = 3 * 2 * 16 * HALF
    return STEPS.plus(Work(0, 2, again, again, again))


def until_no_better(found: wc.SearchResult) -> Work:
    best = [generation.best for generation in found.history]
    assert best[-1] <= max(best[:-1])
    return bill(*[(M, BATCH)] * len(best))


def own_fitness(logits: Any, labels: Any) -> Any:
    return logits[..., 0, 0]


def clones(key: Any, plan: Any, masks: Any, fitness: Any, count: int, mutation: float) -> Any:
    return {site: mask[:1].repeat(count, axis=0) for site, mask in masks.items()}


def front(space: Any, sparsity: float) -> dict[str, int]:
    return {"hidden_0": 30, "hidden_1": 2}


OF_CONV: dict[str, int] = {"whole": of_conv(40), "active": of_conv(20), "computed": of_conv(20)}
#: ERK: (64 + 40) / (64 · 40) of 40 and (40 + 24) / (40 · 24) of 24 nodes are 1.625 and 1.6 parts of the 32 that stay.
ERK = of_mlp(16, 16)
#: Of 1,120 weights 560 stay, 30 % of the 400 before the logits, and the rest in the one convolution. Products are
#: computed with all weights.
SMART = {"whole": of_conv(40), "active": 36 * (560 - 120) + 120, "computed": of_conv(40)}
#: {(option, value): its count}. Three generations of eight on 32 examples, where nothing else is said.
COUNTS: dict[tuple[str, Any], Count] = {
    ("strategy", "random_search"): Count(DRAWN),
    ("strategy", "binary_tournament"): Count(FIRST_DRAWN_THEN_BRED),
    ("strategy", "one_plus_lambda"): Count(FIRST_DRAWN_THEN_BRED),
    ("strategy", "genetic"): Count(FIRST_DRAWN_THEN_BRED),
    ("strategy", "successive_halving"): Count(bill((8, 32), (4, 64), (2, 128))),
    ("strategy", clones): Count(FIRST_DRAWN_THEN_BRED),
    ("allocation", "uniform"): Count(DRAWN),
    ("allocation", "global"): Count(left_to_the_draw("exact", "global")),
    ("allocation", "erk"): Count(bill(*[(M, BATCH)] * 3, active=ERK, computed=ERK)),
    ("allocation", "smart_ratio"): Count(bill(*[(M, BATCH)] * 3, **SMART), {"batch_norm": "batch"}, WEIGHTS),
    ("allocation", front): Count(bill(*[(M, BATCH)] * 3, active=of_mlp(30, 2), computed=of_mlp(30, 2))),
    ("sampling", "exact"): Count(DRAWN),
    ("sampling", "bernoulli"): Count(left_to_the_draw("bernoulli", "uniform")),
    ("batch_policy", "fresh"): Count(DRAWN),
    ("batch_policy", "fixed"): Count(DRAWN),
    ("batch_policy", "whole"): Count(bill(*[(M, SPLIT)] * 3), {"validation_batch": 1024}),
    ("elite", "rescore"): Count(DRAWN),
    ("elite", "cache"): Count(bill((M, BATCH), (M - 1, BATCH), (M - 1, BATCH)), {"batch_policy": "fixed"}),
    ("winner", "last_generation"): Count(DRAWN),
    ("winner", "best_overall"): Count(DRAWN),
    ("winner", "rescored"): Count(with_elites_again),
    ("trained_weights", "reset"): Count(STEPS, {"training_steps": 2}),
    ("trained_weights", "kept"): Count(a_winner_that_is_ahead, {"training_steps": 2}),
    ("batch_norm", "batch"): Count(bill(*[(M, BATCH)] * 3, **OF_CONV), net=CONV),
    ("batch_norm", "running"): Count(bill(*[(M, BATCH)] * 3, **OF_CONV), net=CONV),
    # Statistics are taken of as many other examples, whose logits are computed too.
    ("batch_norm", "recalibrated"): Count(bill(*[(M, 2 * BATCH)] * 3, **OF_CONV), net=CONV),
    # What a network computes is the same whatever its weights are, and however they were drawn.
    ("weights", "shared"): Count(DRAWN),
    ("weights", "per_candidate"): Count(DRAWN),
    ("fan", "fan_in"): Count(DRAWN),
    ("fan", "fan_out"): Count(DRAWN),
    ("fan_counts", "parent"): Count(DRAWN),
    ("fan_counts", "kept"): Count(DRAWN),
    # Nor does it matter what is made of logits and of fitness.
    ("fitness", "negative_cross_entropy"): Count(DRAWN),
    ("fitness", "accuracy"): Count(DRAWN),
    ("fitness", own_fitness): Count(DRAWN),
    ("reading", "algorithm1"): Count(DRAWN),
    ("reading", "section3"): Count(DRAWN),
    ("winner_keeps", "mask_and_weights"): Count(DRAWN),
    ("ties", "lowest_index"): Count(DRAWN),
    ("not_finite", "never_selected"): Count(DRAWN),
    # Products are products, however they are rounded, and however many candidates are in memory.
    ("precision", "highest"): Count(DRAWN),
    ("precision", "default"): Count(DRAWN),
    ("chunk", 3): Count(DRAWN),
    ("population", 5): Count(bill(*[(5, BATCH)] * 3)),
    ("generations", 2): Count(bill((M, BATCH), (M, BATCH))),
    ("patience", 1): Count(until_no_better, {"generations": None}),
    ("budget", 23): Count(bill((M, BATCH), (M, BATCH)), {"generations": None}),
    ("validation_batch", 48): Count(bill(*[(M, 48)] * 3)),
    ("validation_batch", 400): Count(bill(*[(M, SPLIT)] * 3)),
    ("mutation", 0.5): Count(FIRST_DRAWN_THEN_BRED, {"strategy": "genetic"}),
    ("training_steps", 0): Count(DRAWN),
    ("training_steps", 3): Count(trained(3 * M, 3)),
}
NAMED = named_options(wc.SearchConfig) | {
    "strategy": get_args(StrategyName),
    "fitness": get_args(FitnessName),
    "allocation": ALLOCATIONS,
}
OPTIONS = dict.fromkeys([(field, value) for field, values in NAMED.items() for value in values] + [*COUNTS])


def searched(net: wc.Network, **options: Any) -> tuple[Work, wc.SearchResult]:
    """What a search costs by the ledger, and what it finds. It has the data, and a training split where it trains."""
    rng, meter = np.random.default_rng(0), Meter(wc.load_backend("numpy"), Work())
    x, y = rng.normal(size=(SPLIT, *net.input_shape)).astype(np.float32), rng.integers(0, CLASSES, SPLIT)
    config = wc.SearchConfig(**{"population": M, "generations": 3, "validation_batch": BATCH, **options})
    before = {"training": (x[:100], y[:100]), "learning": wc.TrainConfig(batch_size=16)}
    found = wc.search(
        net, (x, y), sparsity=0.5, backend=meter.backend, key=wc.key(0), config=config,
        **(before if config.training_steps else {}),
    )  # fmt: skip
    return meter.work, found


def test_every_option_of_a_search_is_counted() -> None:
    assert {field.name for field in fields(wc.SearchConfig)} == {field for field, _ in OPTIONS}


@pytest.mark.parametrize(("field", "value"), OPTIONS, ids=lambda one: getattr(one, "__name__", str(one)))
def test_a_search_costs_what_a_count_by_hand_says(field: str, value: Any) -> None:
    assert (field, value) in COUNTS, f"count by hand what a search costs with {field}={value!r}"
    work, more, net = COUNTS[field, value]
    spent, found = searched(net, **{field: value}, **more)
    assert spent == (work if isinstance(work, Work) else work(found))


# What a bit of a mask stands for


def drawn_bred_and_trained(of: wc.nn.Granularity) -> tuple[wc.Network, dict[str, Work]]:
    """The network, and what two generations cost that draw, that breed, and that train for two steps.

    Of a window 18 products lead to each feature at each place, and 36 places have 40 features.
    """
    if of == "connection":  # 360 of 720 weights at each of 36 places, and 200 of 400; all products are computed
        counts: dict[str, int] = {"whole": of_conv(40), "active": 36 * 360 + 200, "computed": of_conv(40)}
        room = least = counts
    elif of == "channel":  # 20 of 40 features; bred ones have room for 32
        counts = OF_CONV
        room, least = counts | {"computed": of_conv(32)}, counts
    else:  # 720 of 1,440 nodes, each with its window; of each feature some are left, and the kernels stay whole
        counts = {"whole": of_conv(40), "active": 18 * 720 + 40 * CLASSES, "computed": of_conv(40)}
        room = least = counts
    trained = bill(*[(M, 3 * 2 * 16 + BATCH)] * 2, **least)._replace(steps=2 * M * 2)
    return with_bits(of), {
        "random_search": bill((M, BATCH), (M, BATCH), **counts),
        "genetic": bill((M, BATCH), **counts).plus(bill((M, BATCH), **room)),
        "training_steps": trained,
    }


def with_bits(of: wc.nn.Granularity) -> wc.Network:
    if of == "connection":
        return WEIGHTS
    return wc.Network(
        tuple(wc.nn.Mask("map", granularity=of) if isinstance(one, wc.nn.Mask) else one for one in CONV.layers),
        CONV.input_shape,
    )


@pytest.mark.parametrize("of", get_args(wc.nn.Granularity))
def test_what_is_masked_says_what_is_saved(of: wc.nn.Granularity) -> None:
    net, wanted = drawn_bred_and_trained(of)
    found = {name: searched(net, generations=2, strategy=name)[0] for name in ("random_search", "genetic")}
    found["training_steps"], _ = searched(net, generations=2, training_steps=2, batch_norm="running")
    assert found == wanted


@pytest.mark.parametrize("of", get_args(wc.nn.Granularity))
def test_the_steps_of_a_winner_that_is_ahead_are_billed_by_what_it_keeps(of: wc.nn.Granularity) -> None:
    """It is handed in as what its masks leave: of channels a smaller network, of nodes and weights the parent."""
    net, wanted = drawn_bred_and_trained(of)
    options: dict[str, Any] = {"generations": 2, "training_steps": 2, "batch_norm": "running"}
    kept, _ = searched(net, trained_weights="kept", **options)
    handed_in, active = {
        "node": (of_conv(40), 18 * 720 + 40 * CLASSES),
        "channel": (of_conv(20), of_conv(20)),
        "connection": (of_conv(40), 36 * 360 + 200),
    }[of]
    again = 3 * 2 * 16
    assert kept == wanted["training_steps"].plus(Work(0, 2, again * handed_in, again * active, again * handed_in))


@pytest.mark.parametrize(
    ("strategy", "generations"),
    [("random_search", (8, 8, 8)), ("genetic", (8, 8, 8)), ("successive_halving", (8, 4, 2))],
)
def test_masks_of_weights_with_free_counts_are_computed_whole(strategy: str, generations: tuple[int, ...]) -> None:
    spent, _ = searched(WEIGHTS, strategy=strategy, sampling="bernoulli")
    twice = strategy == "successive_halving"
    seen = sum(count * BATCH * (2**place if twice else 1) for place, count in enumerate(generations))
    assert (spent.candidates, spent.steps) == (sum(generations), 0)
    assert spent.dense_macs == spent.computed_macs == seen * of_conv(40)
    # Of 720 weights at 36 places and of 400 a half stays: with variances n/4 a candidate has sqrt(36² · 180 + 100) =
    # 483 products more or fewer than 13,160, and 3 of these are 11 %.
    assert spent.active_macs == pytest.approx(seen * 13160, rel=0.11)


@pytest.mark.parametrize("chunk", [1, 7, 8])
def test_candidates_that_keep_different_numbers_are_trained_whole_or_smaller_one_by_one(chunk: int) -> None:
    """Eight by seven are four and four, as many as it takes to differ; one alone is made smaller by its own mask."""
    spent, _ = searched(MLP, generations=1, training_steps=2, sampling="bernoulli", chunk=chunk)
    keys = wc.random.fold_in(wc.random.fold_in(wc.key(0), int(wc.random.Stream.MASKS)), 0)
    keys = np.stack([wc.random.fold_in(keys, candidate) for candidate in range(M)])
    masks = wc.backend.masks_from_keys(keys, wc.mask_plan(wc.mask_space(MLP), 0.5, "bernoulli"))
    kept = [of_mlp(*map(int, one)) for one in zip(*(mask.sum(axis=1) for mask in masks.values()), strict=True)]
    assert len(set(kept)) > 1
    seen, computed = 3 * 2 * 16 + BATCH, sum(kept) if chunk == 1 else M * WHOLE
    assert spent == Work(M, 2 * M, seen * M * WHOLE, seen * sum(kept), seen * computed)


# The rows of a cell: training and evaluation, and the bytes that are computed with


def test_what_random_control_and_dense_network_cost_by_row() -> None:
    """Three epochs of so many steps, evaluated on the test split after each and on both splits in the end."""
    config = TrainConfig(epochs=3, batch_size=100)
    examples, tested = len(DATA.train.y), len(DATA.test.y)
    steps = 3 * (examples // 100)
    seen = {"train": 3 * steps * 100, "evaluate": 3 * tested + examples + tested}

    def rows(start: Start, alike: bool, config: TrainConfig = config) -> list[LedgerRow]:
        return ledger_rows(0.5, Cell("one", 0, wc.key(0), start), ExperimentConfig(train=config), DATA, alike)

    def wanted(active: int, computed: int, parameters: int) -> list[LedgerRow]:
        whole = of_mlp(8, 6)
        return [
            LedgerRow(0.5, "one", 0, "choose", *Work(), 4 * parameters),
            *(
                LedgerRow(
                    0.5, "one", 0, phase, 0, steps if phase == "train" else 0, count * whole, count * active,
                    count * computed, 4 * parameters,
                )
                for phase, count in seen.items()
            ),
        ]  # fmt: skip

    control = drawn_by_chance(CONFIG)
    half, whole = of_mlp(4, 3), of_mlp(8, 6)
    smaller, parent = half + 4 + 3 + 10, whole + 8 + 6 + 10  # weights, and a bias for each unit
    assert rows(control, alike=True) == wanted(half, half, smaller)
    assert rows(control, alike=False) == wanted(half, whole, parent), "trained with others that keep other numbers"
    assert rows(control, True, replace(config, compaction=False)) == wanted(half, whole, parent)
    assert rows(start(DENSE), alike=True) == wanted(whole, whole, parent)
    weights = drawn_by_chance(replace(CONFIG, granularity="connection"))
    # Of 512, 48 and 60 weights a half stays. All products and all bytes are computed with.
    assert rows(weights, alike=True) == wanted(256 + 24 + 30, whole, parent)


def drawn_by_chance(config: ExperimentConfig) -> Start:
    found = start(control("random", "independent"), config=config)
    assert found.spent == Work(), "a random mask is chosen by nothing that is computed"
    return found


@pytest.mark.parametrize("together", [1, 2])
def test_a_network_that_trains_alone_is_billed_as_the_smaller_one_that_it_is(
    weedout: Callable[..., int], tmp_path: Path, together: int
) -> None:
    """Where the draw decides how many nodes each site keeps, two that train together are computed as parents."""
    small = ("--backend", "numpy", "--hidden", "16", "12", "--sparsity", "0.5", "--repeats", "1", "--population", "4")
    drawn = ("--generations", "1", "--epochs", "1", "--allocation", "global", "--control", "independent")
    assert weedout("paper", *small, *drawn, "--together", str(together), "--out", "run") == 0
    masks = load_file(tmp_path / "run" / "masks" / "sparsity-0.5.safetensors")
    rows = from_csv(LedgerRow, (tmp_path / "run" / "ledger.csv").read_text(), "ledger.csv")
    kept = {arm: [int(masks[f"{arm}/0/hidden_{i}"].sum()) for i in (0, 1)] for arm in ("weedout", "control")}
    assert kept["weedout"] != kept["control"]
    for row in rows:
        if row.phase != "choose":
            computed = of_mlp(16, 12) if together == 2 else of_mlp(*kept[row.arm])
            assert row.computed_macs * of_mlp(16, 12) == row.dense_macs * computed
