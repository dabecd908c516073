"""How networks are trained in the checks: every value of every option of SGD, and each two that meet."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from weedout_core._configs.train_config import TrainConfig
from weedout_core._networks.network import Network
from weedout_core.testing.cases import each_once
from weedout_core.testing.properties import combined

#: The plainest training: one weight matters no more than another, at one rate. The bounds are those of float32; a TPU
#: or GPU computes products in float32 only if it is asked to.
PLAINEST = TrainConfig(
    epochs=3, batch_size=8, learning_rate=0.1, momentum=0.0, nesterov=False, weight_decay=0.0, schedule="constant",
    batch_norm_group=None, precision="highest",
)  # fmt: skip

_MOMENTA = ({}, {"momentum": 0.9}, {"momentum": 0.5, "nesterov": True}, {"nesterov": True})
_DECAYS = ({}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "decayed": "all"})
_SCHEDULES = (
    {}, {"schedule": "cosine"}, {"schedule": "step", "step_epochs": (1, 2), "step_factor": 0.3},
    {"schedule": "step", "step_epochs": (2,), "step_factor": 1.5},
)  # fmt: skip
_WARM_UPS = ({}, {"warmup_epochs": 1}, {"warmup_epochs": 3})
_GROUPS = ({}, {"batch_norm_group": 4})
#: Only images may be normalised one by one.
_GROUPS_OF_IMAGES = (*_GROUPS, {"batch_norm_group": 1})
_CROPS = ({}, {"augmentation": "crop_flip"})
#: Of 24 examples: three batches; one, and four examples are left over; fewer than a batch.
_BATCHES = ({}, {"batch_size": 20}, {"batch_size": 32})
#: The options of a single step.
_OF_SGD = (_MOMENTA, _DECAYS, _SCHEDULES, _WARM_UPS)
_OF_IMAGES, _OF_OTHERS = (*_OF_SGD, _GROUPS_OF_IMAGES, _CROPS), (*_OF_SGD, _GROUPS)


class Course(NamedTuple):
    """How some networks are trained together.

    Attributes:
        net: their shape.
        config: the options of SGD.
        networks: how many there are, R; each has weights, statistics and velocities of its own.
        masked: whether they have masks.
    """

    net: Network
    config: TrainConfig
    networks: int = 2
    masked: bool = True

    def __repr__(self) -> str:
        """What differs from the plainest training."""
        return f"{self.networks} networks{'' if self.masked else ' without masks'}, {self.options or 'plain SGD'}"

    @property
    def options(self) -> str:
        """The fields that differ from the plainest training's."""
        mine, plain = vars(self.config), vars(PLAINEST)
        return ", ".join(f"{name}={value!r}" for name, value in mine.items() if value != plain[name])


def courses(nets: Iterable[Network]) -> list[Course]:
    """Courses in which each two options meet, and each option meets each network, or fewer; the plainest first."""
    images, flat = _by_inputs(nets)
    found = [*_of(images, *_OF_IMAGES, _BATCHES), *_of(flat, *_OF_OTHERS, _BATCHES)]
    return sorted(found, key=lambda course: len(course.options))


def rounded_steps(nets: Iterable[Network], products: dict[str, Any]) -> list[Course]:
    """Courses of a single step an epoch, for each network and each option: what SGD does is the same for all.

    ``products`` says what rounds the operands of products, such as {"compute": "bfloat16"}.
    """
    one_step = replace(PLAINEST, batch_size=24, **products)
    images, flat = _by_inputs(nets)
    rows = [row for some in ((images, *_OF_IMAGES), (flat, *_OF_OTHERS)) if some[0] for row in each_once(*some)]
    return [Course(net, replace(one_step, **_joined(options))) for net, *options in rows]


def _by_inputs(nets: Iterable[Network]) -> tuple[list[Network], list[Network]]:
    """Those of images, and the others."""
    images, flat = ([net for net in nets if (len(net.input_shape) == 3) is wanted] for wanted in (True, False))
    return images, flat


def _of(nets: list[Network], *options: Any) -> Iterator[Course]:
    for net, networks, masked, *chosen in combined(nets, (2, 1, 3), (True, False), *options):
        yield Course(net, replace(PLAINEST, **_joined(chosen)), networks, masked)


def _joined(options: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: value for option in options for name, value in option.items()}
