"""Why training fails: from plain SGD upwards, with which options of SGD, and in which part of a step."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from weedout_core._configs.train_config import TrainConfig
from weedout_core.testing.comparing import Differs
from weedout_core.testing.courses import PLAINEST
from weedout_core.testing.written import written

#: The options, each with the fields that go with it. The first field says whether it is on.
OPTIONS = (
    ("momentum",),
    ("nesterov", "momentum"),
    ("weight_decay",),
    ("decayed", "weight_decay"),
    ("schedule", "step_epochs", "step_factor"),
    ("warmup_epochs",),
    ("batch_norm_group",),
    ("augmentation",),
    ("compute",),
)

#: SGD without any of its options.
PLAIN: dict[str, Any] = {name: getattr(PLAINEST, name) for option in OPTIONS for name in option}

#: What the forward pass of a step gives, beside running statistics, by the names that a comparison has for it.
_FORWARD = frozenset({"losses", "correct"})

Agree = Callable[[TrainConfig], None]


def why(agree: Agree, config: TrainConfig, statistics: Collection[str]) -> str:
    """Find out why a configuration fails.

    Args:
        agree: trains by a configuration, and raises what comes out of it if the result differs from the reference.
        config: a configuration for which it raises.
        statistics: the paths of the network's running statistics, which its forward pass gives too.
    Returns:
        some sentences: whether plain SGD fails, which options fail, and whether the forward pass, the gradient or the
        update differs.
    """
    plain = replace(config, **PLAIN)
    if failed := _error(agree, _one_step(plain)):
        return f"Plain SGD fails in its first step: the {_part(failed, statistics)} differs ({_brief(failed)})."
    if failed := _error(agree, plain):
        return f"Plain SGD agrees in its first step and fails in a later one: the update differs ({_brief(failed)})."
    options = [_option(config, fields) for fields in OPTIONS if getattr(config, fields[0]) != PLAIN[fields[0]]]
    failing = [option for option in options if _error(agree, replace(plain, **option))]
    agreeing = [option for option in options if option not in failing]
    also = f" It agrees with {'; with '.join(map(_named, agreeing))}." if agreeing else ""
    if not failing:
        return f"Plain SGD agrees.{also} It fails with several of these together."
    found = []
    for option in failing:
        failed = _error(agree, _one_step(replace(plain, **option)))
        # The gradient is that of plain SGD, which agrees.
        part = "forward pass" if failed and _part(failed, statistics) == "forward pass" else "update"
        found.append(f"with {_named(option)} (the {part} differs)")
    return f"Plain SGD agrees. It fails {'; '.join(found)}.{also}"


def _option(config: TrainConfig, fields: tuple[str, ...]) -> dict[str, Any]:
    """The fields of an option, with the values that the configuration has for them."""
    return {name: getattr(config, name) for name in fields if getattr(config, name) != PLAIN[name]}


def _named(option: dict[str, Any]) -> str:
    return ", ".join(f"{name}={written(value)}" for name, value in option.items())


def _one_step(config: TrainConfig) -> TrainConfig:
    """One step on all examples."""
    once = {"epochs": 1, "batch_size": 2**30, "warmup_epochs": min(config.warmup_epochs, 1)}
    fixed = {name: PLAIN[name] for name in ("schedule", "step_epochs", "step_factor")}
    return replace(config, **once, **fixed)


def _error(agree: Agree, config: TrainConfig) -> Exception | None:
    try:
        agree(config)
    except Exception as error:  # whatever the backend raises is a failure of this configuration
        return error
    return None


def _part(error: Exception, statistics: Collection[str]) -> str:
    """The part of a step of plain SGD that is wrong, by what differs after it."""
    what = error.what if isinstance(error, Differs) else ""
    if what in _FORWARD.union(statistics):
        return "forward pass"
    return "update" if what.startswith("velocity") else "gradient"


def _brief(error: Exception) -> str:
    """What an error says, without the numbers of whole arrays."""
    text = " ".join(str(error).partition("; got")[0].split())
    return text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"
