"""A strategy of evosax against the baseline: it moves scores of nodes, of which the highest are kept (pip: evosax)."""

import jax
import numpy as np
from evosax.algorithms import SNES
from sklearn.datasets import load_digits

import weedout_core as wc

SPARSITY, POPULATION, GENERATIONS = 0.8, 50, 20
x, y = load_digits(return_X_y=True)
validation, training, test = [(x[part] / 16, y[part]) for part in (slice(300), slice(300, 1500), slice(1500, None))]
net, key, backend = wc.mlp(inputs=64, hidden=(128, 128), classes=10), wc.key(0), wc.load_backend("jax")
plan = wc.mask_plan(wc.mask_space(net), SPARSITY)


def masks_of(population):
    """The masks of candidates from their scores, {site: (candidates, *shape)}: as many nodes as the plan keeps."""
    scores = {site: np.asarray(value) for site, value in population.items()}
    each = [wc.masks_from_scores({site: s[i] for site, s in scores.items()}, plan, key) for i in range(POPULATION)]
    return {site: np.stack([mask[site] for mask in each]) for site in scores}


strategy = SNES(POPULATION, {site: np.zeros(shape, np.float32) for site, shape in wc.mask_space(net).items()})
settings, best = strategy.default_params, (-np.inf, {})
state = strategy.init(jax.random.key(0), strategy.solution, settings)
params = backend.initialise(net, wc.random.fold_in(key, 0))  # those that the candidates of the search below share
for step in jax.random.split(jax.random.key(1), GENERATIONS):
    population, state = strategy.ask(step, state, settings)
    masks = masks_of(population)
    fitness = backend.to_numpy(backend.score(net, params, masks, *validation))
    state, _ = strategy.tell(step, population, -fitness, state, settings)  # evosax minimises
    elite = int(wc.ask_tell.select(fitness))
    best = max(best, (fitness[elite], {site: mask[elite] for site, mask in masks.items()}), key=lambda one: one[0])
config = wc.SearchConfig(population=POPULATION, generations=GENERATIONS, batch_policy="whole")
found = wc.search(net, validation, sparsity=SPARSITY, backend=backend, key=key, config=config).network
for name, start in {"evosax": wc.candidate(net, best[1], params), "Random Search": found}.items():
    before = wc.evaluate(start, validation, backend=backend).loss
    after = wc.evaluate(wc.train(start, training, backend=backend, key=key).network, test, backend=backend).accuracy
    print(f"{name:13}  validation loss before training {before:.3f}, test accuracy after training {after:.1%}")
