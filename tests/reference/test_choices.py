"""Choices: every field of a search's configuration is followed by the loop, without effect on it, or refused."""

from typing import Any

import pytest

import weedout_core as wc
from weedout_numpy.choices import SPELLED_OUT, check_spelled_out


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("patience", {"patience": 2}),
        ("budget", {"budget": 50}),
        ("batch_policy", {"batch_policy": "fixed"}),
        ("elite", {"batch_policy": "whole", "elite": "cache"}),
        ("winner", {"winner": "rescored"}),
        ("fan", {"fan": "fan_out"}),
        ("fan_counts", {"fan_counts": "kept"}),
        ("batch_norm", {"batch_norm": "running"}),
        ("batch_norm", {"batch_norm": "recalibrated"}),
    ],
)
def test_choices_that_the_loop_does_not_spell_out_are_refused(field: str, change: dict[str, Any]) -> None:
    config = wc.SearchConfig(population=4, generations=2, **change)
    refused = field if field != "elite" else "batch_policy"
    with pytest.raises(wc.errors.ConfigError, match=rf"spells out {refused}=.* only; got .*Use weedout_core\.search"):
        check_spelled_out(config)


def test_every_choice_of_the_search_is_made_or_refused() -> None:
    """A field that is added to SearchConfig must be given a place here."""
    made = {"population", "generations", "reading", "fitness", "validation_batch", "sampling", "allocation", "weights"}
    made |= {"training_steps", "trained_weights"}
    single_valued = {"winner_keeps", "ties", "not_finite"}
    without_effect = {"precision", "chunk"}  # on float64, one candidate at a time
    without_effect |= {"mutation"}  # where nothing is bred
    assert made | single_valued | without_effect | set(SPELLED_OUT) == set(wc.SearchConfig.__dataclass_fields__)
