"""The numbers and sentences of a comparison, by hand, and what differs in what was run, field by field."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.lab.report.test_numbers import result, verdict
from weedout_core import SearchConfig, TrainConfig
from weedout_core.lab.commands.compare import short_names
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.rows import SearchRow, TimingRow
from weedout_core.lab.report import compared_sentences as say
from weedout_core.lab.report.compared import (
    PAIRING,
    Run,
    cell_means,
    cell_rows,
    run_means,
    unpaired,
    verdicts_of,
)
from weedout_core.lab.report.compared_facts import costs, differing, facts
from weedout_core.lab.report.compared_masks import mask_counts, mask_rows
from weedout_core.lab.report.source import Source

CONFIG = ExperimentConfig(sparsity=(0.5,), repeats=3)
GROUP = Group(0.5, 0, 3)
NAN = math.nan


def a_run(name: str, accuracies: dict[str, list[float]], **changed: Any) -> Run:
    """A run with these test accuracies of its arms at sparsity 0.5, and what is changed of its source."""
    identity = {
        **dataclasses.asdict(CONFIG), "arms": [{"name": arm, "source": ""} for arm in accuracies], "looks": [3],
        "rules": {}, "dataset_digest": "0" * 64, "sampler_version": 1, "network": {"input_shape": [2], "layers": []},
    }  # fmt: skip
    record = {
        "identity": identity, "environment": {"numpy": "2.0", "device": "cpu"}, "other_environments": [], "chunk": 5,
        "threads": 1, "groups": [{**GROUP._asdict(), "trained_together": 6}], "digest": "d",
    }  # fmt: skip
    rows = [result(arm, repeat, value) for arm, some in accuracies.items() for repeat, value in enumerate(some)]
    source = Source(CONFIG, record, [GROUP], [GROUP], rows, [], [], [], [], [], [], [], lambda group: {})
    return Run(name, source._replace(**changed))


def with_identity(run: Run, **changed: Any) -> Run:
    record = dict(run.source.record)
    return run._replace(source=run.source._replace(record=record | {"identity": record["identity"] | changed}))


FIRST = a_run("one", {"base": [0.5, 0.6, 0.7], "mine": [0.5, 0.5, 0.5]})
OTHER = a_run("two", {"base": [0.6, 0.6, 0.9], "mine": [0.5, NAN, 0.5]})


def test_cells_are_paired_with_a_plain_interval_and_the_largest_difference() -> None:
    rows = cell_rows([FIRST, OTHER])
    assert [row.difference for row in rows[:3]] == pytest.approx([0.1, 0.0, 0.2])
    base, mine = cell_means([FIRST, OTHER], rows)
    reach = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)  # the standard deviation of 0.1, 0 and 0.2 is 0.1
    assert base[:4] == ("two", "one", 0.5, "base")
    assert (base.pairs, base.diverged) == (3, 0)
    assert (base.mean, base.low, base.high, base.largest) == pytest.approx((0.1, 0.1 - reach, 0.1 + reach, 0.2))
    assert (mine.pairs, mine.diverged, mine.mean, mine.largest) == (2, 1, 0.0, 0.0)
    assert math.isnan(mine.low), "what does not vary has no interval"
    (said,) = say.accuracies(rows, cell_means([FIRST, OTHER], rows))
    assert (
        "3 of 5 cells have equal test accuracies; the largest difference is +20.00 points (base at sparsity 50 %"
        in said
    )
    assert "Of 1 plain 95 % interval of mean differences 0 leave out 0" in said


def test_means_stand_side_by_side() -> None:
    means = run_means([FIRST, OTHER])
    assert [(mean.run, mean.arm, mean.runs, mean.diverged) for mean in means] == [
        ("one", "base", 3, 0), ("two", "base", 3, 0), ("one", "mine", 3, 0), ("two", "mine", 3, 1),
    ]  # fmt: skip
    assert [mean.mean for mean in means] == pytest.approx([0.6, 0.7, 0.5, 0.5])


@pytest.mark.parametrize("field", PAIRING)
def test_repeats_of_other_seeds_data_or_networks_are_no_pairs(field: str) -> None:
    other = with_identity(OTHER, **{field: "other"})
    assert unpaired(FIRST, OTHER) == []
    assert unpaired(FIRST, other) == [field]
    assert cell_rows([FIRST, other]) == []
    assert mask_rows([FIRST, other]) == []
    assert len(run_means([FIRST, other])) == 4, "means are shown all the same"
    (said,) = say.pairing([FIRST, other])
    assert f"no pairs with those of one, because of another {field}" in said


@pytest.mark.parametrize(
    "path",
    [
        *(f"search.{item.name}" for item in dataclasses.fields(SearchConfig)),
        *(f"train.{item.name}" for item in dataclasses.fields(TrainConfig)),
        *(
            item.name
            for item in dataclasses.fields(ExperimentConfig)
            if item.name not in ("network", "search", "train")
        ),
        "looks",
        "rules.margin",
        "dataset_digest",
        "sampler_version",
    ],
)
def test_each_field_of_the_configuration_that_differs_is_named(path: str) -> None:
    part, _, field = path.rpartition(".")
    changed = {field: "other"} if not part else {part: FIRST.source.record["identity"][part] | {field: "other"}}
    runs = [FIRST, with_identity(FIRST, **changed)._replace(name="two")]
    found = differing(facts(runs))
    assert {(fact.part, fact.field) for fact in found} >= {("identity", path)}
    assert {fact.field for fact in found} <= {path, "rules"}
    assert path in say.what_differs(runs, facts(runs))[0]


def test_the_network_the_arms_versions_and_what_was_decided_are_named_too() -> None:
    record = FIRST.source.record
    identity = record["identity"] | {
        "network": {"input_shape": [3]},
        "arms": [{"name": "base", "source": "ab" * 32}],
    }
    others = {
        "identity": identity,
        "environment": {"numpy": "2.1", "device": "gpu", "jax": "0.7"},
        "other_environments": [{"numpy": "2.2", "device": "gpu", "jax": "0.7"}],
        "chunk": 6,
        "threads": 2,
        "groups": [{**GROUP._asdict(), "trained_together": 3}],
    }
    config = dataclasses.replace(CONFIG, network="vgg-8")
    other = Run("two", FIRST.source._replace(record={**record, **others}, config=config))
    found = {fact.field: fact.value for fact in differing(facts([FIRST, other])) if fact.run == "two"}
    assert found.pop("layers")
    assert found == {
        "arms": "base", "source of base": "abababababab", "network": "vgg-8", "numpy": "2.1 2.2", "device": "gpu",
        "jax": "0.7", "chunk": "6", "threads": "2", "trained together": "3",
    }  # fmt: skip


def test_runs_that_were_run_alike_are_said_to_be() -> None:
    said = say.what_differs([FIRST, OTHER], facts([FIRST, OTHER]))
    assert said[0] == "one and two were run alike: configuration, versions and device are equal."
    assert said[1] == "The same in all: dataset digits, seed 0, network mlp."


def masked(run: Run, searched: bool, margin: float, *kept: list[bool]) -> Run:
    """A run whose first arm has these masks, chosen by searches of two generations with this margin."""
    results = [row._replace(stopped="generations" if searched else None) for row in run.source.results]
    searches = [SearchRow(0.5, repeat, 0, -1, -2, -3, margin, 0, 4, margin) for repeat in range(3)]
    masks = {f"base/{repeat}/hidden/0": np.array(one) for repeat, one in enumerate(kept)}
    return run._replace(
        source=run.source._replace(results=results, searches=searches if searched else [], masks=lambda group: masks)
    )


@pytest.mark.parametrize(("searched", "margin", "close"), [(True, 0.0, 2), (True, 1.0, 0), (False, 0.0, 0)])
def test_masks_are_compared_bit_by_bit(searched: bool, margin: float, close: int) -> None:
    one = masked(FIRST, searched, margin, [True, True, False], [True, False, True], [True, True, True])
    two = masked(OTHER, searched, 1.0, [True, True, False], [False, True, True], [True, False, True])
    rows = mask_rows([one, two])
    assert [row.different for row in rows] == [0, 2, 1]
    (found,) = mask_counts(rows)
    assert found == ("two", "one", 0.5, "base", 3, 1, 3, 2, 2 * searched, close)
    (said,) = say.masks([found])
    assert said.startswith("base at sparsity 50 %: 1 of 3 masks are equal in one and two; at most 2 of 3 nodes differ")
    assert ("close call" in said) == searched
    (equal,) = say.masks(mask_counts(mask_rows([one, one._replace(name="again")])))
    assert equal == "All 3 masks are equal in one and again."


def test_masks_of_other_sites_are_not_compared() -> None:
    one, two = (masked(FIRST, True, 1.0, [True, False]), masked(OTHER, True, 1.0, [True, False, True]))
    assert mask_rows([one, two]) == []


def test_verdicts_stand_side_by_side() -> None:
    better = verdict(3)._replace(verdict="better")
    one, two = (
        run._replace(source=run.source._replace(verdicts=[verdict(2), last]))
        for run, last in ((FIRST, verdict(3)), (OTHER, better))
    )
    rows = verdicts_of([one, two])
    assert [(row.run, row.look, row.verdict) for row in rows] == [("one", 3, "undecided"), ("two", 3, "better")]
    assert say.verdicts(rows) == [
        "mine against base at sparsity 50 %: undecided in one, better in two.", "0 of 1 verdict agrees.",
    ]  # fmt: skip
    assert say.verdicts(verdicts_of([one, one._replace(name="again")])) == ["1 of 1 verdict agrees."]


def test_what_is_alone_is_said_in_the_singular() -> None:
    one = masked(a_run("one", {"base": [0.5]}), False, 1.0, [True, False])
    again, two = one._replace(name="again"), masked(a_run("two", {"base": [0.75]}), False, 1.0, [False, True])
    assert say.masks(mask_counts(mask_rows([one, again]))) == ["The only mask is equal in one and again."]
    (said,) = say.masks(mask_counts(mask_rows([one, two])))
    assert said == "base at sparsity 50 %: 0 of 1 mask is equal in one and two; at most 2 of 2 nodes differ."
    rows = cell_rows([one, again])
    assert say.accuracies(rows, cell_means([one, again], rows)) == ["again and one: the only test accuracy is equal."]
    rows = cell_rows([one, two])
    (said,) = say.accuracies(rows, cell_means([one, two], rows))
    assert said.startswith("two − one: 0 of 1 cell has equal test accuracies; the largest difference is +25.00 points")


def test_costs_are_sums() -> None:
    times = [TimingRow(0.5, "train", None, 2.0, 0.5), TimingRow(0.5, "weedout", 0, 1.0, None)]
    one = FIRST._replace(source=FIRST.source._replace(timings=times))
    found = {(cost.what, cost.run): cost.value for cost in costs([one, OTHER])}
    assert found["wall time (s)", "one"] == 3.0
    assert found["of it compilation (s)", "one"] == 0.5
    assert found["networks", "two"] == 6
    assert say.cost([one, OTHER], costs([one, OTHER])) == (
        "Wall time of what is done: one 3.0 s (of it 0.5 s compilation), two 0.0 s."
    )


def test_a_run_is_named_by_its_folder_or_by_its_path() -> None:
    assert short_names([Path("a/jax"), Path("a/torch")]) == ["jax", "torch"]
    assert short_names([Path("a/run"), Path("b/run"), Path("c")]) == [str(Path("a/run")), str(Path("b/run")), "c"]
    assert short_names([Path("a/\x01\udcff")]) == ["\\x01\\udcff"]
