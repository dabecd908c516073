"""Configurations: every error, what each reading sets, and the choices that they name."""

import dataclasses
import math
import pickle
from typing import Any, cast, get_args

import pytest

import weedout_core as wc
from weedout_core._algorithm.strategies import STRATEGIES
from weedout_core._configs.checks import named_options
from weedout_core._configs.search_config import FitnessName, StrategyName

EVERY_SEARCH_CHOICE = {1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 18, 24, 25, 27, 29}
EVERY_TRAIN_CHOICE = {12, 16, 20, 23, 26, 28}


def search_config(**fields: Any) -> wc.SearchConfig:
    return wc.SearchConfig(**fields)


def test_the_defaults_are_algorithm_1s() -> None:
    config = wc.SearchConfig()
    found = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    assert found == {
        "population": 100,
        "generations": 5,
        "patience": None,
        "budget": None,
        "reading": "algorithm1",
        "strategy": "random_search",
        "mutation": 0.05,
        "fitness": "negative_cross_entropy",
        "validation_batch": 1024,
        "batch_policy": "fresh",
        "elite": "rescore",
        "training_steps": 0,
        "trained_weights": "reset",
        "winner": "last_generation",
        "sampling": "exact",
        "allocation": "uniform",
        "weights": "shared",
        "fan": "fan_in",
        "winner_keeps": "mask_and_weights",
        "ties": "lowest_index",
        "not_finite": "never_selected",
        "fan_counts": "parent",
        "batch_norm": "batch",
        "precision": "highest",
        "chunk": None,
    }


def test_section_3_differs_in_fitness_winner_and_weights_alone() -> None:
    one, three = search_config(), search_config(reading="section3")
    assert (three.fitness, three.winner, three.weights) == ("accuracy", "best_overall", "per_candidate")
    same = dataclasses.replace(three, reading="algorithm1", fitness=one.fitness, winner=one.winner, weights=one.weights)
    assert same == one


@pytest.mark.parametrize("reading", ["algorithm1", "section3"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fitness", "negative_cross_entropy"),
        ("fitness", "accuracy"),
        ("winner", "last_generation"),
        ("winner", "best_overall"),
        ("winner", "rescored"),
        ("weights", "shared"),
        ("weights", "per_candidate"),
    ],
)
def test_a_given_field_overrides_the_reading(reading: str, field: str, value: str) -> None:
    config = search_config(reading=reading, **{field: value})
    assert getattr(config, field) == value
    others = {"fitness", "winner", "weights"} - {field}
    plain = search_config(reading=reading)
    assert all(getattr(config, other) == getattr(plain, other) for other in others)


@pytest.mark.parametrize("given", [{}, {"fitness": "accuracy"}, {"winner": "rescored", "weights": "shared"}])
def test_replacing_the_reading_is_refused_where_the_old_one_had_set_a_field(given: dict[str, str]) -> None:
    """Also of a copy, and where it was replaced before; what was written out stays."""
    read = {"fitness": "negative_cross_entropy", "winner": "last_generation", "weights": "shared"}
    config = search_config(**given)
    for one in (config, pickle.loads(pickle.dumps(config)), dataclasses.replace(config, population=7)):
        name = next(name for name in read if name not in given)
        with pytest.raises(wc.errors.ConfigError) as caught:
            dataclasses.replace(one, reading="section3")
        section3 = getattr(search_config(reading="section3"), name)
        assert str(caught.value) == (
            f"reading='section3' sets {name}={section3!r}; got {name}={read[name]!r}, which another reading had set. "
            f"Make a new SearchConfig for another reading, and pass {name} to keep its value."
        )
        written = read | given
        kept = dataclasses.replace(one, reading="section3", **written)
        assert dataclasses.replace(kept, population=100) == search_config(reading="section3", **written)


def test_replacing_a_field_keeps_what_the_reading_set() -> None:
    config = dataclasses.replace(search_config(reading="section3"), population=7)
    assert (config.population, config.fitness) == (7, "accuracy")


def test_configurations_are_frozen_and_equal_by_value() -> None:
    assert search_config() == search_config()
    assert hash(search_config()) == hash(search_config())
    assert hash(wc.TrainConfig()) == hash(wc.TrainConfig())
    with pytest.raises(dataclasses.FrozenInstanceError):
        search_config().population = 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"population": 1},
            "population must be an integer of at least 2 (one elite and one fresh candidate); got 1. Raise population.",
        ),
        (
            {"population": True},
            "population must be an integer of at least 2 (one elite and one fresh candidate); got True.",
        ),
        (
            {"population": 2.5},
            "population must be an integer of at least 2 (one elite and one fresh candidate); got 2.5.",
        ),
        ({"generations": 1.0}, "generations must be an integer of at least 1 or None; got 1.0."),
        ({"generations": 0}, "generations must be an integer of at least 1 or None; got 0."),
        ({"patience": 0}, "patience must be an integer of at least 1 or None; got 0."),
        ({"chunk": 0}, "chunk must be an integer of at least 1 or None; got 0."),
        ({"validation_batch": 0}, "validation_batch must be an integer of at least 1; got 0."),
        ({"population": 20, "budget": 19}, "budget must be at least the population, 20; got 19."),
        ({"generations": None}, "a search needs an end: set generations, patience or budget."),
        (
            {"elite": "cache"},
            'elite="cache" needs a batch that stays the same; got batch_policy="fresh". Use "fixed" or "whole".',
        ),
        ({"reading": "section2"}, "reading must be one of 'algorithm1', 'section3'; got 'section2'."),
        (
            {"strategy": "hill"},
            "strategy must be 'random_search', 'binary_tournament', 'one_plus_lambda', 'genetic', "
            "'successive_halving', or a function (key, plan, masks, fitness, count, mutation) -> masks {site: (count, "
            "nodes)}; got 'hill'.",
        ),
        ({"strategy": "genetic", "mutation": 0.0}, "mutation must be a finite number in (0, 1]; got 0.0."),
        (
            {"fitness": "f1"},
            "fitness must be 'negative_cross_entropy', 'accuracy', or a function (logits, labels) -> one float a "
            "candidate; got 'f1'.",
        ),
        ({"fitness": []}, "fitness must be 'negative_cross_entropy', 'accuracy', or a function (logits, labels) -> "),
        ({"winner": "first"}, "winner must be one of 'last_generation', 'best_overall', 'rescored'; got 'first'."),
        ({"weights": "zero"}, "weights must be one of 'shared', 'per_candidate'; got 'zero'."),
        ({"batch_policy": "new"}, "batch_policy must be one of 'fresh', 'fixed', 'whole'; got 'new'."),
        ({"elite": "drop"}, "elite must be one of 'rescore', 'cache'; got 'drop'."),
        ({"sampling": "some"}, "sampling must be one of 'exact', 'bernoulli'; got 'some'."),
        (
            {"allocation": "some"},
            "allocation must be 'uniform', 'global', 'erk', 'smart_ratio', or a function (space, sparsity) -> ",
        ),
        (
            {"allocation": 3},
            "allocation must be 'uniform', 'global', 'erk', 'smart_ratio', or a function (space, sparsity) -> ",
        ),
        (
            {"sampling": "bernoulli", "allocation": "global"},
            'allocation="global" needs sampling="exact"; got "bernoulli"',
        ),
        ({"fan": "both"}, "fan must be one of 'fan_in', 'fan_out'; got 'both'."),
        ({"fan_counts": "all"}, "fan_counts must be one of 'parent', 'kept'; got 'all'."),
        ({"batch_norm": "none"}, "batch_norm must be one of 'batch', 'running', 'recalibrated'; got 'none'."),
        ({"winner_keeps": "mask"}, "winner_keeps must be one of 'mask_and_weights'; got 'mask'."),
        ({"ties": "random"}, "ties must be one of 'lowest_index'; got 'random'."),
        ({"not_finite": "zero"}, "not_finite must be one of 'never_selected'; got 'zero'."),
        ({"precision": "low"}, "precision must be one of 'highest', 'default'; got 'low'."),
    ],
)
def test_a_search_configuration_that_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(wc.errors.ConfigError) as caught:
        search_config(**fields)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("end", [{"patience": 2}, {"budget": 200}, {"patience": 2, "budget": 200}])
def test_patience_or_a_budget_may_end_a_search_alone(end: dict[str, int]) -> None:
    assert search_config(generations=None, **end).generations is None


@pytest.mark.parametrize("policy", ["fixed", "whole"])
def test_the_elite_may_be_cached_where_the_batch_stays(policy: str) -> None:
    assert search_config(elite="cache", batch_policy=policy).elite == "cache"


def test_the_defaults_of_training_are_our_presets() -> None:
    config = wc.TrainConfig()
    found = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    assert found == {
        "epochs": 20,
        "batch_size": 128,
        "learning_rate": 0.05,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 5e-4,
        "decayed": "weights",
        "schedule": "cosine",
        "step_epochs": (),
        "step_factor": 0.2,
        "warmup_epochs": 0,
        "augmentation": "none",
        "batch_norm_group": 128,
        "compaction": True,
        "compute": "float32",
        "search_epochs": 0,
        "search_part": 1.0,
        "mask_in_testing": "same",
        "precision": "default",
    }


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": -1}, "epochs must be an integer of at least 0; got -1."),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1; got 0."),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0; got 0.0."),
        ({"learning_rate": math.nan}, "learning_rate must be a finite number above 0; got nan."),
        ({"learning_rate": math.inf}, "learning_rate must be a finite number above 0; got inf."),
        ({"momentum": 1.0}, "momentum must be a finite number in [0, 1); got 1.0."),
        ({"momentum": -0.1}, "momentum must be a finite number in [0, 1); got -0.1."),
        ({"weight_decay": -1e-9}, "weight_decay must be a finite number of at least 0; got -1e-09."),
        ({"weight_decay": math.inf}, "weight_decay must be a finite number of at least 0; got inf."),
        ({"step_factor": 0.0}, "step_factor must be a finite number above 0; got 0.0."),
        ({"step_epochs": (3, 0)}, "step_epochs[1] must be an integer of at least 1; got 0."),
        ({"step_epochs": (True,)}, "step_epochs[0] must be an integer of at least 1; got True."),
        (
            {"schedule": "step"},
            'schedule="step" and step_epochs, the epochs at which the rate falls, need each other; got '
            "schedule='step' and step_epochs=().",
        ),
        (
            {"step_epochs": (3,)},
            'schedule="step" and step_epochs, the epochs at which the rate falls, need each other; got '
            "schedule='cosine' and step_epochs=(3,).",
        ),
        ({"warmup_epochs": -1}, "warmup_epochs must be an integer of at least 0; got -1."),
        ({"warmup_epochs": 0.5}, "warmup_epochs must be an integer of at least 0; got 0.5."),
        ({"batch_norm_group": 0}, "batch_norm_group must be an integer of at least 1 or None; got 0."),
        ({"augmentation": "crop"}, "augmentation must be one of 'none', 'crop_flip'; got 'crop'."),
        ({"compute": "float16"}, "compute must be one of 'float32', 'bfloat16'; got 'float16'."),
        ({"schedule": "linear"}, "schedule must be one of 'cosine', 'step', 'constant'; got 'linear'."),
        ({"decayed": "none"}, "decayed must be one of 'weights', 'all'; got 'none'."),
        ({"mask_in_testing": "none"}, "mask_in_testing must be one of 'same'; got 'none'."),
        ({"precision": "low"}, "precision must be one of 'highest', 'default'; got 'low'."),
    ],
)
def test_a_train_configuration_that_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(wc.errors.ConfigError) as caught:
        wc.TrainConfig(**fields)
    assert str(caught.value) == message


def test_no_epochs_and_no_decay_are_fine() -> None:
    assert wc.TrainConfig(epochs=0, weight_decay=0.0, momentum=0.0).epochs == 0


@pytest.mark.parametrize(
    ("field", "typed", "advice"),
    [
        ("strategy", "one_plus_lamda", "Did you mean 'one_plus_lambda'?"),
        ("fitness", "accurcy", "Did you mean 'accuracy'?"),
        ("allocation", "globl", "Did you mean 'global'?"),
        ("fitness", "my_search.py", "Name a function of your own as package.module:function."),
    ],
)
def test_a_name_that_there_is_not_is_answered_with_what_may_be_meant(field: str, typed: str, advice: str) -> None:
    with pytest.raises(wc.errors.ConfigError) as caught:
        search_config(**{field: typed})
    assert str(caught.value).endswith(f"got {typed!r}. {advice}")


def test_the_choices_cover_the_rows_in_order() -> None:
    found = wc.choices(search_config(), wc.TrainConfig())
    rows = [choice.row for choice in found]
    assert rows == sorted(rows)
    assert set(rows) == EVERY_SEARCH_CHOICE | EVERY_TRAIN_CHOICE
    assert {choice.row for choice in wc.choices(search_config())} == EVERY_SEARCH_CHOICE
    assert {choice.row for choice in wc.choices(wc.TrainConfig())} == EVERY_TRAIN_CHOICE
    assert all(choice.point for choice in found), "each says what is being chosen"


def test_a_choice_shows_the_value_after_the_reading() -> None:
    by_field = {choice.field: choice for choice in wc.choices(search_config(reading="section3", patience=4))}
    assert by_field["SearchConfig.fitness"] == wc.Choice(1, "fitness", "SearchConfig.fitness", "accuracy")
    assert by_field["SearchConfig.patience"].value == 4
    assert by_field["SearchConfig.weights"].value == "per_candidate"
    assert "SearchConfig.chunk" not in by_field, "it changes no draw"


def test_fields_that_take_a_name_say_which() -> None:
    options = named_options(wc.SearchConfig)
    assert options["reading"] == ("algorithm1", "section3")
    assert set(options["winner"]) == {"last_generation", "best_overall", "rescored"}
    assert set(options["weights"]) == {"shared", "per_candidate"}
    assert "population" not in options
    for kind, config in ((wc.SearchConfig, search_config()), (wc.TrainConfig, wc.TrainConfig())):
        for name, allowed in named_options(kind).items():
            assert getattr(config, name) in allowed, f"the default of {name} must be one of its names"


@pytest.mark.parametrize("field", ["learning_rate", "momentum", "weight_decay", "step_factor"])
def test_what_is_no_number_is_an_error(field: str, unchecked: None) -> None:
    with pytest.raises(wc.errors.ConfigError, match=f"{field} must be a finite number"):
        wc.TrainConfig(**cast(Any, {field: "a"}))


def test_the_names_that_configurations_allow_are_the_functions_that_there_are() -> None:
    assert set(get_args(FitnessName)) == set(wc.backend.FITNESS)
    assert set(get_args(StrategyName)) == set(STRATEGIES)
