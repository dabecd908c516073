"""Few examples: the learning rate is wrong under some values of some options."""

from tests.mutants.body import FEW
from tests.mutants.witnesses import FLAT, trains

edit = FEW.edits("train_epoch", "training")

# The rate.
_COSINE = "math.cos(math.pi * t / total)"
for name, reason, new in (
    ("cosine_ends_at_zero", "the last rate is 0: t / (T - 1)", "math.cos(math.pi * t / max(total - 1, 1))"),
    ("cosine_a_step_ahead", "t is counted from 1", "math.cos(math.pi * (t + 1) / total)"),
    ("cosine_of_a_quarter", "cos(pi t / 2T): falls to a half", "math.cos(math.pi * t / total / 2)"),
    ("cosine_by_epochs", "the rate changes once an epoch", "math.cos(math.pi * (t // steps * steps) / total)"),
):
    edit(name, reason, trains(FLAT, schedule="cosine"), (_COSINE, new))
edit(
    "cosine_after_the_warm_up",
    "the cosine begins when the warm-up is over",
    trains(FLAT, schedule="cosine", warmup_epochs=1),
    (_COSINE, "math.cos(math.pi * max(t - warming, 0) / max(total - warming, 1))"),
)
_WARM = "warmth = (t + 1) / warming if"
edit(
    "warm_up_from_zero", "the first rate is 0: t / W", trains(FLAT, warmup_epochs=1), (_WARM, "warmth = t / warming if")
)
edit(
    "warm_up_a_step_longer",
    "(t + 1) / (W + 1)",
    trains(FLAT, warmup_epochs=1),
    (_WARM, "warmth = (t + 1) / (warming + 1) if"),
)
edit(
    "warm_up_of_steps",
    "warmup_epochs are taken for steps",
    trains(FLAT, warmup_epochs=1),
    ("config.warmup_epochs * steps", "config.warmup_epochs"),
)
edit(
    "warm_up_instead_of_the_schedule",
    "during the warm-up the cosine does not count",
    trains(FLAT, schedule="cosine", warmup_epochs=1),
    ("factor * warmth", "(factor if t >= warming else 1) * warmth"),
)
edit(
    "constant_without_warm_up",
    "a constant rate does not warm up",
    trains(FLAT, warmup_epochs=1),
    ("factor * warmth", 'factor * (1 if config.schedule == "constant" else warmth)'),
)
_STEPPED = trains(FLAT, epochs=3, schedule="step", step_epochs=(1, 2))
_DROPS = "config.step_factor ** sum(epoch >= begin for begin in config.step_epochs)"
for name, reason, new in (
    ("step_an_epoch_late", "the rate falls after the epoch, not at it", _DROPS.replace(">=", ">")),
    ("step_once", "it falls once, however many epochs are named", _DROPS.replace("sum(", "any(")),
    ("step_by_a_tenth", "it falls by 0.1, whatever the factor is", _DROPS.replace("config.step_factor", "0.1")),
    ("step_at_steps", "step_epochs are taken for steps", _DROPS.replace("epoch >=", "t >=")),
    ("step_at_one_epoch_alone", "it falls in the named epochs and rises again", _DROPS.replace(">=", "==")),
):
    edit(name, reason, _STEPPED, (_DROPS, new))
