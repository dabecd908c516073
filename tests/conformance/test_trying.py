"""What the kit says of its examples: which one failed, in a line, and whether there was any."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weedout_core import Network, TrainConfig, load_backend
from weedout_core.backend import Backend
from weedout_core.errors import BackendError
from weedout_core.nn import Conv, Dense, Flatten, Mask, Relu, Residual
from weedout_core.testing import CHECKS, NothingToTry, assert_agrees
from weedout_core.testing.properties import across, each, heavy, light
from weedout_core.testing.trying import explanation, some, trying
from weedout_core.testing.written import written


class Pair(NamedTuple):
    one: int
    other: int = 2


class Shown(NamedTuple):
    one: int

    def __repr__(self) -> str:
        return "one\n  of its own"


@dataclass(frozen=True)
class Made:
    values: list[int] = field(default_factory=list)
    hidden: int = field(default=0, repr=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (TrainConfig(), "TrainConfig()"),
        (TrainConfig(momentum=0.8, epochs=3), "TrainConfig(epochs=3, momentum=0.8)"),
        (Conv("a", 4), "Conv('a', 4)"),
        (Conv("a", 4, stride=2), "Conv('a', 4, stride=2)"),
        (
            Network((Residual((Relu(), Mask("m"))), Flatten(), Dense("out", 2)), (3, 2, 1)),
            "Network((Residual((Relu(), Mask('m'))), Flatten(), Dense('out', 2)), (3, 2, 1))",
        ),
        (Pair(1), "Pair(1)"),
        (Pair(1, other=3), "Pair(1, other=3)"),
        (Pair(1, other=True), "Pair(1, other=True)"),
        (Shown(1), "one of its own"),
        (Made(hidden=1), "Made()"),
        (Made([1]), "Made(values=[1])"),
        (TrainConfig, repr(TrainConfig)),
        ((1,), "(1,)"),
        ({"a": (0.5, None)}, "{'a': (0.5, None)}"),
        (np.array([1, 2**32 - 1], np.uint32), "uint32 (2,) [1, 4294967295]"),
        (np.arange(24.0).reshape(4, 6), "float64 (4, 6) in [0, 23]"),
        (np.where(np.arange(20) < 2, np.nan, 1.5), "float64 (20,) in [1.5, 1.5], 2 not finite"),
        (np.full(20, np.inf), "float64 (20,), 20 not finite"),
        (np.arange(20) < 3, "bool (20,) with 3 True"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_is_one_line(value: Any, text: str) -> None:
    assert written(value) == text


def _light() -> None:
    @light
    @given(st.just(TrainConfig(epochs=1)), st.integers(3, 3))
    def holds(config: TrainConfig, number: int) -> None:
        raise ValueError("no")

    holds()


def _heavy() -> None:
    @heavy
    @given(config=st.just(TrainConfig(epochs=1)), number=st.integers(3, 3))
    def holds(config: TrainConfig, number: int) -> None:
        assert number != 3

    holds()


def _across() -> None:
    @across(each(TrainConfig(epochs=1)), each(1, 2, 3))
    def holds(config: TrainConfig, number: int) -> None:
        assert number != 3

    holds()


def _by_hand() -> None:
    for number in some([1, 2, 3]):
        with trying(config=TrainConfig(epochs=1), number=number):
            assert number != 3


@pytest.mark.parametrize("check", [_light, _heavy, _across, _by_hand])
def test_an_error_names_its_example_on_one_line(check: Callable[[], None]) -> None:
    with pytest.raises((AssertionError, ValueError)) as caught:
        check()
    assert caught.value.__notes__[0] == "for config=TrainConfig(epochs=1), number=3"
    assert explanation(caught.value)() == "", "nothing explains it"


def test_what_explains_an_example_is_called_when_it_is_wanted() -> None:
    asked: list[int] = []

    def explain(number: int) -> str:
        asked.append(number)
        return f"{number} is odd"

    @across(each(2, 3, 4), explain=explain)
    def even(number: int) -> None:
        assert number % 2 == 0

    with pytest.raises(AssertionError) as caught:
        even()
    assert asked == [], "it takes time, and most who run a check do not want it"
    assert explanation(caught.value)() == "3 is odd"


def test_no_case_is_nothing_to_try() -> None:
    @across([], each(1, 2))
    def holds(case: Any, number: int) -> None:
        raise AssertionError("this is never called")

    with pytest.raises(NothingToTry, match="computes the layers of no network that this check has"):
        holds()
    with trying(), pytest.raises(NothingToTry):
        some(())


COMPUTING = ("score_population", "predict", "train_init", "train_epoch", "mask_gradient")


def _computes_nothing(layers: tuple[type, ...]) -> Backend:
    """A backend that names these layers; whatever computes raises."""

    def raises(*_: Any) -> Any:
        raise NotImplementedError("it computes nothing")

    numpy = load_backend("numpy")
    return replace(numpy, layers=layers, **dict.fromkeys(COMPUTING, raises))


@pytest.mark.parametrize("layers", [(), (Dense,), (Dense, Relu), (Relu, Mask, Flatten)])
def test_a_backend_that_no_network_fits_fails(layers: tuple[type, ...]) -> None:
    numpy = load_backend("numpy")
    backend = replace(numpy, layers=layers)
    names = ", ".join(kind.__name__ for kind in layers) or "none"
    with pytest.raises(
        AssertionError, match=f"computes no network with a mask that the kit has: its layers are {names};"
    ):
        CHECKS["computes_a_network"](backend, numpy)
    with pytest.raises(AssertionError, match="computes no network with a mask that the kit has"):
        assert_agrees(backend)


def test_a_check_passes_only_if_it_tried_something() -> None:
    """The checks that pass on a backend that computes nothing are those of what it has: keys and draws."""
    backend, numpy = _computes_nothing(()), load_backend("numpy")
    of_draws = (
        "signatures", "random_bits", "keep_smallest", "masks_from_keys", "bernoulli_thresholds", "sample_masks",
        "draw_parameters", "conversions", "computes_a_network",
    )  # fmt: skip
    for name, check in CHECKS.items():
        if name not in of_draws:
            with pytest.raises((NothingToTry, NotImplementedError)):
                check(backend, numpy)


def test_a_call_that_a_backend_does_not_have_is_not_tried() -> None:
    numpy = load_backend("numpy")
    with pytest.raises(NothingToTry, match="the backend has no mask_gradient"):
        CHECKS["mask_gradient_agrees"](replace(numpy, mask_gradient=None), numpy)


def test_what_a_backend_may_refuse_is_not_tried() -> None:
    """Products in bfloat16; but not those in float32, which each backend must have."""
    numpy = load_backend("numpy")

    def refusing(compute: str) -> Backend:
        @wraps(numpy.train_init)
        def train_init(net: Any, plan: Any, *rest: Any) -> Any:
            if plan.config.compute == compute:
                raise BackendError(f"no {compute} here")
            return numpy.train_init(net, plan, *rest)

        return replace(numpy, train_init=train_init)

    with pytest.raises(NothingToTry, match="the backend refuses it: no bfloat16 here"):
        CHECKS["bfloat16_step_agrees"](refusing("bfloat16"), numpy)
    with pytest.raises(BackendError, match="no float32 here"):
        CHECKS["epoch_agrees"](refusing("float32"), numpy)


def test_the_whole_kit_goes_on_where_there_is_nothing_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[str] = []

    def nothing(backend: Backend, reference: Backend) -> None:
        run.append("nothing")
        raise NothingToTry("the backend computes nothing.")

    def something(backend: Backend, reference: Backend) -> None:
        run.append("something")

    monkeypatch.setattr("weedout_core.testing.CHECKS", {"nothing": nothing, "something": something})
    assert_agrees("numpy")
    assert run == ["nothing", "something"]


def test_the_whole_kit_explains(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(backend: Backend, reference: Backend) -> None:
        with trying(lambda number: f"{number} is odd", number=3):
            raise AssertionError

    monkeypatch.setattr("weedout_core.testing.CHECKS", {"check": check})
    with pytest.raises(AssertionError) as caught:
        assert_agrees("numpy")
    assert caught.value.__notes__[:2] == ["for number=3", "3 is odd"]
