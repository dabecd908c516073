"""Command lines drawn from a seed: every command, every option, and values of every kind, most of them wrong."""

import os
from collections.abc import Sequence
from dataclasses import fields as fields_of
from itertools import pairwise
from random import Random
from typing import Any, get_args

from weedout_core import SearchConfig, TrainConfig
from weedout_core._configs.checks import named_options
from weedout_core._configs.search_config import FitnessName, StrategyName
from weedout_core.lab.arms.judged import JudgeConfig
from weedout_core.lab.arms.named import METHODS, REFERENCES
from weedout_core.lab.commands import fields, options
from weedout_core.lab.commands.one_sentence import EMPTY
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.streams import printable

_EXPERIMENT = (ExperimentConfig, SearchConfig, TrainConfig)
#: The configurations whose fields are the options of a command.
OPTIONS: dict[str, tuple[type[Any], ...]] = {
    "paper": (*_EXPERIMENT, options.RunOptions),
    "judge": (*_EXPERIMENT, options.RunOptions, JudgeConfig, options.MethodOptions),
    "sweep": (*_EXPERIMENT, options.RunOptions, JudgeConfig, options.MethodOptions, options.VaryOptions),
    "plan": (*_EXPERIMENT, options.ProbeOptions),
    "report": (options.ReportOptions,),
    "compare": (options.CompareOptions,),
    "conform": (options.ConformOptions,),
    "doctor": (),
}

_WHOLE = ("0", "1", "2", "3", "8", "64", "-1", "1000000", "100000000000", "9" * 19, "9" * 40, "9" * 5000, "1_0", "٣")
_BROKEN = ("0.5", "0.25", "1.0", "-0.0", "nan", "inf", "-inf", "1e-320", "1e308", "1e309", "0x10", "1e3", "50%", "1/2")
_TEXT = (
    "", " ", "None", "none", "True", "-", "=", "x", "\x1b[31mred", "a\nb", "a\tb", "\udcff", "ü", "字", "\u202e",
    "x" * 5000, "[bold]", "{}", "%s", "'", '"', "$HOME", "*", "~",
)  # fmt: skip
_PLACES = (
    ".", "..", "/", "~", "new", "new/below", "file", "folder", "full", "run", "missing/below/below", "/dev/null",
    "/dev/full", "/proc/self", "n" * 300, "\udcff", "pipe", "circle",
)  # fmt: skip
_NETWORKS = (
    "mlp", "wrn-10-1", "wrn-16-2", "vgg-8", "vgg-1", "wrn-9-1", "wrn-10-0", "wrn-6000000004-1", "wrn-10-6000000000",
    "vgg-0", "vgg-900000000000", "vgg-9000000", "wrn-٣-1", "wrn-1000-1", "wrn-10-" + "9" * 5000, "vgg-" + "9" * 400,
    "WRN-10-1", "mine:model", "os:", ":", "mine:", "no.such:thing", "mine:raises", "mine:exits",
)  # fmt: skip
_DATA = ("digits", "mnist", "cifar10", "mine:data", "mine:raises", "mine:huge", "os:getcwd", "a:b:c", "..:x", "")
_BACKENDS = ("numpy", "jax", "torch", "torch_xla", "tpu", "abacus", "NumPy", "")
_SLICES = ("v5e:0x0", "v5e:2x2", "v5e:99999x99999", "v5e:", ":", "v5e:-1x2", "v4:2x2x1", "v5e:2x", "v99:2x2")
_VALUES: dict[str, tuple[str, ...]] = {
    "network": _NETWORKS,
    "dataset": _DATA,
    "backend": _BACKENDS,
    "name": _BACKENDS,
    "device": ("cpu", "gpu", "tpu", "cuda", "cpu:0"),
    "topology": _SLICES,
    "strategy": (*get_args(StrategyName), "mine:raises", "mine", "os:getcwd"),
    "fitness": (*get_args(FitnessName), "mine:raises", "mine", "os:getcwd"),
    "allocation": ("uniform", "global", "erk", "smart_ratio", "mine:counts", "mine:raises", "mine", ":", "os:getcwd"),
    "arm": ("mine:arm", "mine:raises", "snip", "mine", ":", "os:getcwd"),
    "methods": (*METHODS, *REFERENCES, "magic", "mine:arm"),
    "baseline": ("weedout", "control", *METHODS, *REFERENCES, "magic"),
    **dict.fromkeys(("out", "data_dir", "cache", "masks", "run", "runs"), _PLACES),
}


def line(seed: str) -> list[str]:
    """The arguments of a command; the same for the same seed."""
    random = Random(seed)
    command = random.choice([*("paper", "plan", "judge", "sweep") * 6, *OPTIONS])
    words = [command]
    every = [(config, name) for config in OPTIONS[command] for name in _names(config)]
    some = random.sample(every, min(len(every), random.choice((0, 1, 1, 2, 2, 3, 5))))
    if command not in ("report", "compare", "conform", "doctor") and random.random() < 0.8:
        words += ["--backend", random.choice(("numpy", "numpy", "jax", "torch"))]
    if command == "sweep" and random.random() < 0.8:
        words += _varied(random)
    for config, name in some:
        words += _option(config, name, random)
    if random.random() < 0.1:
        words.insert(
            random.randrange(len(words) + 1), random.choice((*_TEXT, "--help", "--version", "--x", "-h", "paper"))
        )
    return words


def names_in(words: Sequence[str]) -> set[str]:
    """What a sentence on a command line may name: its options, and its words as they are shown."""
    options = {word.partition("=")[0].lstrip("-").removeprefix("no-") for word in words if word[:2] == "--"}
    options |= {varied for before, varied in pairwise(words) if before == "--vary"}
    fields = {spelt for name in options for spelt in (name.replace("-", "_"), name.replace("_", "-"))}
    shown = {text[:40] for word in words for text in (printable(" ".join(word.split())), repr(word)[1:-1])}
    shown |= {word.partition("=")[2] for word in words if word[:2] == "--"}
    shown |= {text for word in words if not word.strip() for text in (repr(word), EMPTY)}
    shown |= {os.path.expanduser(word) for word in words if word[:1] == "~"}
    return {*fields, *shown, *({"name"} if words[0] == "conform" else ())} - {"", " "}


def _names(config: type[Any]) -> list[str]:
    if config in (*_EXPERIMENT, JudgeConfig, options.RunOptions, options.ProbeOptions):
        return [item.name for item in fields._chosen(config)]
    return [item.name for item in fields_of(config)]


def _varied(random: Random) -> list[str]:
    """An option that is varied, with values of every kind."""
    config = random.choice((*_EXPERIMENT, *_EXPERIMENT, options.RunOptions))
    name = random.choice(_names(config))
    times = range(random.choice((0, 1, 2, 2, 2, 3, 7)))
    values = [word for _ in times for word in _option(config, name, random)[1:] or ("yes", "no")]
    return ["--vary", fields._option_name(config, name), *values]


def _option(config: type[Any], name: str, random: Random) -> list[str]:
    own = named_options(config).get(name, ()) or _VALUES.get(name, ())
    hint = str(fields.get_type_hints(config)[name])
    pool = own or (("",) if hint == "<class 'bool'>" else (*_WHOLE, *_BROKEN))
    strange = (*_TEXT, *_WHOLE, *_BROKEN, *_PLACES)
    count = random.choice((0, 1, 2, 2, 3, 7)) if "tuple" in hint else 1
    values = [str(random.choice(pool if random.random() < 0.85 else strange)) for _ in range(count)]
    if name in ("methods", "name", "run", "runs"):
        return values
    option = f"--{fields._option_name(config, name)}".replace("_", random.choice("-_"))
    if hint == "<class 'bool'>":
        return [option.replace("--", random.choice(("--", "--", "--no-")), 1), *filter(None, values)]
    if len(values) == 1 and random.random() < 0.2:
        return [f"{option}={values[0]}"]
    return [option, *values]
