"""Masks of a few seeds are committed: a release that draws other ones must say so by its SAMPLER_VERSION."""

import json
import warnings
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest

import weedout_core as wc
from tests.core.golden import regenerate
from weedout_core._masks.allocation import ALLOCATIONS
from weedout_core._masks.plan import Sampling
from weedout_numpy import masks as reference

GOLDEN: dict[str, Any] = json.loads(regenerate.golden_file().read_text())
REMEDY = "the draws of a seed changed: raise SAMPLER_VERSION and see CONTRIBUTING.md, 'When masks change'"


#: Allocations whose counts follow from the network; an entry has them.
OF_NETWORKS = ("erk", "smart_ratio")
ENTRIES = GOLDEN["masks"] + GOLDEN["masks of weights"]


def drawn_by(entry: dict[str, Any]) -> tuple[Any, wc.backend.MaskPlan]:
    """The key and the plan of an entry's candidate."""
    space = GOLDEN["space" if entry in GOLDEN["masks"] else "space of weights"]
    key = wc.key(entry["seed"])
    for number in (int(wc.random.Stream.MASKS), entry["generation"], entry["candidate"]):
        key = wc.random.fold_in(key, number)
    allocation = (lambda *_: entry["kept"]) if entry["allocation"] in OF_NETWORKS else entry["allocation"]
    space = {site: tuple(shape) for site, shape in space.items()}
    return key, wc.mask_plan(space, entry["sparsity"], entry["sampling"], allocation)


def entry_id(entry: dict[str, Any]) -> str:
    kind = "nodes" if entry in GOLDEN["masks"] else "weights"
    return (
        kind
        + "-"
        + "-".join(
            str(entry[name]) for name in ("seed", "generation", "candidate", "sparsity", "sampling", "allocation")
        )
    )


def test_the_golden_file_is_of_this_version() -> None:
    assert GOLDEN["sampler_version"] == wc.SAMPLER_VERSION


@pytest.mark.parametrize("entry", ENTRIES, ids=entry_id)
def test_masks_are_those_committed(entry: dict[str, Any]) -> None:
    key, plan = drawn_by(entry)
    for site, mask in wc.backend.masks_from_keys(key, plan).items():
        committed = np.frombuffer(bytes.fromhex(entry["masks"][site]["hex"]), dtype=np.uint8)
        expected = np.unpackbits(committed, count=mask.size).astype(bool).reshape(mask.shape)
        np.testing.assert_array_equal(mask, expected, f"site {site}: {REMEDY}")


@pytest.mark.parametrize("entry", ENTRIES, ids=entry_id)
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


def test_every_option_that_draws_masks_has_golden_ones() -> None:
    """Of weights each allocation, and each sampling that goes with it; "global" says how many nodes stay in all."""
    ways = set(product(get_args(Sampling), ALLOCATIONS)) - {("bernoulli", "global")}
    assert {(entry["sampling"], entry["allocation"]) for entry in GOLDEN["masks of weights"]} == ways
    of_nodes = {way for way in ways if way[1] != "smart_ratio"}
    assert {(entry["sampling"], entry["allocation"]) for entry in GOLDEN["masks"]} == of_nodes


@pytest.mark.parametrize("entry", GOLDEN["masks of weights"], ids=entry_id)
def test_counts_of_weights_are_those_that_the_reference_works_out(entry: dict[str, Any]) -> None:
    if entry["allocation"] in OF_NETWORKS:
        counts = getattr(reference, entry["allocation"])(regenerate.WEIGHTS)
        assert counts(wc.mask_space(regenerate.WEIGHTS), entry["sparsity"]) == entry["kept"]
    kept = {site: bytes.fromhex(mask["hex"]) for site, mask in entry["masks"].items()}
    found = {site: int.from_bytes(mask).bit_count() for site, mask in kept.items()}
    if entry["allocation"] == "global":
        assert sum(found.values()) == 198 - 89, "of 108 + 60 + 30 weights floor(0.45 · 198 + 1/2) are removed"
    elif entry["sampling"] == "exact":
        assert found == entry["kept"]
