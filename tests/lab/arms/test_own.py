"""Arms of the user's own: what a function may return, what is refused, and how a run tells two of them apart."""

import os
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import weedout_core as wc
from tests.lab.arms.tasks import NET, start, task
from weedout_core.errors import ConfigError, MaskError, RunError
from weedout_core.lab.arms.folder import from_folder
from weedout_core.lab.arms.own import imported_arm, own
from weedout_core.lab.code.functions import placed
from weedout_core.lab.data.own import own_data
from weedout_core.lab.experiment.arms import Start, Task
from weedout_core.lab.experiment.model import own_model

OTHER = wc.mlp(64, (9, 6), 10)
MASKS = {"hidden_0": np.arange(8) % 2 == 0, "hidden_1": np.arange(6) % 2 == 0}
SCORES = {"hidden_0": np.arange(8.0), "hidden_1": -np.arange(6.0)}


def mask_of(start: Start) -> dict[str, np.ndarray]:
    return dict(start.network.mask or {})


def returning(made: Any) -> Callable[[Task], Any]:
    def mine(task: Task) -> Any:
        return made(task) if callable(made) else made

    return mine


@pytest.mark.parametrize(
    "made",
    [
        MASKS,
        {site: mask.tolist() for site, mask in MASKS.items()},
        lambda task: wc.Subnetwork(task.net, task.params, MASKS),
        lambda task: wc.backend.Origin and wc.draw_control(task.net, sparsity=0.5, backend="numpy", key=task.key),
        lambda task: wc.search(
            task.net, task.validation, sparsity=0.5, backend="numpy", key=task.key, config=task.search
        ),
        {"hidden_0": np.arange(8) < 5, "hidden_1": np.arange(6) < 3},
    ],
    ids=["masks", "lists", "a network", "a control", "a search", "one node more"],
)
def test_masks_and_networks_are_taken(made: Any) -> None:
    found = start(own(returning(made)))
    assert found.scores is None
    assert found.network.net == NET
    assert abs(sum(int(mask.sum()) for mask in (found.network.mask or {}).values()) - 7) <= 2


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_of_scores_the_highest_are_kept(dtype: Any) -> None:
    found = start(own(returning({site: scores.astype(dtype) for site, scores in SCORES.items()})))
    assert found.network.mask is not None
    assert found.network.mask["hidden_0"].tolist() == [False] * 4 + [True] * 4
    assert found.network.mask["hidden_1"].tolist() == [True] * 3 + [False] * 3
    assert found.scores is not None


def test_arrays_of_another_framework_are_taken() -> None:
    torch = pytest.importorskip("torch")
    found = start(own(returning({site: torch.from_numpy(scores) for site, scores in SCORES.items()})))
    np.testing.assert_equal(mask_of(found), mask_of(start(own(returning(SCORES)))))


def raising(task: Task) -> Any:
    raise ZeroDivisionError("division by zero")


def writing(task: Task) -> Any:
    task.params["dense_0/kernel"][0, 0] = 1.0
    return MASKS


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (raising, "ZeroDivisionError: division by zero"),
        (writing, "ValueError: assignment destination is read-only"),
        (None, "it must return masks or scores.*got NoneType. The sites of the network are"),
        ([1, 2], "it must return masks or scores.*got list"),
        ({}, "masks, arrays of booleans, or scores, arrays of floats, at each site; got nothing"),
        ({"hidden_0": MASKS["hidden_0"]}, r"sites \['hidden_0', 'hidden_1'\]; got \['hidden_0'\]"),
        ({**MASKS, "hidden_2": MASKS["hidden_1"]}, r"got \['hidden_0', 'hidden_1', 'hidden_2'\]"),
        ({**MASKS, "hidden_1": np.ones(5, bool)}, r"site 'hidden_1' must have shape \(6,\); got \(5,\)"),
        ({**MASKS, "hidden_1": np.arange(6)}, "got hidden_0: bool, hidden_1: int"),
        ({site: mask.astype(int) for site, mask in MASKS.items()}, "got hidden_0: int.*, hidden_1: int"),
        ({**SCORES, "hidden_1": MASKS["hidden_1"]}, "got hidden_0: float64, hidden_1: bool"),
        ({**SCORES, "hidden_1": np.full(6, np.nan)}, "6 of the 6 of site 'hidden_1' are NaN"),
        ({**SCORES, "hidden_1": np.zeros((6, 1))}, r"scores of site 'hidden_1' must have shape \(6,\).*; got \(6, 1\)"),
        ({site: np.ones_like(mask) for site, mask in MASKS.items()}, "must keep 7 of 14 nodes.*these keep 14"),
        ({site: np.zeros_like(mask) for site, mask in MASKS.items()}, "must keep 7 of 14 nodes.*these keep 0"),
        (lambda task: wc.Subnetwork(task.net, task.params), "must keep 7 of 14 nodes.*these keep 14"),
        (lambda task: wc.draw_control(OTHER, sparsity=0.5, backend="numpy", key=task.key), "another parent"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence_that_names_the_arm_and_the_cell(made: Any, said: str) -> None:
    with pytest.raises(RunError, match=f"^the arm mine failed at sparsity 0.5, repeat 0.*: .*{said}") as caught:
        start(own(returning(made)))
    assert "\n" not in str(caught.value)


def test_what_another_library_writes_to_is_noticed() -> None:
    torch = pytest.importorskip("torch")

    def through(task: Task) -> Any:
        torch.from_numpy(task.train.x).view(-1)[0] += 1.0
        return MASKS

    before = float(task().train.x.flat[0])
    try:
        with pytest.warns(UserWarning, match="not writable"), pytest.raises(RunError, match="changed an array"):
            start(own(through))
    finally:
        torch.from_numpy(task().train.x).view(-1)[0] = before


class Called:
    """What can be called and is no function."""

    def __call__(self, task: Task) -> Any:
        return MASKS

    def bound(self, task: Task) -> Any:
        return MASKS


NO_FUNCTIONS = [len, 3, "name", Called, Called(), Called().bound, partial(Called().bound), MASKS]


@pytest.mark.parametrize("function", NO_FUNCTIONS)
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_function_is_refused(function: Any) -> None:
    with pytest.raises(ConfigError, match=r"the arm .* must be a function; got .*\. Wrap it"):
        own(function)
    for what in ("model", "dataset"):
        with pytest.raises(ConfigError, match=f"a {what} of your own must be a function; got"):
            placed(function, what)
    with pytest.raises(ConfigError, match="the model mine must be a function; got"):
        own_model("mine", function, 0, wc.load_backend("numpy"))
    with pytest.raises(ConfigError, match="the dataset mine must be a function; got"):
        own_data("mine", function)


def test_what_a_decorator_made_of_a_function_is_one() -> None:
    assert own(cache(of_a_default)).source == own(of_a_default).source != ""
    assert placed(cache(of_a_default), "dataset") == f"{__name__}:of_a_default"


async def waiting(task: Task) -> Any:
    return MASKS


async def streaming(task: Task) -> Any:
    yield MASKS


def yielding(task: Task) -> Any:
    yield MASKS


def of_two(task: Task, scale: float) -> Any: ...


def of_none() -> Any: ...


def of_names(task: Task, *, scale: float) -> Any: ...


@pytest.mark.parametrize("function", [waiting, streaming, yielding, of_two, of_none, of_names])
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_called_with_a_task_is_refused_at_once(function: Any) -> None:
    with pytest.raises(ConfigError, match=f"the arm {function.__name__} must (return masks|take one argument)"):
        own(function)


def of_a_default(task: Task, scale: float = 1.0) -> Any:
    return MASKS


@pytest.mark.parametrize("function", [of_a_default, lambda *tasks: MASKS, lambda **others: MASKS])
def test_more_arguments_may_have_defaults(function: Any) -> None:
    if function.__code__.co_argcount or function.__code__.co_flags & 4:
        assert start(own(function, "mine")).network.net == NET
    else:
        with pytest.raises(ConfigError, match="must take one argument"):
            own(function, "mine")


def by_luck(task: Task) -> Any:
    return {site.site: np.random.default_rng().random(site.shape) for site in task.plan.sites}


CALLS = count(1)


def by_count(task: Task) -> Any:
    number = next(CALLS)
    return {site.site: number * np.arange(site.nodes) % 7.0 for site in task.plan.sites}


@pytest.mark.parametrize("function", [by_luck, by_count])
def test_what_differs_from_call_to_call_is_refused(function: Any) -> None:
    with pytest.raises(RunError, match=f"^the arm {function.__name__} chose something else when it was called a sec"):
        start(own(function))


def asserting(task: Task) -> Any:
    raise AssertionError


def far_away(task: Task) -> Any:
    return wc.mask_plan(wc.mask_space(task.net), 7.0)


def at_length(task: Task) -> Any:
    raise ValueError("a\nb" * 1000)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (asserting, r": AssertionError"),
        (far_away, r": .*sparsity must be .*"),
        (at_length, r": ValueError: a b.{390,410}\.\.\."),
    ],
)
def test_a_failure_says_what_and_where_in_the_users_file(function: Any, said: str) -> None:
    line = function.__code__.co_firstlineno + 1
    file = Path(__file__).relative_to(Path.cwd())
    with pytest.raises(
        RunError, match=f"^the arm {function.__name__} failed at sparsity 0.5, repeat 0, in {file}, line {line}{said}$"
    ):
        start(own(function))


def test_an_arm_that_leaves_the_folder_is_brought_back(tmp_path: Path) -> None:
    here = Path.cwd()

    def leaving(task: Task) -> Any:
        assert Path.cwd() == here
        os.chdir(tmp_path)
        return MASKS

    assert start(own(leaving)).network.mask is not None
    assert Path.cwd() == here


MODULE = """def by_index(task):
    return {site.site: __import__("numpy").arange(float(site.nodes)).reshape(site.shape) for site in task.plan.sites}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_a_function_is_found_in_the_present_folder(folder: Path) -> None:
    (folder / "of_the_user.py").write_text(MODULE + "import os\nos.chdir('/')\nalias = lambda task: by_index(task)\n")
    arm = imported_arm("of_the_user:by_index")
    assert arm.name == "by_index"
    assert Path.cwd() == folder
    assert start(arm).network.mask is not None
    assert imported_arm("of_the_user:alias").name == "alias"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("of_another", r"must be package.module:function.*Write of_another:function\."),
        (":by_index", "must be package.module:function, such as my_methods:by_degree; got ':by_index'.$"),
        ("of_another:", r"must be package.module:function.*Write of_another:function\."),
        ("of_another.py:number", r"must be package.module:function.*Write of_another:number\."),
        ("./of_another:number", r"must be package.module:function.*Write of_another:number\."),
        ("of/another.py:number", r"must be package.module:function.*Write of.another:number\."),
        ("../of_another:number", r"must be package.*Run the command in the folder \.\., with of_another:number\.$"),
        ("/a-b/of_another.py:", r"must be package.*Run the command in the folder /a-b, with of_another:function\.$"),
        ("of_another.number", r"an arm of your own must be .*; got 'of_another\.number'\. Write of_another:number\.$"),
        ("of_another.py", r"must be package.module:function.*Write of_another:function\."),
        ("of_nobody:f", "there is no module of_nobody. Run the command in the folder of of_nobody.py, or install"),
        ("of_nobody.at_all:f", "there is no module of_nobody. Run the command in the folder of of_nobody.py"),
        ("package.at_all:f", "cannot be imported: there is no module package.at_all.$"),
        ("needy:f", "cannot be imported, in needy.py, line 1: ModuleNotFoundError: No module named 'of_nobody'$"),
        ("broken:f", r"cannot be imported: SyntaxError: '\(' was never closed \(broken.py, line 1\)$"),
        ("raising:f", "cannot be imported, in raising.py, line 2: ZeroDivisionError: division by zero$"),
        ("a_script:f", "cannot be imported, in a_script.py, line 1: SystemExit: 0"),
        ("of_another:missing", r"does not exist: of_another has no missing\. Write the function there\.$"),
        ("with_functions:ratee", r"with_functions has no ratee\. Name what it has: rate, other\.$"),
        ("of_another:number", r"the arm of_another:number must be a function; got 3\. Wrap it in a function that is"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_function_that_is_not_there_is_one_sentence(folder: Path, place: str, said: str) -> None:
    (folder / "broken.py").write_text("def by_index(task:\n")
    (folder / "raising.py").write_text("\n1 / 0\n")
    (folder / "needy.py").write_text("import of_nobody\n")
    (folder / "a_script.py").write_text("raise SystemExit(0)\n")
    (folder / "of_another.py").write_text("number = 3\n")
    (folder / "with_functions.py").write_text("from os import getcwd\ndef rate(task): ...\ndef other(task): ...\n")
    (folder / "package").mkdir()
    with pytest.raises(ConfigError, match=said):
        imported_arm(place)


# Masks in files

PLANS = {0.5: wc.mask_plan(wc.mask_space(NET), 0.5)}


def write(folder: Path, arrays: dict[str, np.ndarray], repeat: int = 0) -> Path:
    path = folder / "mine" / f"sparsity-0.5-repeat-{repeat}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(arrays, path)
    return path


@pytest.mark.parametrize("arrays", [MASKS, SCORES])
def test_a_folder_of_files_is_an_arm(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    write(tmp_path, arrays)
    arm = from_folder(tmp_path / "mine", PLANS, 1)
    assert arm.name == "mine"
    np.testing.assert_equal(mask_of(start(arm)), mask_of(start(own(returning(arrays)))))
    write(tmp_path, {site: array[::-1].copy() for site, array in arrays.items()})
    assert from_folder(tmp_path / "mine", PLANS, 1).source != arm.source


def test_missing_files_are_counted_before_any_work(tmp_path: Path) -> None:
    write(tmp_path, MASKS)
    write(tmp_path, MASKS, repeat=2)
    with pytest.raises(ConfigError, match=r"each of the 4 repeats; 2 of 4 are missing, first .*sparsity-0.5-repeat-1"):
        from_folder(tmp_path / "mine", PLANS, 4)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"hidden_0": MASKS["hidden_0"]}, "must be of the sites.*Give an entry for each node of every site"),
        ({**MASKS, "hidden_1": np.ones(5, bool)}, "must have shape"),
        ({**MASKS, "hidden_1": np.arange(6)}, "got hidden_0: bool, hidden_1: int64"),
        ({**SCORES, "hidden_1": np.full(6, np.nan)}, "are NaN"),
        ({site: np.ones_like(mask) for site, mask in MASKS.items()}, "these keep 14, sparsity 0"),
    ],
)
def test_a_file_that_does_not_fit_is_named_before_any_work(tmp_path: Path, arrays: Any, said: str) -> None:
    path = write(tmp_path, arrays)
    with pytest.raises(MaskError, match=said) as caught:
        from_folder(tmp_path / "mine", PLANS, 1)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, MASKS)
    for content in (b"", b"no masks", path.read_bytes()[:-1]):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="must be a safetensors file of masks or scores") as caught:
            from_folder(tmp_path / "mine", PLANS, 1)
        assert str(path) in str(caught.value)
