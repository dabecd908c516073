"""Masks of a few seeds are committed: a release that draws other ones must say so by its SAMPLER_VERSION."""

import json
import warnings
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.core.golden import regenerate

GOLDEN: dict[str, Any] = json.loads(regenerate.golden_file().read_text())
REMEDY = "the draws of a seed changed: raise SAMPLER_VERSION and see CONTRIBUTING.md, 'When masks change'"


def drawn_by(entry: dict[str, Any]) -> tuple[Any, wc.backend.MaskPlan]:
    """The key and the plan of an entry's candidate."""
    space = {site: tuple(shape) for site, shape in GOLDEN["space"].items()}
    key = wc.key(entry["seed"])
    for number in (int(wc.random.Stream.MASKS), entry["generation"], entry["candidate"]):
        key = wc.random.fold_in(key, number)
    allocation = (lambda *_: entry["kept"]) if entry["allocation"] == "erk" else entry["allocation"]
    return key, wc.mask_plan(space, entry["sparsity"], entry["sampling"], allocation)


def entry_id(entry: dict[str, Any]) -> str:
    return "-".join(
        str(entry[name]) for name in ("seed", "generation", "candidate", "sparsity", "sampling", "allocation")
    )


def test_the_golden_file_is_of_this_version() -> None:
    assert GOLDEN["sampler_version"] == wc.SAMPLER_VERSION


@pytest.mark.parametrize("entry", GOLDEN["masks"], ids=entry_id)
def test_masks_are_those_committed(entry: dict[str, Any]) -> None:
    key, plan = drawn_by(entry)
    for site, mask in wc.backend.masks_from_keys(key, plan).items():
        committed = np.frombuffer(bytes.fromhex(entry["masks"][site]["hex"]), dtype=np.uint8)
        expected = np.unpackbits(committed, count=mask.size).astype(bool).reshape(mask.shape)
        np.testing.assert_array_equal(mask, expected, f"site {site}: {REMEDY}")


@pytest.mark.parametrize("entry", GOLDEN["masks"], ids=entry_id)
def test_the_reference_draws_the_committed_masks(entry: dict[str, Any]) -> None:
    key, plan = drawn_by(entry)
    for site, mask in wc.load_backend("numpy").masks_from_keys(key[None], plan).items():
        assert regenerate.packed(np.asarray(mask)[0]) == entry["masks"][site], f"site {site}: {REMEDY}"


def test_everything_in_the_golden_file_is_as_drawn_now() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no entry may hang on the rule for a site's last node
        assert json.loads(regenerate.text(regenerate.contents())) == GOLDEN, REMEDY


def test_the_golden_file_is_what_the_script_writes() -> None:
    assert regenerate.text(regenerate.contents()) == regenerate.golden_file().read_text()
