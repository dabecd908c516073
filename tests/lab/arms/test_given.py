"""Masks and scores that a user hands over, in files too: what they are called, and what is refused with a remedy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import weedout_core as wc
from tests.lab.arms.tasks import NET, start, task
from weedout_core.errors import ConfigError, MaskError
from weedout_core.lab.arms.folder import from_folder
from weedout_core.lab.arms.starts import start_of

MASKS = {"hidden_0": np.arange(8) % 2 == 0, "hidden_1": np.arange(6) % 2 == 0}
PLANS = {0.5: wc.mask_plan(wc.mask_space(NET), 0.5), 0.8: wc.mask_plan(wc.mask_space(NET), 0.8)}


def as_type(dtype: Any) -> dict[str, np.ndarray]:
    return {site: mask.astype(dtype) for site, mask in MASKS.items()}


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint32, np.uint64, np.complex64, "U1"])
def test_the_dtype_that_was_handed_over_is_named_with_the_remedy(dtype: Any) -> None:
    """Other integers than 0 and 1 are as likely, such as ranks, and integers too large for a backend."""
    for arrays in (as_type(dtype), {site: (7 * mask).astype(dtype) for site, mask in as_type(np.int64).items()}):
        found = arrays["hidden_0"].dtype
        said = rf"got hidden_0: {found}, hidden_1: {found}\. For masks write mask.astype\(bool\), for scores"
        with pytest.raises(MaskError, match=said):
            start_of(arrays, task())
    with pytest.raises(MaskError, match="got hidden_0: int64, hidden_1: int64"):
        start_of({site: mask * 2**40 for site, mask in MASKS.items()}, task())


def test_integers_of_another_framework_and_lists_are_named_too() -> None:
    torch = pytest.importorskip("torch")
    for made in (lambda mask: torch.from_numpy(mask).long(), lambda mask: mask.astype(int).tolist()):
        with pytest.raises(MaskError, match=r"got hidden_0: int64, hidden_1: int64\. For masks"):
            start_of({site: made(mask) for site, mask in MASKS.items()}, task())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("made", [lambda mask: mask, np.zeros_like, np.ones_like], ids=["masks", "zeros", "ones"])
def test_floats_that_may_be_masks_are_not_taken_for_scores(dtype: Any, made: Any) -> None:
    arrays = {site: made(mask).astype(dtype) for site, mask in MASKS.items()}
    with pytest.raises(MaskError, match=r"0 or 1 may be either\. For masks write mask.astype\(bool\); .* score - 0.5"):
        start_of(arrays, task())
    assert start_of({site: array - dtype(0.5) for site, array in arrays.items()}, task()).scores is not None


def test_a_site_of_equal_scores_beside_another_is_taken() -> None:
    """A site may be dead under a training, so that its gradients are 0."""
    found = start_of({"hidden_0": np.zeros(8), "hidden_1": np.arange(6.0)}, task())
    assert found.scores is not None
    assert {site: int(mask.sum()) for site, mask in (found.network.mask or {}).items()} == PLANS[0.5].kept


# Files


def write(folder: Path, name: str, arrays: Any = MASKS) -> Path:
    folder.mkdir(exist_ok=True)
    save_file({site: np.ascontiguousarray(array) for site, array in arrays.items()}, folder / name)
    return folder


def refused(folder: Path, repeats: int = 1, error: type[Exception] = ConfigError) -> str:
    with pytest.raises(error) as caught:
        from_folder(folder, {0.5: PLANS[0.5]}, repeats)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_folder_is_told_apart_from_one_without_files(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'absent'} cannot be read: No such file or directory. Name the folder" in refused(
        tmp_path / "absent"
    )
    assert f"{tmp_path / 'file'} cannot be read: Not a directory. Name the folder" in refused(tmp_path / "file")
    first = tmp_path / "empty" / "sparsity-0.5-repeat-0.safetensors"
    assert f"1 of 1 is missing, first {first}. Write it, or" in refused(tmp_path / "empty")
    (tmp_path / "empty" / "masks.npz").touch()
    assert f"2 of 2 are missing, first {first}, and the folder has masks.npz. Write it" in refused(
        tmp_path / "empty", 2
    )


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("sparsity-0.50-repeat-0.safetensors", "sparsity-0.5-repeat-0.safetensors"),
        ("sparsity-.5-repeat-00.safetensors", "sparsity-0.5-repeat-0.safetensors"),
        ("sparsity-5e-1-repeat-3.safetensors", "sparsity-0.5-repeat-3.safetensors"),
        ("Sparsity-0.8-Repeat-1.SafeTensors", "sparsity-0.8-repeat-1.safetensors"),
        ("masks_0.5_0.safetensors", "sparsity-0.5-repeat-0.safetensors"),
    ],
)
@pytest.mark.parametrize("complete", [False, True])
def test_a_file_of_another_name_is_named_with_the_name_it_needs(
    tmp_path: Path, name: str, right: str, complete: bool
) -> None:
    """Beside files of all cells too: it may be what was meant."""
    if complete:
        write(tmp_path / "mine", "sparsity-0.5-repeat-0.safetensors")
    said = refused(write(tmp_path / "mine", name))
    assert f"such as {right}; {tmp_path / 'mine'} has {name}. Rename it, or move it" in said


def test_files_of_other_cells_and_of_other_kinds_are_left_alone(tmp_path: Path) -> None:
    for name in ("sparsity-0.5-repeat-0", "sparsity-0.5-repeat-1", "sparsity-0.8-repeat-0", "sparsity-1e-05-repeat-12"):
        write(tmp_path / "mine", f"{name}.safetensors")
    for name in (".DS_Store", "._sparsity.safetensors", "README.md"):
        (tmp_path / "mine" / name).touch()
    assert start(from_folder(tmp_path / "mine", {0.5: PLANS[0.5]}, 1)).network.mask is not None


def test_what_is_wrong_in_a_file_has_a_remedy(tmp_path: Path) -> None:
    name, wrong = "sparsity-0.5-repeat-0.safetensors", as_type(np.int64)
    assert "got hidden_0: int64, hidden_1: int64. For masks" in refused(
        write(tmp_path / "mine", name, wrong), error=MaskError
    )
    assert "may be either. For masks write" in refused(
        write(tmp_path / "mine", name, as_type(np.float32)), error=MaskError
    )
    (tmp_path / "mine" / name).write_bytes(b"no masks")
    assert "header too large). Write it again with safetensors.numpy.save_file" in refused(tmp_path / "mine")


def test_types_of_float_that_numpy_has_not_are_refused_with_a_remedy(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save

    (tmp_path / "mine").mkdir()
    rated = {site: torch.arange(float(len(mask))).bfloat16() for site, mask in MASKS.items()}
    save(rated, tmp_path / "mine" / "sparsity-0.5-repeat-0.safetensors")
    assert (
        "(BF16). Write it again with safetensors.numpy.save_file, masks as booleans and scores as float32"
        in refused(tmp_path / "mine")
    )


@pytest.mark.parametrize(
    ("name", "called"),
    [("mine", "mine"), ("my-masks", "my_masks"), ("v1.2 (new)", "v1_2__new_"), ("2024", "_2024"), ("größe", "größe"),
     ("a²", "a_")],
)  # fmt: skip
def test_an_arm_is_called_as_its_folder_is_with_underscores(tmp_path: Path, name: str, called: str) -> None:
    folder = write(tmp_path / name, "sparsity-0.5-repeat-0.safetensors")
    assert from_folder(folder, {0.5: PLANS[0.5]}, 1).name == called
    assert called.isidentifier()
