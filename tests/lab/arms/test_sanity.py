"""Sanity checks of a method: each takes one thing from it, and says so where it would be another arm again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import weedout_core as wc
from tests.lab.arms.tasks import CONFIG, DATA, choices, task
from weedout_core.errors import RunError
from weedout_core.lab.arms.folder import from_folder
from weedout_core.lab.arms.own import own
from weedout_core.lab.arms.paper import WEEDOUT
from weedout_core.lab.arms.sanity import sanity
from weedout_core.lab.arms.scored import METHODS
from weedout_core.lab.experiment.arms import Arm, LeftOut, Start, Task
from weedout_core.lab.experiment.configuration import ExperimentConfig


def lopsided(task: Task) -> dict[str, np.ndarray]:
    """Masks with other counts than the plan's: one node more at the first site, one fewer at the second."""
    return {"hidden_0": np.arange(8) < 5, "hidden_1": np.arange(6) < 2}


def by_label(task: Task) -> dict[str, np.ndarray]:
    """Scores that read labels."""
    return {"hidden_0": task.train.y[:8].astype(float), "hidden_1": task.validation.y[:6].astype(float)}


def checked(method: Arm, config: ExperimentConfig = CONFIG) -> dict[str, Start | LeftOut]:
    found = choices(method, *sanity(method, "random"), config=config)
    return {name.removeprefix(f"{method.name}."): one for name, one in found.items()}


def mask_of(one: Start | LeftOut) -> dict[str, np.ndarray]:
    assert isinstance(one, Start)
    return dict(one.network.mask or {})


def test_shuffled_keeps_the_counts_and_draws_the_rest() -> None:
    found = checked(own(lopsided))
    mask, shuffled = mask_of(found["lopsided"]), mask_of(found["shuffled"])
    assert {site: int(kept.sum()) for site, kept in shuffled.items()} == {"hidden_0": 5, "hidden_1": 2}
    assert any(not np.array_equal(mask[site], shuffled[site]) for site in mask)


def test_shuffled_of_a_method_with_the_counts_of_random_masks_is_random() -> None:
    for method in (METHODS["magnitude"], METHODS["snip"]):
        assert checked(method)["shuffled"] == LeftOut(
            "random", f"{method.name} keeps as many nodes at each site as random masks do"
        )


def test_reinitialised_keeps_the_mask_alone() -> None:
    found = checked(METHODS["snip"])
    method, fresh = found["snip"], found["reinitialised"]
    assert isinstance(method, Start)
    assert isinstance(fresh, Start)
    np.testing.assert_equal(mask_of(fresh), mask_of(method))
    drawn = np.concatenate([fresh.network.params[f"dense_{i}/kernel"].ravel() for i in range(2)])
    before = np.concatenate([method.network.params[f"dense_{i}/kernel"].ravel() for i in range(2)])
    assert not np.isin(drawn, before).any(), "no weight is kept"
    # 560 normal numbers: their standard deviation is within 4 standard errors, 4 / √(2 · 560) = 12 %, of the parent's.
    assert drawn[:512].std() == pytest.approx(np.sqrt(2 / 64), rel=4 / np.sqrt(2 * 512))


def test_inverted_keeps_the_lowest_scores() -> None:
    found = checked(METHODS["snip"])
    method, inverted = found["snip"], mask_of(found["inverted"])
    assert isinstance(method, Start)
    assert method.scores is not None
    for site, mask in inverted.items():
        assert mask.sum() == mask_of(method)[site].sum()
        assert method.scores[site][mask].max() <= method.scores[site][~mask].min()


def test_masks_without_scores_cannot_be_inverted() -> None:
    assert checked(own(lopsided))["inverted"] == LeftOut(
        "", "lopsided gives masks, and no scores that could be inverted"
    )


@pytest.mark.parametrize("name", ["magnitude", pytest.param("synflow", marks=pytest.mark.slow)])
def test_a_method_that_reads_no_labels_is_not_corrupted_by_them(name: str) -> None:
    assert checked(METHODS[name])["corrupted"] == LeftOut(name, f"{name} chooses the same from shuffled labels")


def test_files_do_not_say_what_shuffled_labels_would_have_given(tmp_path: Path) -> None:
    """Whatever the files hold; scores in them can be inverted, and files say no more of labels for it."""
    for made in (lopsided, by_label):
        save_file(made(task()), tmp_path / "sparsity-0.5-repeat-0.safetensors")
        files = from_folder(tmp_path, {0.5: task().plan}, 1)._replace(name="mine")
        assert checked(files)["corrupted"] == LeftOut(
            "", "mine is read from files, and cannot be made again from shuffled labels"
        )


@pytest.mark.parametrize("method", [METHODS["snip"], METHODS["magnitude_after_training"], own(by_label), WEEDOUT])
def test_corrupted_runs_the_method_on_shuffled_labels(method: Arm) -> None:
    found = checked(method, replace(CONFIG, train=wc.TrainConfig(epochs=10, batch_size=64, learning_rate=0.3)))
    assert isinstance(found["corrupted"], Start)
    masks = mask_of(found[method.name]), mask_of(found["corrupted"])
    assert any(not np.array_equal(masks[0][site], masks[1][site]) for site in masks[0])
    assert found["corrupted"].history == (), "only the search itself stands in search.csv"


def test_both_splits_are_shuffled_and_keep_their_labels() -> None:
    seen: list[Task] = []

    def see(task: Task) -> dict[str, np.ndarray]:
        seen.append(task)
        return lopsided(task)

    checked(own(see))
    first, again, second = seen
    assert np.array_equal(first.train.y, again.train.y)
    for split in ("train", "validation"):
        before, after = getattr(first, split), getattr(second, split)
        assert not np.array_equal(before.y, after.y)
        assert np.array_equal(np.sort(before.y), np.sort(after.y))
        assert np.array_equal(before.x, after.x)
    assert np.array_equal(first.key, second.key), "what the method draws is the same"
    assert np.array_equal(DATA.train.y, first.train.y), "the data itself is left as it was"


def test_a_check_of_a_method_that_was_left_out_says_why() -> None:
    absent = Arm("absent", lambda task: LeftOut("", "for some reason"))
    with pytest.raises(RunError, match=r"the arm absent.shuffled failed at .*: absent was left out, because for some"):
        choices(absent, *sanity(absent, "random"))


def test_bernoulli_masks_are_no_stand_in_for_fixed_counts() -> None:
    config = replace(CONFIG, search=wc.SearchConfig(population=4, generations=2, sampling="bernoulli"))
    method = METHODS["magnitude"]
    shuffled = choices(method, *sanity(method, "random"), config=config)["magnitude.shuffled"]
    assert isinstance(shuffled, Start), "random masks keep other numbers of nodes"
