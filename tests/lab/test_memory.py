"""How many networks are trained at once: the estimate of memory, and what it decides."""

import math
import warnings
from dataclasses import replace

import pytest

import weedout_core as wc
from weedout_core.lab.experiment.configuration import ExperimentConfig, resolve_together
from weedout_core.lab.experiment.memory import training_bytes, usable

MLP = wc.mlp((4, 4, 1), (8,), 3)
MLP_PARAMETERS = 16 * 8 + 8 + 8 * 3 + 3
MLP_ACTIVATIONS = 16 + 16 + 8 + 8 + 8 + 3  # the image, it flat, the hidden layer, its ReLU, its mask, the logits
TRAIN = wc.TrainConfig(batch_size=10)


@pytest.mark.parametrize("networks", [1, 5])
def test_dense_networks_have_state_and_activations_each(networks: int) -> None:
    floats = networks * (5 * MLP_PARAMETERS + 2 * 10 * MLP_ACTIVATIONS) + 70 * (16 + 1)
    assert training_bytes(MLP, TRAIN, 70, 1, networks) == 4 * floats


@pytest.mark.parametrize(("devices", "shown"), [(1, 10), (5, 2), (3, 10)])
def test_activations_are_of_the_part_of_a_batch_that_a_device_has(devices: int, shown: int) -> None:
    floats = 5 * MLP_PARAMETERS + 2 * shown * MLP_ACTIVATIONS + 70 * (16 + 1)
    assert training_bytes(MLP, TRAIN, 70, devices, 1) == 4 * floats


def test_of_networks_with_convolutions_the_activations_of_one_are_there() -> None:
    net = wc.vgg(2, 10, (8, 8, 3))
    one, three = (training_bytes(net, TRAIN, 70, 1, networks) for networks in (1, 3))
    assert three - one == 2 * 5 * 4 * wc.costs(net).parameters


def test_a_batch_is_no_larger_than_the_split() -> None:
    assert training_bytes(MLP, TRAIN, 7, 1, 1) == training_bytes(MLP, wc.TrainConfig(batch_size=7), 7, 1, 1)


# Workspaces of JAX's convolutions on a CPU, up to 2^23 bytes of windows, are not counted: activations here are more.
@pytest.mark.parametrize("net", [wc.vgg(4, 10), wc.mlp((16, 16, 1), (64,), 10)], ids=["vgg", "mlp"])
@pytest.mark.slow
def test_the_estimate_is_what_the_compiler_says_or_little_more(net: wc.Network) -> None:
    """At most three times it: twice the outputs where one is needed, and half as much again for three MLPs, of which
    a CPU has the activations and gradients of one at a time."""
    pytest.importorskip("weedout_jax")
    train, search = wc.TrainConfig(batch_size=128), wc.SearchConfig(population=2, validation_batch=2)
    compiled_memory = wc.load_backend("jax", device="cpu").compiled_memory
    assert compiled_memory is not None
    told = compiled_memory(net, 0.0, search, train, 256, 3, None)["train_epoch"]
    estimate = training_bytes(net, train, 256, 1, 3)
    assert told <= estimate <= 3 * told, (told, estimate)


def backend(memory: int | None) -> wc.backend.Backend:
    return replace(wc.load_backend("numpy"), memory=memory)


def holding(networks: float, config: ExperimentConfig) -> int:
    """A memory of which half holds so many networks, to the byte where it is a whole number."""
    data = training_bytes(MLP, config.train, 70, 1, 0)
    return 2 * (data + math.floor(networks * (training_bytes(MLP, config.train, 70, 1, 1) - data)))


CONFIG = ExperimentConfig(repeats=5, train=TRAIN)


@pytest.mark.parametrize(
    ("fit", "together"),
    [(99, 10), (10, 10), (9.9, 5), (6, 5), (5, 5), (4.9, 4), (4, 4), (3, 3), (2.5, 2), (1, 1)],
)
def test_networks_are_cut_into_few_slices_of_equal_size(fit: float, together: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_together(CONFIG, MLP, backend(holding(fit, CONFIG)), 70, 10) == together


def test_without_a_known_memory_all_are_trained_at_once() -> None:
    assert resolve_together(CONFIG, MLP, backend(None), 70, 10) == 10


@pytest.mark.parametrize(("asked", "together"), [(1, 1), (4, 4), (10, 10), (11, 10)])
def test_what_is_asked_for_is_not_estimated(asked: int, together: int) -> None:
    assert resolve_together(replace(CONFIG, together=asked), MLP, backend(1), 70, 10) == together


def test_where_not_one_fits_it_says_so_and_trains_one_at_a_time() -> None:
    memory = holding(1, CONFIG) - 2
    said = r"estimated to take 0\.00 GiB, and cpu has 0\.00 GiB for it .* one at a time.*lower batch_size"
    with pytest.warns(wc.WeedoutWarning, match=said):
        assert resolve_together(CONFIG, MLP, backend(memory), 70, 10) == 1


def test_half_of_the_memory_is_planned_with() -> None:
    assert usable(7) == 3
