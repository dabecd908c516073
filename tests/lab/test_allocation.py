"""Where sparsity goes in an experiment: by name or by one's own function, in every arm, the plan and the record."""

import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file

import weedout_core as wc
from tests.lab.arms.tasks import CONFIG, NET, choices
from weedout_core._masks.allocation import ALLOCATIONS
from weedout_core.errors import ConfigError, RunError
from weedout_core.lab.arms.dense import SMALL_DENSE
from weedout_core.lab.arms.named import RANDOM
from weedout_core.lab.arms.paper import WEEDOUT, control
from weedout_core.lab.arms.sanity import sanity
from weedout_core.lab.arms.scored import METHODS, scored
from weedout_core.lab.commands.fields import _NAMED
from weedout_core.lab.commands.kept_tables import kept_tables
from weedout_core.lab.experiment.allocation import check_allocation, exact_plan
from weedout_core.lab.experiment.arms import Cell, LeftOut, Start
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.own_functions import recorded_config, same_own, with_own
from weedout_core.lab.experiment.rows import LeftOutRow, ResultRow, from_csv
from weedout_core.lab.experiment.thresholds import ThresholdRow, threshold_rows

Weedout = Callable[..., int]
Shapes = Mapping[str, tuple[int, ...]]
MODULE = '''
import math

def front(space, sparsity):
    """All that is kept beyond one node of each site is kept at the first site."""
    nodes = {site: math.prod(shape) for site, shape in space.items()}
    kept = sum(nodes.values()) - math.floor(sparsity * sum(nodes.values()) + 0.5)
    found = dict.fromkeys(nodes, 1)
    for site, n in nodes.items():
        found[site] = min(n, 1 + kept - sum(found.values()))
    return found

def third(space, sparsity, more):
    return {}

def fails(space, sparsity):
    raise ArithmeticError("no counts today")

number = 3
'''


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_allocations.py").write_text(MODULE)
    yield
    sys.modules.pop("my_allocations", None)


def allocated(allocation: Any, **search: Any) -> ExperimentConfig:
    return replace(CONFIG, search=replace(CONFIG.search, allocation=allocation, **search))


def kept(found: Start | LeftOut) -> dict[str, int]:
    assert isinstance(found, Start)
    return {site: int(np.count_nonzero(mask)) for site, mask in (found.network.mask or {}).items()}


def test_the_help_names_what_there_is() -> None:
    assert _NAMED[wc.SearchConfig]["allocation"] == (*ALLOCATIONS, "MODULE:FUNCTION")


@pytest.mark.parametrize("name", ALLOCATIONS)
def test_a_name_is_left_as_it_is(name: str) -> None:
    config = allocated(name)
    assert with_own(config) is config
    assert recorded_config(config) == config
    assert "allocation_files" not in Experiment(config, (), (2,)).identity


def test_a_function_is_found_by_its_place_and_recorded_by_it_with_its_source(tmp_path: Path) -> None:
    config = with_own(allocated("my_allocations:front"))
    assert callable(config.search.allocation)
    assert with_own(config) == config, "the function itself may be handed in"
    assert recorded_config(config) == allocated("my_allocations:front")
    identity = Experiment(config, (), (2,)).identity
    assert identity["search"]["allocation"] == "my_allocations:front"
    assert len(identity["allocation_files"]) == 64
    json.dumps(identity)
    same_own(config.search, identity)
    (tmp_path / "my_allocations.py").write_text(MODULE + "\n# another\n")
    assert Experiment(config, (), (2,)).identity["allocation_files"] != identity["allocation_files"]
    with pytest.raises(
        RunError, match=r"the allocation my_allocations:front must be that of the run; here its files a"
    ):
        same_own(config.search, identity)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("my_allocations:missing", r"the allocation my_allocations:missing does not exist: my_allocations has no miss"),
        ("no_such:counts", r"the allocation no_such:counts cannot be imported: there is no module no_such"),
        ("my_allocations:number", r"the allocation my_allocations:number must be a function; got 3"),
        ("my_allocations:third", r"my_allocations:third must take two arguments, the mask space and the sparsity; got"),
    ],
)
def test_what_is_no_allocation_is_refused(place: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_own(allocated(place))


def test_a_function_without_a_name_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"an allocation of your own must have a name; got <lambda>\. Define it by def"
    ):
        with_own(allocated(lambda space, sparsity: {}))


def test_counts_that_change_from_call_to_call_are_refused() -> None:
    calls: list[float] = []

    def counting(space: Shapes, sparsity: float) -> dict[str, int]:
        calls.append(sparsity)
        return {"hidden_0": 4, "hidden_1": 2 + len(calls)}

    with pytest.raises(
        ConfigError, match=r"counting gave other counts when it was called a second time, at sparsity 0\.5"
    ):
        check_allocation(allocated(counting), NET)


def test_arms_choose_by_an_exact_plan_of_the_same_own() -> None:
    assert exact_plan(NET, 0.5, wc.SearchConfig(sampling="bernoulli")) == wc.mask_plan(wc.mask_space(NET), 0.5)
    erk = wc.SearchConfig(sampling="bernoulli", allocation="erk")
    assert exact_plan(NET, 0.5, erk).counts == wc.erk(NET)(wc.mask_space(NET), 0.5)


ARMS = (WEEDOUT, control(RANDOM, "member"), SMALL_DENSE, *(METHODS[name] for name in ("magnitude", "snip", "synflow")))


@pytest.mark.parametrize("allocation", ["global", "erk", "my_allocations:front"])
def test_every_arm_keeps_what_the_allocation_says(allocation: str) -> None:
    config = with_own(allocated(allocation))
    plan, found = exact_plan(NET, 0.5, config.search), choices(*ARMS, config=config)
    counts = {name: kept(one) for name, one in found.items() if name != SMALL_DENSE.name}
    assert {sum(one.values()) for one in counts.values()} == {7}
    if allocation == "global":
        assert len({tuple(one.items()) for one in counts.values()}) > 1, "each arm divides them in its own way"
    else:
        assert all(one == plan.counts for one in counts.values())
    assert plan.counts == {"global": {}, "erk": {"hidden_0": 3, "hidden_1": 4},
                           "my_allocations:front": {"hidden_0": 6, "hidden_1": 1}}[allocation]  # fmt: skip


def test_highest_scores_of_all_sites_stay_under_global() -> None:
    config, magnitude = allocated("global"), METHODS["magnitude"]
    found = choices(magnitude, config=config)["magnitude"]
    assert isinstance(found, Start)
    assert found.scores is not None
    scores, mask = found.scores, found.network.mask or {}
    lowest = min(scores[site][mask[site]].min() for site in mask if mask[site].sum() > 1)
    assert all(scores[site][~mask[site]].max(initial=-1) <= lowest for site in mask)


def test_random_masks_are_no_stand_in_for_a_methods_own_counts_under_global() -> None:
    """Under "uniform" and "erk" both keep as many nodes at each site, and the shuffled masks are left out."""
    magnitude = METHODS["magnitude"]
    for allocation in ("uniform", "erk"):
        left = choices(magnitude, *sanity(magnitude, RANDOM), config=allocated(allocation))["magnitude.shuffled"]
        assert left == LeftOut(RANDOM, "magnitude keeps as many nodes at each site as random masks do")
    found = choices(magnitude, *sanity(magnitude, RANDOM), config=allocated("global"))
    assert kept(found["magnitude.shuffled"]) == kept(found["magnitude"])
    assert sum(kept(found["magnitude.inverted"]).values()) == 7


def rows(scores: dict[str, np.ndarray], allocation: str) -> list[ThresholdRow]:
    config = allocated(allocation)
    rated = scored("rated", lambda task: scores)
    one = choices(rated, config=config)["rated"]
    assert isinstance(one, Start)
    return threshold_rows(0.5, [Cell("rated", 0, wc.key(0), one)], [rated], exact_plan(NET, 0.5, config.search))


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ([8, 7, 6, 5, 4, 3, 2, 1], [9, 0, 0, 0, 0, 0], [(6, 0, 0), (1, 0, 0)]),
        ([8, 7, 6, 5, 3, 3, 3, 1], [9, 3, 3, 0, 0, 0], [(None, 3, 0), (None, 2, 0)]),  # two of five nodes of score 3
        ([9, 8, 7, 6, 5, 5 - 1e-9, 4, 3], [1, 1, 0, 0, 0, 0], [(6, 0, 0), (1, 2, 0)]),  # one of the second alone
        ([9, 8, 7, 6, 5, 4 + 1e-9, 4, 3], [1, 0, 0, 0, 0, 0], [(6, 0, 2), (1, 0, 0)]),
    ],
)
def test_thresholds_over_all_sites(first: list[float], second: list[float], wanted: list[Any]) -> None:
    """14 nodes of which 7 stay: (kept, drawn, near the threshold) at both sites; None where the draw decides."""
    found = rows({"hidden_0": np.array(first, np.float64), "hidden_1": np.array(second, np.float64)}, "global")
    assert sum(row.kept for row in found) == 7
    for row, (count, drawn, near) in zip(found, wanted, strict=True):
        assert row.kept == (row.kept if count is None else count)
        assert (row.drawn, row.near_threshold) == (drawn, near)


@pytest.mark.parametrize(("search", "title"), [({}, "Nodes kept"), ({"allocation": "global"}, "Nodes kept (expected)"),
                                               ({"sampling": "bernoulli"}, "Nodes kept (expected)")])  # fmt: skip
def test_a_plan_shows_how_many_nodes_each_site_keeps(search: dict[str, Any], title: str) -> None:
    config = replace(CONFIG, sparsity=(0.0, 0.2, 0.4, 0.5, 0.6, 0.75), search=wc.SearchConfig(**search))
    out = Console(width=80, record=True, file=io.StringIO())
    tables = list(kept_tables(config, NET))
    assert [table.title for table in tables] == [title] * 2, "five sparsities stand side by side"
    for table in tables:
        out.print(table)
    lines = [line.replace("│", " ").split() for line in out.export_text().splitlines()]
    assert ["hidden_0", "8", "8", "6", "5", "4", "3"] in lines
    assert ["hidden_1", "6", "1"] in lines
    assert any(line[:2] == ["all", "14"] for line in lines)


def test_a_run_is_recorded_resumed_and_reported_by_the_functions_name(
    weedout: Weedout, tmp_path: Path, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    line = [*small, "--allocation", "my_allocations:front", "--out", "run"]
    assert weedout(*line) == 0
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["identity"]["search"]["allocation"] == "my_allocations:front"
    assert {"row": 27, "point": "where sparsity goes", "field": "SearchConfig.allocation",
            "value": "my_allocations:front"} in record["choices"]  # fmt: skip
    results = from_csv(ResultRow, (tmp_path / "run" / "results.csv").read_text(), "results.csv")
    assert {(row.sparsity, row.achieved_sparsity) for row in results} == {(0.0, 0.0), (0.5, 0.5)}
    for folder in (tmp_path / "run" / "groups").glob("sparsity-0.5*"):
        masks = load_file(folder / "masks.safetensors")
        assert {(path.split("/")[-1], int(mask.sum())) for path, mask in masks.items()} == {
            ("hidden_0", 6), ("hidden_1", 1)
        }  # fmt: skip
    assert weedout(*line) == 0, "the same command continues"
    assert weedout("report", "run") == 0
    assert "my_allocations:front" in (tmp_path / "run" / "report.html").read_text()
    capsys.readouterr()
    (tmp_path / "my_allocations.py").write_text(MODULE + "\n# another\n")
    assert weedout(*line) == 2
    assert 'allocation_files ("' in " ".join(capsys.readouterr().err.split())


def test_a_function_that_fails_ends_the_command_with_a_sentence(
    weedout: Weedout, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert weedout(*small, "--allocation", "my_allocations:fails", "--out", "run") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "the allocation my_allocations:fails failed, in my_allocations.py, line " in said
    assert ": ArithmeticError: no counts today" in said
    assert not Path("run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("allocation", ["global", "erk", "my_allocations:front"])
def test_methods_are_judged_under_each_allocation(weedout: Weedout, tmp_path: Path, allocation: str) -> None:
    line = ["judge", "magnitude", "snip", "synflow", "small_dense", "--allocation", allocation, "--backend", "numpy",
            "--hidden", "8", "6", "--out", "run", "--epochs", "2", "--population", "4", "--generations", "2",
            "--batch-size", "256", "--sparsity", "0.5", "--repeats", "2"]  # fmt: skip
    assert weedout(*line) == 0
    results = from_csv(ResultRow, (tmp_path / "run" / "results.csv").read_text(), "results.csv")
    assert {row.arm for row in results} >= {"weedout", "random", "magnitude", "snip", "synflow", "small_dense"}
    assert {row.achieved_sparsity for row in results if row.arm != "small_dense"} == {0.5}
    left = from_csv(LeftOutRow, (tmp_path / "run" / "left_out.csv").read_text(), "left_out.csv")
    same = {row.arm for row in left if row.same_as == "random"}
    assert same == (
        set() if allocation == "global" else {f"{name}.shuffled" for name in ("magnitude", "snip", "synflow")}
    )


def test_sites_of_equal_numbers_share_a_row_where_there_are_many() -> None:
    net = wc.mlp(4, (8,) * 30 + (6,) * 20, 3)
    (table,) = kept_tables(replace(CONFIG, sparsity=(0.5,)), net)
    assert [list(column.cells) for column in table.columns] == [
        ["hidden_0 and 29 like it", "hidden_30 and 19 like it", "all"], ["8", "6", "360"], ["4", "3", "180"],
    ]  # fmt: skip
