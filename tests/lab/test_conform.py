"""What ``weedout conform`` shows while it runs, and what it leaves behind."""

import importlib
import io
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from rich.console import Console

import weedout_core as wc
from weedout_core import testing
from weedout_core.lab.commands.conform import fixed_examples, run_conform
from weedout_core.lab.commands.options import ConformOptions
from weedout_core.lab.commands.outcome import judge
from weedout_core.lab.commands.parsing import parse
from weedout_core.testing.trying import trying

Weedout = Callable[..., int]


def announce(monkeypatch: pytest.MonkeyPatch, connect: Callable[[str | None, int], wc.backend.Backend]) -> None:
    """Make a third party's backend known as "mine"."""
    point = SimpleNamespace(name="mine", load=lambda: connect)
    monkeypatch.setattr("weedout_core._contract.loading._third_party", lambda: [point])


@pytest.fixture
def two_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kit of two checks, one of which nothing passes."""

    def never(backend: wc.backend.Backend, reference: wc.backend.Backend) -> None:
        raise AssertionError(f"{settings().max_examples} examples [bold]differ[/bold]\n" + "and more\n" * 20)

    monkeypatch.setattr(testing, "CHECKS", {"signatures": testing.CHECKS["signatures"], "never": never})


def test_options() -> None:
    assert parse(["conform", "numpy"]) == ConformOptions("numpy", None, 1, 50)
    given = ["conform", "jax", "--device", "cpu", "--devices", "2", "--examples", "7"]
    assert parse(given) == ConformOptions("jax", "cpu", 2, 7)


@pytest.mark.usefixtures("two_checks")
def test_plain_lines_then_the_table_then_the_reasons(weedout: Weedout, capfd: pytest.CaptureFixture[str]) -> None:
    before = settings.get_current_profile_name()
    assert weedout("conform", "numpy", "--examples", "7") == 1
    lines = capfd.readouterr().out.splitlines()
    shown = [line.rpartition(" · ")[0] for line in lines[:2]]
    assert shown == ["1/2 · signatures · passed", "2/2 · never · failed"], "it says how far it is"
    assert "numpy on cpu" in lines[2]
    start = lines.index("never: AssertionError: 7 examples [bold]differ[/bold]")
    assert lines[start + 1] == "    and more"
    assert lines[-2] == "    …", "a long reason is cut"
    assert lines[-1].startswith("1 of 2 checks passed in ")
    assert settings.get_current_profile_name() == before, "the caller's profile is loaded again"


@pytest.mark.usefixtures("two_checks")
def test_on_a_terminal_it_draws_a_bar() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    assert run_conform(ConformOptions("numpy"), console) == 1
    drawn = screen.getvalue()
    assert "2/2" in drawn
    assert "never · failed" in drawn


def test_the_table_says_by_how_much_a_check_may_differ(
    weedout: Weedout, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = {name: testing.CHECKS[name] for name in ("random_bits", "draw_parameters")}
    monkeypatch.setattr(testing, "CHECKS", checks)
    assert weedout("conform", "numpy", "--examples", "1") == 0
    cells = [[cell.strip() for cell in line.split("│")] for line in capfd.readouterr().out.splitlines()]
    bounds = {row[1]: row[2] for row in cells if len(row) > 3}
    assert bounds == {"random_bits": "nothing", "draw_parameters": "1.1e-05 of each weight"}


@pytest.mark.usefixtures("two_checks")
def test_an_interrupt(weedout: Weedout, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(backend: wc.backend.Backend, reference: wc.backend.Backend) -> None:
        raise KeyboardInterrupt

    before = settings.get_current_profile_name()
    monkeypatch.setattr(testing, "CHECKS", {"interrupted": interrupted})
    assert weedout("conform", "numpy") == 130
    assert "interrupted" in capfd.readouterr().err
    assert settings.get_current_profile_name() == before


def test_without_hypothesis_it_says_how_to_get_it(
    weedout: Weedout, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    assert weedout("conform", "numpy") == 2
    assert capfd.readouterr().err == "weedout: conform needs hypothesis: pip install 'weedout-core[test]'.\n"


def test_whatever_a_check_raises_is_a_failed_check() -> None:
    def check(backend: wc.backend.Backend, reference: wc.backend.Backend) -> None:
        raise ZeroDivisionError("by nothing")

    numpy = wc.load_backend("numpy")
    assert judge("check", check, numpy, numpy).reason == "ZeroDivisionError: by nothing"


#: A backend's package of two files, of which one fails in NumPy, the other in itself.
LAYERS = """import numpy as np


def dense(h, kernel):
    return np.linalg.solve(h, kernel)


def relu(h):
    return h.no_such_name
"""
PACKAGE = """from {name} import layers


def predict(net, params, statistics, masks, x):
    return layers.{called}(x, *[x] * {more})
"""


@pytest.mark.parametrize(("called", "more", "line"), [("dense", 1, 5), ("relu", 0, 9)])
@pytest.mark.parametrize("alone", [False, True], ids=["package", "module"])
def test_what_a_backend_raises_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, more: int, line: int, alone: bool
) -> None:
    """The author's innermost frame, and below it the innermost of all, if that is of another library."""
    name = f"own_{called}_{'module' if alone else 'package'}"
    code = PACKAGE.format(called=called, more=more, name=name)
    if alone:  # a module by itself is the author's, and what lies beside it, as in site-packages, may be anyone's
        file = tmp_path / f"{name}.py"
        file.write_text(LAYERS + code.partition("\n")[2].replace("layers.", ""))
    else:
        file = tmp_path / name / "layers.py"
        file.parent.mkdir()
        file.write_text(LAYERS)
        (file.parent / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    numpy, predict = wc.load_backend("numpy"), importlib.import_module(name).predict
    with fixed_examples(1) as checks:
        outcome = judge("apply_agrees", checks["apply_agrees"], replace(numpy, predict=predict), numpy)
    places = [text.strip() for text in outcome.reason.splitlines() if text.startswith("    in ")]
    assert places[0] == f"in {called}, {file}:{line}"
    assert len(places) == (2 if called == "dense" else 1), outcome.reason
    assert all("linalg" in place for place in places[1:]), "where NumPy raised it"
    assert outcome.reason.splitlines()[-1].startswith("    for problem=Problem(net=Network("), "and the example"


def test_what_fails_is_explained_below_the_table(
    weedout: Weedout, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(backend: wc.backend.Backend, reference: wc.backend.Backend) -> None:
        with trying(lambda config: "the reason of it", config=wc.TrainConfig(momentum=0.8)):
            raise AssertionError("it differs")

    monkeypatch.setattr(testing, "CHECKS", {"check": check})
    assert weedout("conform", "numpy") == 1
    lines = capfd.readouterr().out.splitlines()
    start = lines.index("check: AssertionError: it differs")
    assert lines[start + 1 : start + 3] == ["    for config=TrainConfig(momentum=0.8)", "    the reason of it"]


def test_a_check_that_had_nothing_to_try_says_so(
    weedout: Weedout, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    numpy = wc.load_backend("numpy")
    announce(monkeypatch, lambda device, devices: replace(numpy, mask_gradient=None))
    few = ("signatures", "computes_a_network", "mask_gradient_agrees")
    monkeypatch.setattr(testing, "CHECKS", {name: testing.CHECKS[name] for name in few})
    assert weedout("conform", "mine") == 0
    out = capfd.readouterr().out
    assert re.search(r"│ mask_gradient_agrees +│ [^│]+│ not tried │", out)
    assert "\nmask_gradient_agrees: nothing to try, because the backend has no mask_gradient.\n" in out
    assert re.search(r"\n2 of 3 checks passed in [\d.]+ s; 1 had nothing to try\n$", out)


def test_a_backend_with_nothing_to_try_does_not_pass(
    weedout: Weedout, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(monkeypatch, lambda device, devices: replace(wc.load_backend("numpy"), layers=(), mask_gradient=None))
    few = ("signatures", "computes_a_network", "apply_agrees", "score_agrees", "epoch_agrees", "mask_gradient_agrees")
    left = {name: testing.CHECKS[name] for name in few}
    monkeypatch.setattr(testing, "CHECKS", left)
    assert weedout("conform", "mine", "--examples", "1") == 1
    out = capfd.readouterr().out
    assert "computes_a_network: AssertionError: the backend computes no network with a mask" in out
    assert len(re.findall("│ not tried │", out)) == 4


def wrong_on_several(device: str | None, devices: int) -> wc.backend.Backend:
    """On one device it is the reference; on several it gives each candidate the fitness of the one before."""
    numpy = wc.load_backend("numpy")

    @wraps(numpy.score_population)
    def score_population(*arguments: Any) -> Any:
        return np.roll(numpy.score_population(*arguments), devices - 1)

    return replace(numpy, devices=devices, score_population=score_population)


@pytest.mark.parametrize(("devices", "verdict"), [(1, "passed"), (2, "failed")])
def test_a_backend_is_held_on_several_devices(
    weedout: Weedout, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, devices: int, verdict: str
) -> None:
    announce(monkeypatch, wrong_on_several)
    monkeypatch.setattr(testing, "CHECKS", {"score_agrees": testing.CHECKS["score_agrees"]})
    assert weedout("conform", "mine", "--devices", devices, "--examples", "1") == (verdict == "failed")
    out = capfd.readouterr().out
    assert f"1/1 · score_agrees · {verdict}" in out
    assert ("numpy on cpu, 2 devices, compared" in out) == (devices == 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--devices", "0"), "devices must be an integer of at least 1; got 0."),
        (("--devices", "2"), "the numpy backend runs on 1 device; got devices=2. "),
    ],
)
def test_devices_that_are_not_there(
    weedout: Weedout, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert weedout("conform", "numpy", *arguments) == 2
    assert capfd.readouterr().err.startswith(f"weedout: {said}")
