"""What a network brings for its training on the command line, and what wins over it."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import weedout_core as wc
from weedout_core.lab.commands import options, parsing
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.recipes import BROUGHT, recipe_text

Weedout = Callable[..., int]

# Written out, so that another default of TrainConfig's moves no preset unseen.
PAPERS = wc.TrainConfig(
    epochs=200, batch_size=1024, learning_rate=0.1 * 1024 / 128, momentum=0.9, nesterov=True, weight_decay=5e-4,
    decayed="weights", schedule="cosine", warmup_epochs=5, augmentation="crop_flip", batch_norm_group=128,
    compute="float32", precision="default",
)  # fmt: skip
SMALL = replace(PAPERS, epochs=8, batch_size=64, learning_rate=0.1, warmup_epochs=0, augmentation="none")


def trained(command: str) -> wc.TrainConfig:
    """The learning phase that a command line asks for."""
    parsed = parsing.parse(shlex.split(command))
    assert isinstance(parsed, options.PaperOptions | options.PlanOptions)
    return parsed.config.train


@pytest.mark.parametrize("command", ["paper", "plan"])
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("wrn-28-10", PAPERS),
        ("wrn-16-4", PAPERS),
        ("wrn-10-2", PAPERS),
        ("vgg-64", PAPERS),
        ("wrn-10-1", SMALL),
        ("mlp", wc.TrainConfig()),
    ],
)
def test_a_network_brings_its_learning_phase(
    command: str, dataset: str, network: str, expected: wc.TrainConfig
) -> None:
    assert trained(f"{command} --dataset {dataset} --network {network}") == expected


@pytest.mark.parametrize("dataset", ["digits", "mnist", "fashion-mnist"])
def test_only_cifar_is_mirrored(dataset: str) -> None:
    assert trained(f"paper --dataset {dataset} --network wrn-28-10") == replace(PAPERS, augmentation="none")
    given = trained(f"paper --dataset {dataset} --network wrn-28-10 --augmentation crop_flip")
    assert given == PAPERS, "unless it is asked for"


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ("--epochs 60", "epochs", 60),
        ("--batch-size 128", "batch_size", 128),
        ("--learning-rate 0.05", "learning_rate", 0.05),
        ("--warmup-epochs 0", "warmup_epochs", 0),
        ("--augmentation none", "augmentation", "none"),
        ("--weight-decay 0", "weight_decay", 0),
        ("--no-nesterov", "nesterov", False),
        ("--schedule constant", "schedule", "constant"),
    ],
)
def test_what_is_given_wins(given: str, field: str, value: object) -> None:
    """Also where it is TrainConfig's own default, or falsy."""
    for command in (f"paper {given} --network wrn-28-10", f"plan --network wrn-28-10 {given}"):
        assert trained(f"{command} --dataset cifar10") == replace(PAPERS, **{field: value})


@pytest.mark.parametrize(("epochs", "warmup"), [(3, 0), (20, 2), (49, 4), (50, 5), (300, 5)])
def test_a_short_training_warms_up_for_a_tenth_of_it(epochs: int, warmup: int) -> None:
    command = f"paper --dataset cifar10 --network wrn-28-10 --epochs {epochs}"
    assert trained(command) == replace(PAPERS, epochs=epochs, warmup_epochs=warmup)
    assert trained(f"{command} --warmup-epochs 3") == replace(PAPERS, epochs=epochs, warmup_epochs=3)


def test_the_drops_of_wide_resnets_own_recipe_are_two_options() -> None:
    """Zagoruyko, Komodakis (2016), section 3: the rate times 0.2 at the epochs 60, 120 and 160."""
    config = trained("paper --network wrn-28-10 --schedule step --step-epochs 60 120 160 --warmup-epochs 0")
    rates = [config.learning_rate * factor for factor in (1, 0.2, 0.2**2, 0.2**3)]
    assert wc.backend.learning_rates(config, 1)[[0, 59, 60, 119, 120, 159, 160, 199]] == pytest.approx(
        [rate for rate in rates for _ in range(2)]
    )


def test_python_keeps_its_explicit_values() -> None:
    assert ExperimentConfig(dataset="cifar10", network="wrn-28-10").train == wc.TrainConfig()


@pytest.mark.parametrize("network", ["resnet", "wrn-28", "wrn-", "vgg-", "MLP"])
def test_an_unknown_network_is_one_sentence(weedout: Weedout, capfd: pytest.CaptureFixture[str], network: str) -> None:
    assert weedout("paper", "--network", network) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("weedout: --network must be ")
    assert err.count("\n") == 1


def test_the_learning_phase_is_stored_as_resolved(weedout: Weedout, tmp_path: Path) -> None:
    short = "paper --backend numpy --network wrn-10-1 --train-examples 64 --test-examples 20 --sparsity 0.5 --repeats 1"
    less = "--population 2 --generations 1 --validation-batch 8 --epochs 0 --checkpoint-minutes 5"
    assert weedout(*shlex.split(f"{short} {less} --out brought")) == 0
    assert weedout(*shlex.split(f"{short} {less} --batch-size 64 --learning-rate 0.1 --out given")) == 0
    brought, given = (json.loads((tmp_path / run / "config.json").read_text()) for run in ("brought", "given"))
    train = brought["identity"]["train"]
    assert (train["epochs"], train["batch_size"], train["learning_rate"]) == (0, 64, 0.1)
    assert brought["digest"] == given["digest"], "the same run, asked for in two ways"


@pytest.mark.parametrize("command", ["paper", "plan"])
def test_help_says_what_the_networks_bring(weedout: Weedout, capfd: pytest.CaptureFixture[str], command: str) -> None:
    assert weedout(command, "--help") == 0
    text = " ".join(capfd.readouterr().out.replace("│", " ").split())
    assert sorted(BROUGHT) == ["augmentation", "batch_size", "epochs", "learning_rate", "warmup_epochs"]
    for field in BROUGHT:
        assert f"(default: set by --network: {recipe_text(field)})" in text, field
    assert "20 for mlp, 8 for wrn-10-1, 200 for wrn-* and vgg-*" in text
    assert "none for mlp and wrn-10-1, crop_flip for wrn-* and vgg-* on CIFAR" in text
