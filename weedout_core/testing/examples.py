"""Hypothesis strategies for the arguments of a backend's functions."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from hypothesis import strategies as st

from weedout_core._masks.plan import MaskPlan, mask_plan
from weedout_core.errors import WeedoutWarning

# Hypothesis begins with 0, and many examples are the first of their case: turned round, it is an ordinary word.
_words = st.integers(0, 2**32 - 1).map(lambda word: word ^ 0xB5297A4D)


@contextmanager
def last_node_kept() -> Iterator[None]:
    """Silence the warning that the last node of a site is kept: the checks include such cases on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeedoutWarning)
        yield


def keys() -> st.SearchStrategy[np.ndarray]:
    """Any key: uint32 ``(2,)``."""
    return st.tuples(_words, _words).map(lambda words: np.array(words, dtype=np.uint32))


#: Shapes of sites. They are few, because a compiled backend compiles for each: a single node and two, odd numbers, a
#: power of two and one more, more than a vector holds; with one axis and with three.
SHAPES = ((1,), (2,), (7,), (64,), (65,), (200,), (1, 1, 1), (2, 3, 4), (5, 6, 7))


def spaces() -> st.SearchStrategy[dict[str, tuple[int, ...]]]:
    """Mask spaces {site: shape} of one to three sites with the shapes of ``SHAPES``."""
    names = st.sampled_from(["hidden_0", "block/1/site", "ü", "a"])
    return st.dictionaries(names, st.sampled_from(SHAPES), min_size=1, max_size=3)


def sparsities() -> st.SearchStrategy[float]:
    """η in [0, 1), with 0, halves (where η·n + 1/2 is an integer) and almost 1 among them."""
    return st.one_of(
        st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.8, float(np.nextafter(1, 0))]),
        st.floats(0, 1, exclude_max=True, allow_nan=False),
    )


@st.composite
def plans(draw: Any) -> MaskPlan:
    """Mask plans over any space: exact or Bernoulli sampling, or over all sites; one sparsity, or one for each site."""
    space = draw(spaces())
    way = draw(st.sampled_from(["exact", "bernoulli", "global"]))
    with last_node_kept():
        if way == "global":
            return mask_plan(space, draw(sparsities()), "exact", "global")
        one = draw(st.booleans())
        return mask_plan(space, draw(sparsities()) if one else {site: draw(sparsities()) for site in space}, way)


@st.composite
def tied_words(draw: Any) -> tuple[np.ndarray, int]:
    """uint32 words ``(n,)`` with many ties and with the extreme values, and the number of words to keep, in [1, n].

    n is one of four, and the number the first, the last or in the middle: a compiled backend compiles for each pair.
    """
    n = draw(st.sampled_from([1, 2, 31, 60]))
    values = draw(st.lists(st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1]), min_size=n, max_size=n))
    return np.array(values, dtype=np.uint32), draw(st.sampled_from(sorted({1, -(-n // 2), n - 1 or 1, n})))
