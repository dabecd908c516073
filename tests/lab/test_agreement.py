"""The whole command on the reference and on JAX: the same winners, nearly the same learning."""

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from weedout_core.lab.experiment.rows import CurveRow, ResultRow, from_csv

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("reading", ["algorithm1", "section3"])
def test_the_same_winners(
    weedout: Callable[..., int], small: list[str], small_jax: list[str], tmp_path: Path, reading: str
) -> None:
    assert weedout(*small, "--reading", reading, "--out", "numpy") == 0
    assert weedout(*small_jax, "--reading", reading, "--out", "jax") == 0
    one, two = (from_csv(ResultRow, (tmp_path / name / "results.csv").read_text(), "") for name in ("numpy", "jax"))
    assert len(one) == len(two) == 8
    for mine, theirs in zip(one, two, strict=True):
        assert mine[:5] == theirs[:5], "cell and origin"
        assert mine.fitness == pytest.approx(theirs.fitness, rel=1e-5)
        assert mine.test_accuracy == pytest.approx(theirs.test_accuracy, abs=0.01)
    for path in (tmp_path / "numpy" / "masks").iterdir():
        masks, other = load_file(path), load_file(tmp_path / "jax" / "masks" / path.name)
        assert masks.keys() == other.keys()
        assert all((masks[name] == other[name]).all() for name in masks), path.name
    first, second = (from_csv(CurveRow, (tmp_path / name / "curves.csv").read_text(), "") for name in ("numpy", "jax"))
    for mine, theirs in zip(first, second, strict=True):
        assert mine.loss == pytest.approx(theirs.loss, rel=1e-2)
