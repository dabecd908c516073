"""What an activation keeps for several readers."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weedout_core._compaction.unions import positions, union


@st.composite
def parts(draw: Any) -> tuple[list[np.ndarray], int]:
    """Nodes that up to four readers keep, fewer together than the activation has."""
    nodes = draw(st.integers(2, 30))
    found: list[np.ndarray] = []
    for _ in range(draw(st.integers(1, 4))):
        left = nodes - sum(map(len, found))
        kept = draw(st.sets(st.integers(0, nodes - 1), min_size=1, max_size=left)) if left else set[int]()
        found += [np.asarray(sorted(kept), np.int32)] if kept else []
    return found, nodes


def wanted(some: list[np.ndarray], nodes: int) -> list[int]:
    """The same by sets: all of them, and the first others in place of what several have."""
    kept = {int(node) for part in some for node in part}
    others = [node for node in range(nodes) if node not in kept]
    return sorted(kept | set(others[: sum(map(len, some)) - len(kept)]))


@given(parts())
def test_a_union_is_all_nodes_and_the_first_others(case: tuple[list[np.ndarray], int]) -> None:
    some, nodes = case
    found = union(some, nodes)
    assert (found.dtype, found.tolist()) == (np.int32, wanted(some, nodes))


@given(parts(), st.data())
def test_the_union_of_some_lies_in_that_of_all(case: tuple[list[np.ndarray], int], data: st.DataObject) -> None:
    everything, nodes = case
    chosen = data.draw(st.lists(st.integers(0, len(everything) - 1), min_size=1, unique=True))
    some, all_of_them = union([everything[i] for i in chosen], nodes), union(everything, nodes)
    places = positions(some, all_of_them)
    assert places.dtype == np.int32
    np.testing.assert_array_equal(all_of_them[places], some)


def test_nodes_that_two_have_are_kept_once() -> None:
    two = [np.asarray([1, 3, 4], np.int64), np.asarray([3, 4], np.int64)]
    found = union(two, 6)
    assert (found.dtype, found.tolist()) == (np.int64, [0, 1, 2, 3, 4]), "0 and 2 fill up"
    assert positions(two[1], found).tolist() == [3, 4]


def test_a_single_part_is_itself() -> None:
    part = np.asarray([0, 2], np.int32)
    assert union([part], 3) is part
