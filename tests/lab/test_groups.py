"""How a run is cut into groups, and what does not depend on how."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import weedout_core as wc
from weedout_core.lab.arms.paper import paper
from weedout_core.lab.experiment.arms import Cell, Start
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.groups import Group, groups, joined
from weedout_core.lab.experiment.slices import alike, slices
from weedout_core.lab.run.run_folder import RunFolder

SPARSITIES = (0.2, 0.8)
NET = wc.mlp(4, (6, 6), 3)


def test_groups_are_cut_at_each_look_and_after_some_repeats() -> None:
    assert groups(SPARSITIES, (3, 4), 2) == [
        *(Group(0.2, 0, 2), Group(0.2, 2, 3), Group(0.8, 0, 2), Group(0.8, 2, 3)),
        *(Group(0.2, 3, 4), Group(0.8, 3, 4)),
    ]


@pytest.mark.parametrize(
    ("together", "repeats", "networks"), [(None, 1, 2), (1, 1, 2), (2, 1, 2), (3, 2, 4), (10, 5, 10), (99, 5, 10)]
)
def test_a_group_has_as_many_repeats_as_are_to_be_trained_at_once(
    together: int | None, repeats: int, networks: int
) -> None:
    config = ExperimentConfig(together=together)
    found = Experiment(config, paper(config.control), (config.repeats,))
    assert max(len(group.repeats) for group in found.groups) == repeats
    assert found.networks == networks
    if together is None:
        assert len(found.groups) == 25, "of the paper's grid"


def test_groups_are_named_with_their_repeats() -> None:
    found = [Group(0.8, 3, 4), Group(0.2, 0, 2), Group(0.2, 2, 3), Group(0.8, 1, 2), Group(0.0, 0, 5)]
    assert joined(found) == "sparsity 0, repeats 0-4; sparsity 0.2, repeats 0-2; sparsity 0.8, repeat 1; " + (
        "sparsity 0.8, repeat 3"
    )
    assert joined([]) == ""


@pytest.mark.parametrize(("sampling", "cut"), [("exact", [slice(0, 1), slice(1, 2)]), ("bernoulli", [slice(0, 2)])])
def test_where_every_mask_keeps_another_number_nothing_is_compiled_for_each(
    sampling: wc.backend.Sampling, cut: list[slice]
) -> None:
    """A group of one repeat sees one mask of each arm, which says nothing of other repeats."""
    plan = wc.mask_plan(wc.mask_space(NET), 0.5, sampling)
    params = {path: np.zeros(shape, np.float32) for path, shape in wc.nn.parameter_shapes(NET).items()}
    cells = [
        Cell(arm, 0, wc.key(0), Start(wc.Subnetwork(NET, params, {site: np.arange(6) < kept for site in plan.kept})))
        for arm, kept in (("weedout", 2), ("control", 3))
    ]
    assert slices(cells, 2, plan) == cut
    assert alike(cells, cut) == [sampling == "exact"] * 2
    assert alike(cells, [slice(0, 1), slice(1, 2)]) == [True] * 2, "one alone is compacted by its own mask"


@pytest.mark.slow
def test_how_a_run_is_cut_changes_no_result_of_the_reference(
    weedout: Callable[..., int], small: list[str], tmp_path: Path
) -> None:
    for together in (1, 4):
        assert weedout(*small, "--out", f"{together}", "--together", together) == 0
    one, other = tmp_path / "1", tmp_path / "4"
    assert [len(list((run / "groups").iterdir())) for run in (one, other)] == [4, 2]
    for name in ("results.csv", "curves.csv", "search.csv", "left_out.csv", "masks"):
        for path in sorted((one / name).iterdir()) if name == "masks" else [one / name]:
            assert (other / path.relative_to(one)).read_bytes() == path.read_bytes(), path
    assert {path.name for path in (one / "masks").iterdir()} == {"sparsity-0.0.safetensors", "sparsity-0.5.safetensors"}


@pytest.mark.slow
def test_tables_are_assembled_now_and_then_and_in_the_end(
    weedout: Callable[..., int], small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To assemble takes the longer the more groups are done, and there may be thousands."""
    seen: list[int] = []
    assemble = RunFolder.assemble

    def counted(folder: RunFolder) -> None:
        seen.append(len(folder.committed))
        assemble(folder)

    monkeypatch.setattr(RunFolder, "assemble", counted)
    monkeypatch.setattr("weedout_core.lab.run.run_folder._RARELY", 1e9)
    assert weedout(*small, "--out", "rarely") == 0
    assert seen == [1, 4]
    monkeypatch.setattr("weedout_core.lab.run.run_folder._RARELY", 0)
    assert weedout(*small, "--out", "always") == 0
    assert seen[2:] == [1, 2, 3, 4, 4]
    for name in ("results.csv", "masks/sparsity-0.5.safetensors"):
        assert (tmp_path / "rarely" / name).read_bytes() == (tmp_path / "always" / name).read_bytes(), name
