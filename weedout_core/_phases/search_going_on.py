"""What a training needs to go on with a search: checked before any work, and made from the result of that search."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from weedout_core._algorithm.schedule import TrainPlan
from weedout_core._configs.going_on import check_goes_on
from weedout_core._configs.planning import recorded, search_plan
from weedout_core._guard.splits import Split
from weedout_core._masks.allocation import Sparsity
from weedout_core._networks.examples import checked_examples, kept
from weedout_core._phases.ask_tell import SearchState, begun
from weedout_core._phases.beginning import SearchBeginning
from weedout_core._phases.bred import led_by
from weedout_core._phases.continuing import continued
from weedout_core._phases.digests import digest
from weedout_core._phases.search_phase import SearchResult, check_search
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._phases.throughout import MaskSearch, elite_mask, gone_on, rising_plans
from weedout_core._phases.trained import Trained
from weedout_core.errors import ConfigError


def mask_searches(
    networks: Sequence[Subnetwork],
    plan: TrainPlan,
    found: Sequence[SearchResult] | None,
    validation: Split | None,
    sparsity: Sparsity | None,
) -> tuple[MaskSearch, ...]:
    """The searches that go on while networks train, one for each; none where their masks stay as they are.

    Args:
        networks: one parent's, as they were found.
        plan: of the training.
        found: the search that found each.
        validation: what candidates are scored on.
        sparsity: of the last generation; None is that of the search.
    Raises:
        ConfigError: there is something to search and nothing to search with, or the one without the other; or a search
            cannot go on so.
        DataError: the validation split does not fit the network.
    """
    every = plan.config.search_epochs
    if not every:
        if found is not None or validation is not None or sparsity is not None:
            raise ConfigError(
                "found, validation and sparsity have no effect without search_epochs of at least 1. Leave them out."
            )
        return ()
    if found is None or validation is None:
        raise ConfigError(
            f"search_epochs={every} needs the search that goes on, and what candidates are scored on: hand in "
            "found=wc.search(...) and validation=(x, y)."
        )
    if plan.optimizer is not None:
        raise ConfigError(
            "search_epochs needs the built-in SGD: the state of another optimizer has the nodes of one mask."
        )
    if len(found) != len(networks):
        raise ConfigError(f"found must be one for each of {len(networks)} networks; got {len(found)}.")
    data = kept(checked_examples(networks[0].net, validation))
    searches: list[MaskSearch] = []
    for network, one in zip(networks, found, strict=True):
        began = _checked(network, one, len(data.y))
        initial = _initial(began)
        final = initial if sparsity is None else sparsity
        plans = rising_plans(network.net, initial, final, plan.config.generations, one.config)
        searches.append(MaskSearch(_state(network, one, began, initial), plans, data))
    return tuple(searches)


def facts_of(search: MaskSearch, one: SearchResult) -> str:
    """The digest of what decides the generations of a training: the search that goes on, the split, and the plans.

    Plans that are equal count once, so that a training may have more epochs than it began with.
    """
    plans = search.plans if len(set(search.plans)) > 1 else search.plans[:1]
    drawn = [[[site.kept, site.bound] for site in plan.sites] + [plan.total] for plan in plans]
    began = one.history[0].began
    facts = None if began is None else began._asdict() | {"config": asdict(began.config), "learning": None}
    text = json.dumps([facts, one.origin, drawn])
    scored = {f"fitness/{generation.generation}": generation.fitness for generation in one.history}
    return digest({**search.data._asdict(), **scored, "facts": np.frombuffer(text.encode(), np.uint8)})


def after(search: MaskSearch, trained: Trained) -> MaskSearch:
    """A search after the generations of a training that is resumed."""
    for generation in trained.generations:
        search = gone_on(search, generation.fitness)
    return search


def _checked(network: Subnetwork, one: SearchResult, examples: int) -> SearchBeginning:
    config, began = one.config, one.history[0].began if one.history else None
    elected = any(generation.elite == one.origin for generation in one.history)
    if began is None or not elected or network.net != one.network.net or recorded(config) != began.config:
        raise ConfigError("found must be what wc.search found for this very network. Hand in its result, unchanged.")
    check_search(network.net, config, examples)
    check_goes_on(config)
    return began


def _initial(began: SearchBeginning) -> Sparsity:
    """The sparsity of a search, one number where it is the same at all sites."""
    values = {value for _, value in began.sparsity}
    return values.pop() if len(values) == 1 else dict(began.sparsity)


def _state(network: Subnetwork, one: SearchResult, began: SearchBeginning, initial: Sparsity) -> SearchState:
    """The state after a search, led by its winner. Raises ConfigError if the network has another mask."""
    key = np.array(began.key, dtype=np.uint32)
    state = continued(begun(key, search_plan(network.net, initial, one.config), one.config), began, one.history)
    if one.origin != state.origins[0]:
        elites = [generation.elite for generation in one.history]
        bred = None if state.bred is None else led_by(state.bred, elites.index(one.origin))
        state = state._replace(origins=(one.origin, *state.origins[1:]), bred=bred)
    mask = network.mask or {}
    if any(not np.array_equal(kept, mask.get(site, ())) for site, kept in elite_mask(state).items()):
        raise ConfigError("a network must have the mask that its search found. Hand in found.network.")
    return state
