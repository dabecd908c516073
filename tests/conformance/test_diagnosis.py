"""A failure of training says with which options of SGD, and in which part of a step."""

from dataclasses import fields as fields_of
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from tests.conformance.wrappers import Wrong, with_result
from tests.conformance.wrong_training import (
    forgets_the_velocity,
    one_group,
    plain_momentum,
    statistics_never_move,
    trains_without_masks,
)
from weedout_core import Network, TrainConfig, load_backend
from weedout_core.backend import Backend
from weedout_core.nn import BatchNorm, Dense, Flatten, Mask, Relu
from weedout_core.testing.comparing import Differs
from weedout_core.testing.courses import Course
from weedout_core.testing.diagnosis import OPTIONS, PLAIN, why
from weedout_core.testing.problems import Problem, problem
from weedout_core.testing.training import why_not

FLAT = (Flatten(), Dense("one", 6), Relu(), Mask("one"), Dense("out", 4))
NORMED = (Flatten(), Dense("one", 6), BatchNorm("norm", momentum=0.5), Relu(), Mask("one"), Dense("out", 4))

#: A value of each option that is not the plain one, in a configuration that has them all.
ALL = TrainConfig(
    epochs=2, batch_size=8, learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=0.1, decayed="all",
    schedule="step", step_epochs=(1,), warmup_epochs=1, batch_norm_group=4, augmentation="crop_flip",
    compute="bfloat16", precision="highest",
)  # fmt: skip


def any_problem(net: Network) -> Problem:
    """A problem of a network, always the same."""
    found: list[Problem] = []

    @settings(max_examples=1, derandomize=True, database=None, deadline=None)
    @given(problem(net))
    def drawn(one: Problem) -> None:
        found.append(one)

    drawn()
    return found[-1]


def told(wrong: Wrong, config: TrainConfig, layers: Any = FLAT) -> str:
    numpy, net = load_backend("numpy"), Network(layers, (2, 3, 1))
    return why_not(wrong(numpy), numpy, any_problem(net), Course(net, config))


@pytest.mark.parametrize("option", OPTIONS, ids=lambda fields: fields[0])
@pytest.mark.parametrize("part", ["forward pass", "update"])
def test_an_option_that_is_wrong_is_named_and_those_that_are_right(option: tuple[str, ...], part: str) -> None:
    first = option[0]

    def agree(config: TrainConfig) -> None:
        if getattr(config, first) != PLAIN[first]:
            raise Differs("losses" if part == "forward pass" else "velocity of one", "off; got this, not that")

    failing, _, agreeing = why(agree, ALL, ()).partition(" It agrees with ")
    wrong = [fields for fields in OPTIONS if first in fields]  # another option may need this one
    names = "; ".join(f"with {_named(fields)} (the {_seen(part, fields)} differs)" for fields in wrong)
    assert failing == f"Plain SGD agrees. It fails {names}."
    assert agreeing == "; with ".join(_named(fields) for fields in OPTIONS if fields not in wrong) + "."


def _named(fields: tuple[str, ...]) -> str:
    return ", ".join(f"{name}={getattr(ALL, name)!r}" for name in fields if getattr(ALL, name) != PLAIN[name])


def _seen(part: str, fields: tuple[str, ...]) -> str:
    """A schedule has no effect in the one step that shows the part."""
    return "update" if fields[0] == "schedule" else part


def test_every_field_that_changes_sgd_is_tried() -> None:
    fixed = {"epochs", "batch_size", "learning_rate", "precision", "compaction", "mask_in_testing"}
    fixed |= {"search_epochs", "search_part"}  # between epochs, by the core
    assert {item.name for item in fields_of(TrainConfig)} == fixed | set(PLAIN) == fixed | set(sum(OPTIONS, ()))


def wrong_gradient(backend: Backend) -> Backend:
    """Weights move by twice the gradient."""

    def change(result: Any, net: Any, plan: Any, state: Any, *_: Any) -> Any:
        after, shown = result
        moved = {path: 2 * after.params[path] - state.params[path] for path in after.params}
        return after._replace(params=moved), shown

    return with_result(backend, "train_epoch", change)


def wrong_in_later_epochs(backend: Backend) -> Backend:
    """From the second epoch on, weights stay."""

    def change(result: Any, net: Any, plan: Any, state: Any, *_: Any) -> Any:
        after, shown = result
        return (after._replace(params=state.params) if state.epoch else after), shown

    return with_result(backend, "train_epoch", change)


def raises(backend: Backend) -> Backend:
    def change(*_: Any) -> Any:
        raise TypeError("not the\nright kind")

    return with_result(backend, "train_epoch", change)


@pytest.mark.parametrize(
    ("wrong", "layers", "said"),
    [
        (trains_without_masks, FLAT, "Plain SGD fails in its first step: the forward pass differs (losses: off by "),
        (statistics_never_move, NORMED, "Plain SGD fails in its first step: the forward pass differs (norm/"),
        (
            wrong_gradient,
            FLAT,
            "Plain SGD fails in its first step: the gradient differs (train_epoch: one/kernel: off",
        ),
        (forgets_the_velocity, FLAT, "Plain SGD fails in its first step: the update differs (velocity of one/kernel: "),
        (
            wrong_in_later_epochs,
            FLAT,
            "Plain SGD agrees in its first step and fails in a later one: the update differs",
        ),
        (plain_momentum, FLAT, "Plain SGD agrees. It fails with nesterov=True, momentum=0.9 (the update differs). It"),
        (one_group, NORMED, "Plain SGD agrees. It fails with batch_norm_group=4 (the forward pass differs). It agrees"),
        (raises, FLAT, "Plain SGD fails in its first step: the gradient differs (TypeError: not the right kind)."),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.slow
def test_the_part_of_a_step_is_named(wrong: Wrong, layers: Any, said: str) -> None:
    small = replace(ALL, augmentation="none", compute="float32", schedule="constant", step_epochs=(), warmup_epochs=0)
    text = told(wrong, small, layers)
    assert text.startswith(said), text
    assert "\n" not in text
    assert "got" not in text, "whole arrays are left out"


def test_options_that_are_wrong_together() -> None:
    def agree(config: TrainConfig) -> None:
        assert not (config.weight_decay and config.momentum), "not these two"

    plain = TrainConfig(momentum=0.5, nesterov=False, weight_decay=0.1, schedule="constant", batch_norm_group=None)
    assert why(agree, plain, ()) == (
        "Plain SGD agrees. It agrees with momentum=0.5; with weight_decay=0.1. It fails with several of these together."
    )
