"""Vacuous: mutants that say they compute little, so that a kit tries nothing or only a part of what is wrong."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import other_layers, with_arguments
from tests.mutants.body import VACUOUS
from tests.mutants.witnesses import FLAT, predicts, sensitivities, trains
from weedout_core import Network
from weedout_core.backend import Backend
from weedout_core.errors import BackendError
from weedout_core.nn import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gather,
    GlobalAveragePool,
    Layer,
    Mask,
    MaxPool,
    Relu,
    Residual,
    Scale,
)

#: What a backend computes with; these mutants raise in it on purpose, so that whoever tries anything sees it.
COMPUTING = ("score_population", "predict", "train_init", "train_epoch", "mask_gradient")


def without(backend: Backend, names: tuple[str, ...], error: Exception) -> Backend:
    """A backend of which some functions raise."""

    def raises(*_: Any) -> Any:
        raise error

    return replace(backend, **dict.fromkeys(names, raises))


def says_it_computes(backend: Backend, layers: tuple[type[Layer], ...]) -> Backend:
    """A backend that names some layers, and computes nothing: a kit that passes it has tried nothing."""
    return replace(without(backend, COMPUTING, NotImplementedError("this mutant computes nothing")), layers=layers)


def _layers(backend: Backend) -> Any:
    """The witness that nothing is computed: a backend is to compute something."""
    return [len(backend.layers), predicts(FLAT)(backend)]


@VACUOUS.wrapper("predict", _layers)
def computes_no_layers(backend: Backend) -> Backend:
    """It computes no layers, and whatever computes raises."""
    return says_it_computes(backend, ())


@VACUOUS.wrapper("predict", _layers)
def computes_dense_layers_alone(backend: Backend) -> Backend:
    """It computes Dense layers alone, which make no network with a mask, and whatever computes raises."""
    return says_it_computes(backend, (Dense,))


@VACUOUS.wrapper("predict", _layers)
def computes_all_but_dense(backend: Backend) -> Backend:
    """It leaves out Dense, without which there is no network, and whatever computes raises."""
    return says_it_computes(backend, tuple(kind for kind in backend.layers if kind is not Dense))


@VACUOUS.wrapper("predict", _layers)
def computes_no_masks(backend: Backend) -> Backend:
    """It leaves out Mask, without which nothing can be searched; all logits are 0."""

    def predict(net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> Any:
        return np.zeros((len(next(iter(params.values()))), len(x), net.classes))

    rest = tuple(kind for kind in backend.layers if kind is not Mask)
    return replace(backend, layers=rest, predict=predict)


@VACUOUS.wrapper("train_init", trains(FLAT))
def refuses_to_train(backend: Backend) -> Backend:
    """It refuses every plan with the error for what a backend does not have."""
    return without(backend, ("train_init",), BackendError("this backend does not train yet."))


@VACUOUS.wrapper("train_init", trains(FLAT))
def refuses_float32(backend: Backend) -> Backend:
    """It refuses to train in float32, which each backend must have, and trains in bfloat16 with half the rate."""

    def train_init(net: Any, plan: Any, *rest: Any) -> Any:
        if plan.config.compute == "float32":
            raise BackendError("this backend trains in bfloat16 only.")
        return backend.train_init(net, plan, *rest)

    def slower(net: Any, plan: Any, *rest: Any) -> tuple[Any, ...]:
        config = replace(plan.config, learning_rate=plan.config.learning_rate / 2)
        return net, plan._replace(config=config), *rest

    return with_arguments(replace(backend, train_init=train_init), "train_epoch", slower)


@VACUOUS.wrapper("mask_gradient", sensitivities(FLAT))
def gradient_of_masks_raises(backend: Backend) -> Backend:
    """It has a gradient of masks, which raises; a backend without one leaves it None."""
    return without(backend, ("mask_gradient",), BackendError("mask_gradient is not there yet."))


# Each of these is right on the network that everyone tries, a perceptron with masks, and wrong in the one other kind of
# layer that it computes. A kit whose networks have several such kinds together does not see it.
_BASE = (Dense, Relu, Mask)


def alone(
    name: str, reason: str, kinds: tuple[type[Layer], ...], wrong: Callable[[Any], Any], witness: Network
) -> None:
    """Add a backend that computes few ``kinds`` of layers, the first of them as ``wrong(layer)``, in all functions."""

    def changed(net: Any, *rest: Any) -> tuple[Any, ...]:
        return other_layers(net, lambda layer: wrong(layer) if isinstance(layer, kinds[0]) else layer), *rest

    def made(backend: Backend) -> Backend:
        for function in COMPUTING:
            backend = with_arguments(backend, function, changed)
        return replace(backend, layers=(*_BASE, *kinds))

    VACUOUS.wrapped(name, "predict", f"beside Dense it computes {reason}", predicts(witness), made)


def _flat(*layers: Layer) -> Network:
    return Network((Dense("one", 4), Relu(), Mask("one"), *layers, Dense("out", 3)), (4,))


def _image(*layers: Layer) -> Network:
    return Network((Mask("image"), *layers, Dense("out", 3)), (4, 2, 2))


alone(
    "norm_alone",
    "BatchNorm, and takes 1 for whatever epsilon is given",
    (BatchNorm,),
    lambda layer: replace(layer, epsilon=1.0),
    _flat(BatchNorm("norm")),
)
alone(
    "residual_alone",
    "Residual, and leaves the shortcut out",
    (Residual,),
    lambda layer: layer.main,
    _flat(Residual((Relu(), Dense("inner", 4)))),
)
alone("scale_alone", "Scale, as the identity", (Scale,), lambda layer: (), _flat(Scale(2.0)))
alone(
    "average_alone",
    "GlobalAveragePool, twice as large as it should be",
    (GlobalAveragePool,),
    lambda layer: (layer, Scale(2.0)),
    _image(GlobalAveragePool()),
)
alone(
    "pooling_alone",
    "Flatten and MaxPool, and takes the smallest",
    (MaxPool, Flatten),
    lambda layer: (Scale(-1.0), layer, Scale(-1.0)),
    _image(MaxPool(2), Flatten()),
)
alone(
    "convolution_alone",
    "Flatten and Conv, half as large as it should be",
    (Conv, Flatten),
    lambda layer: (layer, Scale(0.5)),
    _image(Conv("one", 2), Flatten()),
)


def _gathers_the_first(net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> tuple[Any, ...]:
    kept = masks and {
        name: np.sort(value, axis=-1) * 0 if value.dtype.kind == "i" else value for name, value in masks.items()
    }
    return net, params, statistics, kept, x


@VACUOUS.wrapper(
    "predict",
    lambda backend: backend.predict(
        Network((Gather("some", 2), Dense("out", 2)), (4,)),
        {"out/kernel": np.ones((1, 2, 2)), "out/bias": np.zeros((1, 2))}, {}, {"some": np.array([[1, 3]], np.int32)},
        np.arange(4.0)[None],
    ),
)  # fmt: skip
def gather_alone(backend: Backend) -> Backend:
    """Beside Dense it computes Gather, and takes the first node each time."""
    return replace(with_arguments(backend, "predict", _gathers_the_first), layers=(*_BASE, Gather))
