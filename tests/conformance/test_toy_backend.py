"""A third party's backend, found by its entry point as installed ones are, and held to the reference by the command."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from weedout_core._contract.checked_call import CALLS
from weedout_core._networks.layers import OWN_LAYERS
from weedout_core.testing import CHECKS
from weedout_core.testing.networks import networks
from weedout_core.testing.tolerances import bound

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy_backend"

Conform = Callable[..., subprocess.CompletedProcess[str]]


def results(shown: str) -> dict[str, str]:
    """What the table of ``weedout conform`` says: {check: result}."""
    rows = [[cell.strip() for cell in line.split("│")] for line in shown.splitlines() if line.startswith("│")]
    return {row[1]: row[3] for row in rows if row[1]}  # a bound may take two lines


#: A backend that maximises the cost, and one whose author forgot to return it.
NEGATED = """
from dataclasses import replace

import weedout_toy


def connect(device=None, devices=1):
    def score_population(net, params, population, batch, scoring):
        return -toy.score_population(net, params, population, batch, scoring)

    toy = weedout_toy.connect(device, devices)
    return replace(toy, name="negated", score_population=score_population)
"""
BROKEN = """
def forgets(device=None, devices=1):
    pass


def fails(device=None, devices=1):
    raise RuntimeError("no abacus here")
"""


@pytest.fixture
def conform(tmp_path: Path) -> Conform:
    """``weedout conform`` as a process that finds the toy backend, installed as its pyproject.toml declares it."""
    site, work = tmp_path / "site", tmp_path / "work"
    info = site / "weedout_toy-0.1.dist-info"
    info.mkdir(parents=True)
    work.mkdir()
    (site / "negated.py").write_text(NEGATED)
    (site / "broken.py").write_text(BROKEN)
    project = tomllib.loads((TOY / "pyproject.toml").read_text())["project"]
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["weedout_core.backends"] | {
        "negated": "negated:connect",
        "forgets": "broken:forgets",
        "fails": "broken:fails",
        "absent": "no_such_package:connect",
    }
    lines = [f"{name} = {target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[weedout_core.backends]", *lines, ""]))
    path = [site, TOY, ROOT, ROOT / "reference", ROOT / "backends", *filter(None, sys.path)]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "weedout_core", "conform", *arguments],
            cwd=work,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "COLUMNS": "80"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert list(work.iterdir()) == [], "nothing is left where the user stands"
        return done

    return run


#: What the toy backend does not have: convolutions, compacted networks, bfloat16, and a gradient of masks.
UNTRIED = {"predict_compacted", "compacted_epoch_agrees", "bfloat16_step_agrees", "mask_gradient_agrees"}


def test_the_toy_backend_passes(conform: Conform) -> None:
    done = conform("toy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    found = results(done.stdout)
    assert list(found) == list(CHECKS)
    untried = {name for name, result in found.items() if result == "not tried"}
    assert untried == UNTRIED
    assert {result for name, result in found.items() if name not in UNTRIED} == {"passed"}
    assert f"{len(CHECKS) - len(UNTRIED)} of {len(CHECKS)} checks passed" in done.stdout
    assert f"{len(UNTRIED)} had nothing to try" in done.stdout


PAGE = (ROOT / "docs" / "write-a-backend.md").read_text(encoding="utf-8")


def shown(language: str) -> list[str]:
    """The blocks of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_page_shows_the_whole_backend() -> None:
    """Its blocks, one below the other, are the file that is held to the reference above."""
    assert "\n\n".join(shown("py")) == (TOY / "weedout_toy.py").read_text(encoding="utf-8")
    assert shown("toml") == [(TOY / "pyproject.toml").read_text(encoding="utf-8")]


def _name(item: Any) -> str:
    return item.name


def test_the_page_needs_no_other_file() -> None:
    """It names each field and argument that an author has to do with, and each layer; it links to nothing else."""
    records: tuple[Any, ...] = (
        wc.backend.Backend, wc.backend.Population, wc.backend.ScoredBatch, wc.backend.Scoring, wc.backend.TrainPlan,
        wc.backend.TrainState, wc.backend.EpochResult, wc.backend.Batches, wc.backend.SitePlan, wc.nn.ParameterSpec,
    )  # fmt: skip
    of_records = [name for record in records for name in getattr(record, "_fields", ()) or map(_name, fields(record))]
    of_calls = [name for call in CALLS.values() for name in list(signature(call.__call__).parameters)[1:]]
    # What a user hands to an optional call, which only its author's library knows.
    optional = {
        *signature(CALLS["adopt"].__call__).parameters,
        *signature(CALLS["compiled_memory"].__call__).parameters,
    }
    layers = [kind.__name__ for kind in OWN_LAYERS]
    named = set(re.findall(r"\w+", PAGE))
    assert {*of_records, *(set(of_calls) - optional), *layers, *CALLS} - named == set()
    prose = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"\]\((?!#)[^)]*\)", prose) == []


#: A convolution before what the toy backend computes.
WITH_CONV = wc.Network(
    (wc.nn.Conv("first", 2), wc.nn.Relu(), wc.nn.Mask("first"), wc.nn.Flatten(), wc.nn.Dense("out", 2)), (3, 3, 1)
)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> wc.backend.Backend:
    """The toy backend in this process."""
    monkeypatch.syspath_prepend(TOY)
    return importlib.import_module("weedout_toy").connect()


def test_the_kit_tries_the_networks_that_it_has_the_layers_for(toy: wc.backend.Backend) -> None:
    everything = networks(wc.load_backend("numpy"))
    tried = networks(toy)
    assert 2 <= len(tried) < len(everything)
    assert all(wc.nn.Conv not in map(type, net.layers) for net in tried)


@pytest.mark.parametrize(
    "asked",
    [
        lambda toy, net, params, mask, data: toy.apply(net, params, data[0]),
        lambda toy, net, params, mask, data: toy.score(net, params, {"first": mask["first"][None]}, *data),
        lambda toy, net, params, mask, data: wc.evaluate(wc.Subnetwork(net, params, mask), data, backend=toy),
        lambda toy, net, params, mask, data: wc.train(
            wc.Subnetwork(net, params, mask), data, backend=toy, key=wc.key(0), config=wc.TrainConfig(epochs=1)
        ),
        lambda toy, net, params, mask, data: wc.search(
            net, data, sparsity=0.5, backend=toy, key=wc.key(0), config=wc.SearchConfig(population=2)
        ),
    ],
    ids=["apply", "score", "evaluate", "train", "search"],
)
def test_a_network_with_a_convolution_is_refused(toy: wc.backend.Backend, asked: Callable[..., object]) -> None:
    params = {path: np.ones(shape, np.float32) for path, shape in wc.nn.parameter_shapes(WITH_CONV).items()}
    mask = {site: np.ones(shape, dtype=bool) for site, shape in wc.mask_space(WITH_CONV).items()}
    data = np.ones((4, 3, 3, 1), np.float32), np.array([0, 1, 0, 1])
    with pytest.raises(wc.errors.BackendError) as refused:
        asked(toy, WITH_CONV, params, mask, data)
    assert str(refused.value) == (
        "the toy backend computes the layers Dense, Relu, Flatten, Mask; the network has Conv too. "
        "Take another backend or network."
    )


def test_masks_of_channels(toy: wc.backend.Backend) -> None:
    """The kit has them in networks with convolutions only."""
    layers = (wc.nn.Mask("image", rescale=True, granularity="channel"), wc.nn.Flatten(), wc.nn.Dense("out", 3))
    net, rng = wc.Network(layers, (2, 3, 2)), np.random.default_rng(0)
    params = {path: rng.normal(size=shape).astype(np.float32) for path, shape in wc.nn.parameter_shapes(net).items()}
    x, masks = rng.normal(size=(5, 2, 3, 2)).astype(np.float32), {"image": np.array([False, True])}
    wanted, most = bound("apply")(net, params, masks, x)
    assert (np.abs(toy.apply(net, params, x, masks) - wanted) <= most).all()


def test_constants_of_initial_weights(toy: wc.backend.Backend) -> None:
    """γ of a batch normalisation, were there one: 1 without a draw."""
    spec = wc.nn.ParameterSpec("norm/scale", (3,), code=1, std=0.0, value=1.0)
    np.testing.assert_array_equal(toy.draw_parameters(wc.key(0), (spec,))["norm/scale"], np.ones(3))


@pytest.mark.slow
def test_a_broken_variant_fails_and_says_where(conform: Conform) -> None:
    done = conform("negated", "--device", "cpu", "--examples", "20")
    assert done.returncode == 1, done.stdout + done.stderr
    found = results(done.stdout)
    assert found["score_agrees"] == "failed"
    assert found["masks_from_keys"] == found["epoch_agrees"] == "passed"
    _, _, below = done.stdout.partition("└")
    assert "score_agrees: Differs: score as " in below, "the reason stands below the table"
    assert "for problem=Problem(net=Network((Dense(" in below, "and the example that failed"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["abacus"], "unknown backend 'abacus'; known are "),
        (["absent"], "backend 'absent' cannot be imported"),
        (["fails"], "backend 'fails' cannot connect: RuntimeError: no abacus here"),
        (["forgets"], "the entry point of backend 'forgets' must return a Backend; it returned None."),
        (["toy", "--device", "gpu"], "the toy backend runs on one CPU"),
        (["toy", "--examples", "0"], "examples must be an integer of at least 1; got 0."),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_checked_is_one_sentence(conform: Conform, arguments: list[str], said: str) -> None:
    done = conform(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"weedout: {said}"), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
