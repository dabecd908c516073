"""How many networks are trained at once: the estimate of memory, and what it decides."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import weedout_core as wc
from weedout_core.errors import ConfigError
from weedout_core.lab.commands import computing, running
from weedout_core.lab.experiment import memory
from weedout_core.lab.experiment.architecture import build, size_by_name
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.decided import resolve_together
from weedout_core.lab.experiment.memory import Size, check_fits, check_workers, size_of, training_bytes, usable

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


def test_of_any_number_of_networks_as_many_fit_as_are_counted_one_by_one() -> None:
    assert resolve_together(CONFIG, MLP, backend(holding(7, CONFIG)), 70, 2**31 - 1) == 7


#: Experiments of one kind of work each, the bytes that they need at the least, and what is said of them.
NEEDS = [
    ({"size": Size(1000, 0), "at_once": 3}, 12_000, r"the weights of 3 x 1,000 parameters\. Lower hidden, .*together"),
    ({"size": Size(0, 500), "chunk": 20}, 10_000, r"the masks of 20 x 500 nodes\. Lower chunk"),
    ({"repeats": 2}, 2_048, r"the record of 2 repeats\. Lower repeats"),
    ({"repeats": 2, "epochs": 10}, 2_048 + 2_560, r"the history of 2 x 10 epochs\. Lower epochs or repeats"),
    ({"population": 100}, 6_400, r"a population of 100 candidates\. Lower population"),
]


@pytest.mark.parametrize(
    ("given", "needed", "said"), NEEDS, ids=["weights", "masks", "repeats", "epochs", "population"]
)
def test_what_needs_more_than_there_is_is_refused_with_the_numbers(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], needed: int, said: str
) -> None:
    work = {"size": Size(0, 0), "at_once": 0, "repeats": 0, "epochs": 0, "population": 0, "chunk": 1} | given
    monkeypatch.setattr(memory, "share_of_memory", lambda devices: needed // devices)
    check_fits(**work)
    monkeypatch.setattr(memory, "share_of_memory", lambda devices: needed // devices - 1)
    with pytest.raises(ConfigError, match=f"^a run must fit into the memory of this machine, 0.0 GiB; .*{said}"):
        check_fits(**work)
    monkeypatch.setattr(memory, "share_of_memory", lambda _: None)
    check_fits(**work)


def test_the_sizes_of_a_network_are_those_of_its_parts() -> None:
    assert size_of(MLP) == (MLP_PARAMETERS, 8)


@pytest.mark.parametrize("options", [(None, "node", False, False), ((7,), "channel", True, True)])
@pytest.mark.parametrize("name", ["mlp", "vgg-3", "wrn-10-2", "wrn-16-1", "wrn-28-2", "wrn-40-1"])
def test_a_size_is_known_by_name(name: str, options: tuple[Any, ...]) -> None:
    given = (name, (8, 8, 3), 10, *options)
    assert size_by_name(*given) == size_of(build(*given))


def test_the_size_of_a_network_too_deep_to_build_is_known() -> None:
    one, two = (size_by_name(f"wrn-{depth}-1", (8, 8, 3), 10) for depth in (10, 6 * 10**8 + 4))
    assert two.parameters > 10**8 * one.parameters


def test_workers_that_no_memory_holds_are_refused_before_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "share_of_memory", lambda devices: 2**30)
    check_workers(16)
    with pytest.raises(ConfigError, match=r"of this machine, 1\.0 GiB; 17 processes need at least 1\.1 GiB\."):
        check_workers(17)


def test_as_many_workers_begin_as_there_are_groups(
    weedout: Callable[..., int], small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()
    monkeypatch.setattr(running, "check_workers", asked.append)
    monkeypatch.setattr(computing, "drive", lambda *_: None)
    weedout(*small, "--workers", "1000000", "--out", "run")
    assert asked == [4]
