"""What ``weedout conform`` shows while it runs, and what it leaves behind."""

import io
import sys
from collections.abc import Callable

import pytest
from hypothesis import settings
from rich.console import Console

import weedout_core as wc
from weedout_core import testing
from weedout_core.lab.commands.conform import judge, run_conform
from weedout_core.lab.commands.options import ConformOptions, parse

Weedout = Callable[..., int]


@pytest.fixture
def two_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kit of two checks, one of which nothing passes."""

    def never(backend: wc.backend.Backend, reference: wc.backend.Backend) -> None:
        raise AssertionError(f"{settings().max_examples} examples [bold]differ[/bold]\n" + "and more\n" * 20)

    monkeypatch.setattr(testing, "CHECKS", {"signatures": testing.CHECKS["signatures"], "never": never})


def test_options() -> None:
    assert parse(["conform", "numpy"]) == ConformOptions("numpy", None, 50)
    assert parse(["conform", "jax", "--device", "cpu", "--examples", "7"]) == ConformOptions("jax", "cpu", 7)


@pytest.mark.usefixtures("two_checks")
def test_plain_lines_then_the_table_then_the_reasons(weedout: Weedout, capfd: pytest.CaptureFixture[str]) -> None:
    before = settings.get_current_profile_name()
    assert weedout("conform", "numpy", "--examples", "7") == 1
    lines = capfd.readouterr().out.splitlines()
    assert [line.rpartition(" · ")[0] for line in lines[:2]] == ["signatures · passed", "never · failed"]
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


def test_whatever_a_backend_raises_is_a_failed_check() -> None:
    def check(backend: wc.backend.Backend, reference: wc.backend.Backend) -> None:
        raise ZeroDivisionError("by nothing")

    numpy = wc.load_backend("numpy")
    assert judge("check", check, numpy, numpy).reason == "ZeroDivisionError: by nothing"
