"""Fitness: how good an untrained sparse network is on a batch. Higher is fitter.

Paper, section 2: "we consider fitness to be the negative cost on a batch of examples sampled from a
validation holdout set"; section 3 ranks by validation accuracy instead. Both are here.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from array_api_compat import array_namespace, is_torch_array

from weedout_core._guard.guarded import guarded
from weedout_core._guard.own_functions import call_own, place_of_own
from weedout_core._guard.showing import shown
from weedout_core._guard.traced import Floats, Integers, beside, namespace_of
from weedout_core.errors import ConfigError, DataError

ClassAxis = Literal[-1, -2]

_QUIET = np.errstate(over="ignore", invalid="ignore")  # NumPy would warn of what becomes NaN


@guarded
@_QUIET
def negative_cross_entropy(logits: Floats, labels: Integers, axis: ClassAxis = -1) -> Any:
    """The mean log-probability of the true class, in nats, at most 0.

    Args:
        logits: float ``(*batch, examples, classes)``, or ``(*batch, classes, examples)``.
        labels: integer ``(examples,)``, or ``(*batch, examples)`` where they differ, in [0, classes).
        axis: the axis of the classes, −1 or −2.
    Returns:
        float ``(*batch,)``; NaN, with a NaN gradient, where a logit is not finite or a label is not a class.
    Raises:
        ConfigError: logits are not an array of floats, or labels not one of integers.
        DataError: their shapes do not fit each other.
    """
    xp = namespace_of(logits, labels)
    _check_labels(logits, labels, axis)
    labels = _wide(labels)
    shifted = logits - xp.max(logits, axis=axis, keepdims=True)
    log_normaliser = xp.log(xp.sum(xp.exp(shifted), axis=axis))
    true = xp.expand_dims(labels, axis=axis) == _classes(logits, axis, labels.dtype)
    chosen = xp.sum(xp.where(true, shifted, xp.zeros_like(shifted)), axis=axis)
    return xp.mean(chosen - log_normaliser, axis=-1) * _one_if_sound(logits, labels, axis)


@guarded
@_QUIET
def accuracy(logits: Floats, labels: Integers, axis: ClassAxis = -1) -> Any:
    """The fraction of examples whose largest logit is the true class, in [0, 1]. Ties go to the lowest class.

    Args:
        logits, labels, axis: as for :func:`negative_cross_entropy`, and so are the errors.
    Returns:
        float ``(*batch,)``; NaN where a logit is not finite or a label is not a class.
    """
    xp = namespace_of(logits, labels)
    _check_labels(logits, labels, axis)
    correct = xp.mean(xp.astype(correct_classes(logits, labels, axis), logits.dtype), axis=-1)
    return correct * _one_if_sound(logits, _wide(labels), axis)


@guarded
def correct_classes(logits: Floats, labels: Integers, axis: ClassAxis = -1) -> Any:
    """Whether the lowest class with the largest logit is the true one: bool ``(*batch, examples)``.

    It is ``predictions(logits) == labels``, in a form that a compiler cannot break. One that computes the logits twice,
    in two loops that round differently, leaves none that is equal to the largest; here each is compared with that of
    the true class, and of numbers that differ in their last bits either may count as the larger.

    Args:
        logits, labels, axis: as for :func:`negative_cross_entropy`, and so are the errors.
    Returns:
        False where a logit of an example is NaN, or its label is not a class.
    """
    xp = namespace_of(logits, labels)
    _check_labels(logits, labels, axis)
    labels = xp.expand_dims(_wide(labels), axis=axis)
    classes = _classes(logits, axis, labels.dtype)
    true = labels == classes
    own = xp.sum(xp.where(true, logits, xp.zeros_like(logits)), axis=axis, keepdims=True)
    beats = (logits > own) | ((logits == own) & (classes < labels))
    wrong = xp.isnan(logits) | (beats & xp.logical_not(true))
    return xp.any(true, axis=axis) & xp.logical_not(xp.any(wrong, axis=axis))


@guarded
def predictions(logits: Floats, axis: ClassAxis = -1) -> Any:
    """The lowest class with the largest logit: float ``(*batch, classes)`` → int32 ``(*batch,)``.

    A row with a NaN gives the number of classes, which is no class. ``axis`` is the axis of the classes, −1 or −2. The
    function is written out because ``argmax`` of ties and of NaN differs between libraries, and so does the maximum of
    numbers with a NaN. Raises DataError where there is no such axis, or no class.
    """
    xp, shape = array_namespace(logits), tuple(logits.shape)
    if len(shape) < -axis or not shape[axis]:
        raise DataError(f"logits must have one class or more, on axis {axis}; got the shape {shape}.")
    classes = _classes(logits, axis, xp.int32)
    numbers = xp.logical_not(xp.any(xp.isnan(logits), axis=axis, keepdims=True))
    best = (logits == xp.max(logits, axis=axis, keepdims=True)) & numbers
    return xp.min(xp.where(best, classes, xp.full_like(classes, logits.shape[axis])), axis=axis)


def _check_labels(logits: Any, labels: Any, axis: int) -> None:
    """Raise DataError unless there is a label for each example: fewer labels would be broadcast in silence."""
    shape = tuple(logits.shape)
    examples = shape[:axis] + shape[len(shape) + axis + 1 :] if len(shape) > 1 else ()
    if not examples or 0 in shape or tuple(labels.shape) not in (examples[-1:], examples):
        raise DataError(
            "logits must be (*batch, examples, classes), or the last two the other way round with axis=-2, and labels "
            f"(examples,) or (*batch, examples); got {shape} and {tuple(labels.shape)} with axis={axis}."
        )


def _wide(labels: Any) -> Any:
    """Labels in a dtype that holds every class (in 8 bits, class 261 would be class 5) and that can be compared."""
    xp = array_namespace(labels)
    if xp.iinfo(labels.dtype).max < 2**31 - 1:
        return xp.astype(labels, xp.int32)
    unsigned = is_torch_array(labels) and xp.isdtype(labels.dtype, "unsigned integer")  # PyTorch only stores them
    return xp.astype(labels, xp.int64) if unsigned else labels


def _one_if_sound(logits: Any, labels: Any, axis: int) -> Any:
    """A factor for the fitness, ``(*batch,)``: 1, or NaN where a logit is not finite or a label is not a class.

    It is a factor because ``where`` gives a gradient of 0 to what it does not select: training would go on as if such a
    step had not happened. The sum of ``logits * 0`` is NaN if any logit is not finite. This takes one pass, and half
    the time of asking ``isfinite``.
    """
    xp = array_namespace(logits)
    one = 1 + xp.sum(logits * 0, axis=(-2, -1))
    classes = xp.all((labels >= 0) & (labels < logits.shape[axis]), axis=-1)
    return xp.where(classes, one, xp.full_like(one, xp.nan))


def _classes(logits: Any, axis: int, dtype: Any) -> Any:
    """0 … classes−1 along the axis of the classes."""
    classes = array_namespace(logits).arange(logits.shape[axis], dtype=dtype, **beside(logits))
    return classes if axis == -1 else classes[:, None]


@guarded
@_QUIET
def _own(function: Callable[[Any, Any], Any], logits: Floats, labels: Integers, axis: ClassAxis = -1) -> Any:
    """A fitness of the user's, held to what is true of the library's own.

    The function is handed copies: logits ``(*batch, examples, classes)``, whatever the axis of the classes, and labels.

    Raises:
        ConfigError: the function failed, or returned something else than a float for each candidate.
    """
    xp, name = namespace_of(logits, labels), f"the fitness {place_of_own(function)}"
    _check_labels(logits, labels, axis)
    given = (logits if axis == -1 else xp.matrix_transpose(logits), labels)
    # Copies: what it writes to them is to reach no other score.
    found = call_own(function, name, *(xp.asarray(one, copy=True) for one in given))
    wanted = tuple(logits.shape[:-2])
    if not _are_floats(xp, found) or tuple(found.shape) != wanted:
        array = hasattr(found, "dtype")
        got = f"{found.dtype} {tuple(found.shape)} of {type(found).__module__}" if array else shown(found)
        raise ConfigError(
            f"{name} must return floats of shape {wanted}, one for each candidate, in an array of the framework of the "
            f"logits, whose shape is {(*wanted, 'examples', 'classes')}; got {got}. Take means over their last axes."
        )
    return xp.astype(found, logits.dtype) * _one_if_sound(logits, _wide(labels), axis)


def remedy_of_lost(fitness: Any) -> str:
    """What to do where a fitness is NaN or infinite for all candidates."""
    own = callable(fitness) or ":" in fitness
    return f"Check {f'the fitness {place_of_own(fitness)}, ' * own}the inputs and the scale of the weights."


def _are_floats(xp: Any, value: Any) -> bool:
    """Whether a value is an array of floats, of this namespace."""
    try:
        return array_namespace(value) is xp and bool(xp.isdtype(value.dtype, "real floating"))
    except TypeError:
        return False


class _Fitnesses(Mapping[Any, Callable[..., Any]]):
    """The library's functions by their names. A function of the user's is looked up by itself."""

    _named: ClassVar[Mapping[str, Callable[..., Any]]] = MappingProxyType(
        {"negative_cross_entropy": negative_cross_entropy, "accuracy": accuracy}
    )

    def __getitem__(self, fitness: Any) -> Callable[..., Any]:
        if isinstance(fitness, str) and ":" in fitness:
            raise ConfigError(f"the fitness {fitness} is only named. Hand in the function itself.")
        return partial(_own, fitness) if callable(fitness) else self._named[fitness]

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)


#: The fitness functions, each ``(logits, labels, axis=-1) -> fitness``: by name, or by a function of the user's own.
FITNESS: Mapping[Any, Callable[..., Any]] = _Fitnesses()
