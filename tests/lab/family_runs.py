"""A whole run of a member of the family: its command line, and what it must leave."""

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

import weedout_core as wc
from tests.lab.family import Member
from weedout_core.lab.cli import main
from weedout_core.lab.experiment.ledger import LedgerRow
from weedout_core.lab.experiment.rows import CurveRow, ResultRow, SearchRow, VerdictRow, from_csv

ARMS = {"paper": ("weedout", "control"), "judge": ("weedout", "random", "magnitude")}
POPULATION, GENERATIONS, REPEATS = 4, 2, 2
SMALL = (
    *("--sparsity", "0.5", "--population", POPULATION, "--generations", GENERATIONS, "--epochs", "1"),
    *("--train-examples", "60", "--test-examples", "40", "--batch-size", "32", "--repeats", REPEATS, "--out", "run"),
)
#: How many candidates each generation scores, where it is not all of the population.
SCORED = {"cache": (POPULATION, POPULATION - 1), "successive_halving": (POPULATION, POPULATION // 2)}


def run(command: str, backend: str, member: Member) -> None:
    """Compute a run in this folder, and check that it is complete, and as its plan says."""
    line = ("paper",) if command == "paper" else ("judge", "magnitude", "--no-sanity")
    assert main([str(one) for one in (*line, "--backend", backend, *words(member), *SMALL)]) == 0
    check(command, member)


def words(member: Member) -> list[str]:
    """A member on the command line."""
    options = {"validation_batch": 16, **member.all}
    if member.all.get("batch_policy") == "whole":
        del options["validation_batch"]
    network = ("--network", "vgg-2") if member.normalised else ("--hidden", "8", "6")
    named = {"precision": "search-precision"}
    return [*network, *(str(one) for name, value in options.items() for one in (
        "--" + named.get(name, name.replace("_", "-")), value
    ))]  # fmt: skip


def network(member: Member) -> wc.Network:
    """The network that these words name, for images of 8 x 8."""
    if member.normalised:
        return wc.vgg(2, 10, (8, 8, 1), member.granularity)
    return wc.mlp((8, 8, 1), (8, 6), 10, granularity=member.granularity)


def planned(member: Member) -> wc.backend.MaskPlan:
    """How many of each site a candidate keeps."""
    return wc.backend.search_plan(network(member), 0.5, wc.SearchConfig(**member.search))


def table(row: Any, name: str) -> list[Any]:
    return list(from_csv(row, Path("run", name).read_text(), name))


def check(command: str, member: Member) -> None:
    """What the run in this folder has left is complete, and as its plan says."""
    cells = set(product(ARMS[command], range(REPEATS)))
    results = table(ResultRow, "results.csv")
    assert {(row.arm, row.repeat) for row in results} == cells
    assert all(0 <= row.test_accuracy <= 1 and math.isfinite(row.train_loss) for row in results)
    assert {(row.arm, row.repeat, row.epoch) for row in table(CurveRow, "curves.csv")} == {(*one, 1) for one in cells}
    _recorded(member)
    _masks(member, results)
    _costs(member, results)
    if command == "judge":
        assert [(row.method, row.baseline) for row in table(VerdictRow, "verdict.csv")] == [("magnitude", "weedout")]


def _recorded(member: Member) -> None:
    identity = json.loads(Path("run", "config.json").read_text())["identity"]
    for name, value in member.all.items():
        assert (identity if name == "granularity" else identity["search"])[name] == value


def _masks(member: Member, results: list[ResultRow]) -> None:
    plan, exact = planned(member), planned(Member("sampling", "exact", member.all, member.normalised))
    (path,) = Path("run", "masks").iterdir()
    masks, nodes = load_file(path), plan.nodes
    for row in results:
        kept = {site.site: int(masks[f"{row.arm}/{row.repeat}/{site.site}"].sum()) for site in plan.sites}
        assert row.achieved_sparsity == pytest.approx(1 - sum(kept.values()) / nodes, abs=1e-12)
        if plan.total is not None:
            assert sum(kept.values()) == plan.total
        elif plan.counts or row.arm == "magnitude":
            assert kept == exact.counts
        else:  # a draw for each node: five standard deviations
            assert all(abs(kept[one.site] - one.kept) <= 5 * math.sqrt(one.nodes) / 2 for one in plan.sites)
        assert all(count >= 1 for count in kept.values())


def _costs(member: Member, results: list[ResultRow]) -> None:
    scored = SCORED.get(member.value, (POPULATION,) * GENERATIONS)
    searches = [row.evaluations for row in table(SearchRow, "search.csv")]
    assert searches == [*scored] * REPEATS
    ledger = {(row.arm, row.repeat, row.phase): row for row in table(LedgerRow, "ledger.csv")}
    assert set(ledger) == {(row.arm, row.repeat, phase) for row in results for phase in ("choose", "train", "evaluate")}
    for row in results:
        chosen, training, evaluated = (ledger[row.arm, row.repeat, one] for one in ("choose", "train", "evaluate"))
        assert training.steps == 1, "60 examples are one batch of 32"
        for bill in (training, evaluated):
            assert 0 < bill.active_macs <= bill.computed_macs <= bill.dense_macs
            assert bill.bytes > 0
        if row.arm != "weedout":
            assert (chosen.candidates, chosen.steps, chosen.computed_macs) == (0, 0, 0)
            continue
        assert row.evaluations == chosen.candidates
        again = chosen.candidates - sum(scored)
        assert 0 <= again <= (GENERATIONS if member.value == "rescored" else 0), "elites that are scored again"
        before = member.all.get("training_steps", 0)
        ahead = before if member.all.get("trained_weights") == "kept" else 0
        assert chosen.steps == before * chosen.candidates + ahead
        assert 0 < chosen.active_macs <= chosen.dense_macs
        assert 0 < chosen.computed_macs <= chosen.dense_macs
