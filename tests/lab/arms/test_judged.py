"""What may be judged together: the names of arms, and the fields of a judgement."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.lab.arms.tasks import CONFIG, NET
from weedout_core.errors import ConfigError
from weedout_core.lab.arms.judged import JudgeConfig, Method, judged
from weedout_core.lab.arms.named import METHODS, REFERENCES
from weedout_core.lab.arms.starts import masked
from weedout_core.lab.experiment.arms import Arm

JUDGING = JudgeConfig(sparsity=(0.5,), repeats=(2,))


def names(*methods: Method) -> tuple[str, ...]:
    return judged(methods, CONFIG, JUDGING, NET)[1]


def function(name: str, folder: Path) -> Method:
    scope: dict[str, Any] = {}
    exec(f"def {name}(task): return {{}}", scope)
    return scope[name]


def of_files(name: str, folder: Path) -> Method:
    (folder / name).mkdir(exist_ok=True)
    masks = {"hidden_0": np.arange(8) % 2 == 0, "hidden_1": np.arange(6) % 2 == 0}
    for repeat in range(2):
        save_file(masks, folder / name / f"sparsity-0.5-repeat-{repeat}.safetensors")
    return folder / name


def an_arm(name: str, folder: Path) -> Method:
    return Arm(name, lambda task: masked(None, task), source="mine")


MAKERS = pytest.mark.parametrize("make", [function, of_files, an_arm], ids=["function", "folder", "arm"])


@MAKERS
@pytest.mark.parametrize("name", [*sorted({*METHODS, *REFERENCES}), "control", "train", "evaluate"])
def test_ones_own_arm_has_no_name_of_the_library_in_any_case(
    tmp_path: Path, make: Callable[[str, Path], Method], name: str
) -> None:
    for own in (name, name.upper(), name.title()):
        with pytest.raises(ConfigError, match=rf"no name of this library, .*; got '{own}', and there is '{name}'\. Re"):
            names(make(own, tmp_path))


@MAKERS
def test_names_that_differ_by_case_alone_are_refused(tmp_path: Path, make: Callable[[str, Path], Method]) -> None:
    with pytest.raises(ConfigError, match="differs from others by more than case; got 'Mine', and there is 'mine'"):
        names(make("mine", tmp_path), make("Mine", tmp_path))
    assert names(make("mine", tmp_path), make("other", tmp_path), "snip") == ("mine", "other", "snip")


def test_folders_that_give_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="each arm needs its own name; got 'my_masks' twice"):
        names(of_files("my-masks", tmp_path), of_files("my.masks", tmp_path))
