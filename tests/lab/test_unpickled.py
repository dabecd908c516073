"""Nothing is unpickled in a run, by no backend and no library beneath it: who writes a pickle can run code with it."""

import json
from pathlib import Path

import pytest

from tests.processes import SOON, run_python

# The audit hook is there before anything of ours is imported. The first process is stopped when it commits a group: it
# leaves a checkpoint, which the second one reads, and what it has compiled.
RUNS = """
import json, os, pickle, sys
found = []
sys.addaudithook(lambda event, given: event == "pickle.find_class" and found.append(given))
from unittest import mock
from weedout_core.lab.cli import main
from weedout_core.lab.run.run_folder import RunFolder

commands, stop = json.loads(os.environ["RUN"])
if stop:
    with mock.patch.object(RunFolder, "commit", side_effect=KeyboardInterrupt):
        codes = [main(commands[0])]
else:
    codes = [main(command) for command in commands]
in_the_run = len(found)
pickle.loads(pickle.dumps(os.getcwd))
print()
print(json.dumps([codes, found[:in_the_run], len(found) - in_the_run]))
"""
OPTIONS = ["--hidden", "8", "6", "--sparsity", "0.5", "--population", "4", "--generations", "2", "--repeats", "1"]
TRAINED = ["--epochs", "1", "--batch-size", "256", "--checkpoint-epochs", "1", "--save-parameters", "--out", "run"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["numpy", "torch", "torch_xla", "jax"])
def test_no_run_unpickles_anything_cold_or_warm(tmp_path: Path, name: str) -> None:
    needed = {"torch_xla": "torch_xla", "jax": "jax", "torch": "torch"}.get(name, "numpy")
    pytest.importorskip(needed, reason=f"{needed} is not installed: pip install 'weedout-core[{needed}]'")
    cache = ["--cache", "programs"] if name == "jax" else []
    arguments = ["paper", "--backend", name, *OPTIONS, *TRAINED, *cache]
    kept = tmp_path / "numba"
    kept.mkdir()
    commands = [arguments, *([["report", "run"]] if name == "numpy" else [])]
    for stop, ended in ((True, [130]), (False, [0] * len(commands))):
        environment = {"RUN": json.dumps([commands, stop]), "NUMBA_CACHE_DIR": str(kept)}
        environment |= {"XLA_FLAGS": SOON}
        said = run_python("-c", RUNS, folder=tmp_path, environment=environment)
        assert json.loads(said.splitlines()[-1]) == [ended, [], 1], "the 1 shows that the hook sees what is unpickled"
        assert not any(kept.iterdir()), "Numba keeps pickles"
    assert (tmp_path / "programs").is_dir() == (name == "jax")
    assert (tmp_path / "run" / "results.csv").is_file()
