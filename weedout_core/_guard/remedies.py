"""What to hand in where something else was given: a part of it, or a record that a function of the library makes."""

from collections.abc import Callable, Mapping
from typing import Any, cast

#: Where a record comes from, by the name of its class.
_MADE_BY: Mapping[str, str] = {
    "Network": "Make one by wc.mlp, wc.vgg, wc.wide_resnet or, layer by layer, wc.Network. Of a model of another "
    "library wc.adopt makes one (docs/adopt.md).",
    "Subnetwork": "Take the .network of what wc.search, wc.draw_control or wc.train returns, or make one of a "
    "network, weights and masks: wc.Subnetwork(net, params, mask).",
    "SearchConfig": "Make one by wc.SearchConfig.",
    "TrainConfig": "Make one by wc.TrainConfig.",
    "Trained": "Hand in the whole of what wc.train returned.",
    "SearchResult": "Hand in the whole of what wc.search returned.",
    "LimitedTraining": "Make one by wc.backend.LimitedTraining(examples, plan, steps, key).",
    "Generation": "Hand in generations of the .history of what wc.search returned.",
    "MaskPlan": "Make one by wc.mask_plan(wc.mask_space(net), sparsity).",
    "CompactedNetwork": "Make one by wc.compact.",
    "Room": "Take it from wc.backend.known_room, counted_room or likely_room.",
    "Backend": "Give the name of a backend, or what wc.load_backend returns.",
    "SearchState": "Take it from wc.ask_tell.init or wc.ask_tell.tell.",
    "Population": "Take it from wc.ask_tell.ask.",
    "Origin": "Make one by wc.backend.Origin(generation, candidate).",
    "ScoredBatch": "Make one by wc.backend.ScoredBatch.",
    "Scoring": "Make one by wc.backend.Scoring.",
    "ParameterSpec": "Make them by wc.nn.he_normal(net).",
    "TrainPlan": "Make one by wc.backend.train_plan.",
    "TrainState": "Take it from the train_init or train_epoch of the backend.",
    "Batches": "Make them by wc.backend.epoch_batches.",
    "Pairs": "Make one by Pairs(method, baseline, sparsity, accuracies, baseline_accuracies).",
    "Dense": "Layers are those of wc.nn, such as wc.nn.Dense: write a layer of another library as these.",
}


def made_by(classes: tuple[type[Any], ...]) -> str:
    """A sentence on where a record of one of these classes comes from; "" where nothing is known."""
    return " ".join(_MADE_BY[one.__name__] for one in classes if one.__name__ in _MADE_BY)


def part_of(value: Any, fits: Callable[[Any], bool]) -> str:
    """A sentence that names the attributes that fit in place of the value, or of one of its attributes; "" if none."""
    held = _attributes(value)
    within = {f"{name}{deeper}": part for name, one in held.items() for deeper, part in _attributes(one).items()}
    for parts in (held, within):
        if names := [name for name, part in parts.items() if fits(part)]:
            return f"Pass its {' or '.join(names)}."
    return ""


def _attributes(value: Any) -> dict[str, Any]:
    """The fields of a record, or what an object has, by ".name"."""
    names = cast(Any, getattr(value, "_fields", None) or getattr(value, "__dict__", ()))
    return {f".{name}": getattr(value, name) for name in names if not name.startswith("_")}
