"""Any model as a pure function of its weights, its running statistics, its inputs and a key."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from weedout_core.errors import BackendError

#: How a model computes: as it is used after training; with the statistics of the batch; or as while it is trained,
#: with dropout and with running statistics that move.
Mode = Literal["running", "batch", "train"]
Tree = Mapping[str, Any]
#: The modes in words.
SAID: Mapping[Mode, str] = {
    "running": "after training", "batch": "with the statistics of the batch", "train": "in training"
}  # fmt: skip


class Pure(NamedTuple):
    """A model of any library.

    Attributes:
        name: what it is called.
        params, statistics: its weights and running statistics, {path: float32 ``shape``}.
        compute: (params, statistics, inputs ``(examples, *input_shape)``, mode, key) → the logits, and the running
            statistics after them.
        rebuild: (params, statistics) → what was adopted again.
    """

    name: str
    params: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray]
    compute: Callable[[Tree, Tree, Any, Mode, Any], tuple[Any, Tree]]
    rebuild: Callable[[Tree, Tree], Any]


def explained(pure: Pure) -> Pure:
    """The same model, of which every exception comes as a BackendError that names it."""

    def compute(params: Tree, statistics: Tree, x: Any, mode: Mode, key: Any) -> tuple[Any, Tree]:
        try:
            return pure.compute(params, statistics, x, mode, key)
        except BackendError:
            raise
        except Exception as error:
            said = f"{pure.name} cannot be run on inputs {tuple(x.shape)}, {SAID[mode]}"
            raise BackendError(f"{said}: {summary(error)}.") from error

    return pure._replace(compute=compute)


def summary(error: Exception) -> str:
    """An exception in one line, without a full stop."""
    lines = str(error).strip().splitlines()
    return ": ".join([type(error).__name__, *lines[:1]]).rstrip(".:")


def check_unchanged(before: Mapping[Any, Any], after: Mapping[Any, Any], name: str, remedy: str) -> None:
    """Raise BackendError if a model has changed what it holds beside running statistics, where it would be lost.

    Args:
        before, after: {path: value}. What is there once only does not count.
        name: the model.
        remedy: what to do.
    """
    if lost := [path for path, value in after.items() if path in before and value is not before[path]]:
        raise BackendError(
            f"{name} may change nothing but running statistics as it is called; it changes {lost[0]!r}. {remedy}"
        )


_IN_TRAINING = ("train", "training", "is_training")
_AFTER_TRAINING = ("deterministic", "use_running_average", "inference")


def arguments(call: Callable[..., Any], mode: Mode, key: Any) -> dict[str, Any]:
    """What a function takes beside the inputs, of the names that are usual in JAX: the mode, and a key."""
    known = dict.fromkeys(_IN_TRAINING, mode != "running")
    known |= dict.fromkeys(_AFTER_TRAINING, mode == "running")
    known |= {"key": key, "rng": key}
    taken = inspect.signature(call).parameters
    return {name: value for name, value in known.items() if name in taken}


def check_logits(logits: Any, examples: int, name: str, mode: Mode) -> None:
    """Raise BackendError unless a model gives logits (examples, classes)."""
    shape = getattr(logits, "shape", None)
    if shape is None or len(shape) != 2 or shape[0] != examples or shape[1] < 2:
        got = type(logits).__name__ if shape is None else tuple(shape)
        raise BackendError(
            f"{name}{'' if mode == 'running' else ', in training,'} must give logits (examples, classes), of two "
            f"classes or more; for {examples} examples it gives {got}. Adopt a model that returns the logits alone."
        )


class Parts(NamedTuple):
    """A tree of another library, taken apart.

    Attributes:
        arrays: its arrays of floats, {path: float32 ``shape``}.
        together: the same tree with other arrays, {path: ``shape``}.
    """

    arrays: dict[str, np.ndarray]
    together: Callable[[Tree], Any]


def parts(tree: Any, name: str) -> Parts:
    """Take a tree apart. What it holds beside arrays of floats stays as it is.

    Raises BackendError for an array of floats that is not of 32 bits or more, or for two of one path.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
    paths = [_joined(path) for path, _ in leaves]
    held = [kept(leaf) for _, leaf in leaves]
    places = [place for place, leaf in enumerate(held) if is_float(leaf)]
    arrays = {paths[place]: float32(held[place], paths[place], name) for place in places}
    if len(arrays) < len(places):
        raise BackendError(f"two weights of {name} have one path when the names of their keys are joined by '/'.")

    def together(arrays: Tree) -> Any:
        new = dict(zip(places, (arrays[paths[place]] for place in places), strict=True))
        return jax.tree.unflatten(structure, [new.get(place, leaf) for place, leaf in enumerate(held)])

    return Parts(arrays, together)


def flat(tree: Any) -> dict[str, Any]:
    """The leaves of a tree, by the same paths."""
    return {_joined(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def _joined(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/") or "params"


def kept(leaf: Any) -> Any:
    """A copy of an array, on the host, that nobody changes or gives away; anything else as it is."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        words = jnp.asarray(np.array(jax.random.key_data(leaf)))
        return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))
    return np.array(leaf) if isinstance(leaf, jax.Array | np.ndarray) else leaf


def is_float(leaf: Any) -> bool:
    """Whether it is an array of floats or of complex numbers."""
    return isinstance(leaf, np.ndarray | jax.Array) and jnp.issubdtype(leaf.dtype, np.inexact)


def float32(value: Any, path: str, name: str) -> np.ndarray:
    """An array as float32. Raises BackendError for one of fewer bits, or of complex numbers."""
    if value.dtype not in (np.float32, np.float64):
        raise BackendError(f"parameters must be float32; {path!r} of {name} is {value.dtype}. Convert it.")
    return np.asarray(value, np.float32)


def groups(features: int, before: int, each: bool, left: int) -> int:
    """How many groups a convolution has when so many of its features are left.

    Args:
        features, before: how many features and groups it had.
        each: whether each group read one channel, when it was whole. Then a group has as many features as before, so
            that there are fewer of them; other groups are as many as before, and become smaller.
        left: the features that are left.
    """
    return left // (features // before) if each and before > 1 else before
