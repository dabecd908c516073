"""Parameters and multiply-adds, counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc

NET = wc.mlp(inputs=6, hidden=(4, 3), classes=2)


def test_the_costs_of_the_parent() -> None:
    found = wc.costs(NET)
    assert found.macs == 6 * 4 + 4 * 3 + 3 * 2
    assert found.parameters == (6 + 1) * 4 + (4 + 1) * 3 + (3 + 1) * 2
    assert (found.active_macs, found.active_parameters) == (found.macs, found.parameters)
    assert (found.bytes, found.active_bytes) == (4 * found.parameters, 4 * found.parameters)


def test_the_costs_under_a_mask() -> None:
    masks = {"hidden_0": np.asarray([True, False, True, False]), "hidden_1": np.asarray([False, False, True])}
    found = wc.costs(NET, masks)
    assert found.active_macs == 6 * 2 + 2 * 1 + 1 * 2
    assert found.active_parameters == (6 + 1) * 2 + (2 + 1) * 1 + (1 + 1) * 2
    assert (found.macs, found.parameters) == (wc.costs(NET).macs, wc.costs(NET).parameters), "what is computed stays"
    assert found.active_bytes == 4 * found.active_parameters
    assert found == wc.costs(NET, {"hidden_0": 2, "hidden_1": 1}), "counts serve as well as masks"


def test_a_site_that_is_not_named_is_kept_whole() -> None:
    assert wc.costs(NET, {"hidden_1": 1}) == wc.costs(NET, {"hidden_0": 4, "hidden_1": 1})


def test_a_mask_on_the_inputs_counts() -> None:
    net = wc.Network((wc.Mask("pixels"), wc.Flatten(), wc.Dense("logits", 2)), (2, 3))
    found = wc.costs(net, {"pixels": np.asarray([[True, False, False], [True, False, False]])})
    assert (found.active_macs, found.active_parameters) == (2 * 2, 3 * 2)


def test_an_unknown_site_is_an_error() -> None:
    with pytest.raises(wc.MaskError, match=r"the network has the sites \['hidden_0', 'hidden_1'\]; got \['hidden_2'\]"):
        wc.costs(NET, {"hidden_2": 1})


@given(st.integers(1, 8), st.lists(st.integers(1, 8), max_size=3).map(tuple), st.integers(2, 5), st.data())
def test_the_active_costs_are_those_of_the_smaller_network(
    inputs: int, hidden: tuple[int, ...], classes: int, data: st.DataObject
) -> None:
    kept = tuple(data.draw(st.integers(1, units)) for units in hidden)
    masked = wc.costs(wc.mlp(inputs, hidden, classes), {f"hidden_{index}": units for index, units in enumerate(kept)})
    smaller = wc.costs(wc.mlp(inputs, kept, classes))
    assert (masked.active_macs, masked.active_parameters) == (smaller.macs, smaller.parameters)
