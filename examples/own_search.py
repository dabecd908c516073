"""Another search against the baseline: a hill climber that swaps nodes, given as many evaluations as Random Search."""

import numpy as np
from sklearn.datasets import load_digits

import weedout_core as wc

BACKEND, SPARSITY, POPULATION, GENERATIONS, SWAPS = "jax", 0.8, 50, 20, 4
x, y = load_digits(return_X_y=True)
validation, training, test = [(x[part] / 16, y[part]) for part in (slice(300), slice(300, 1500), slice(1500, None))]
net, key, generator = wc.mlp(inputs=64, hidden=(128, 128), classes=10), wc.key(0), np.random.default_rng(0)


def neighbours(mask):
    """The mask, and copies of it in which a few removed nodes of each site take the place of kept ones."""
    copies = {site: np.repeat(kept[None], POPULATION, axis=0) for site, kept in mask.items()}
    for site, rows in copies.items():
        for row in rows[1:]:
            row[generator.choice(np.flatnonzero(mask[site]), SWAPS, replace=False)] = False
            row[generator.choice(np.flatnonzero(~mask[site]), SWAPS, replace=False)] = True
    return copies


def climb(start):
    """Keep the fittest of a mask and its neighbours, again and again."""
    backend, mask = wc.load_backend(BACKEND), start.mask
    for _ in range(GENERATIONS):
        masks = neighbours(mask)
        fittest = int(wc.ask_tell.select(backend.to_numpy(backend.score(net, start.params, masks, *validation))))
        mask = {site: rows[fittest] for site, rows in masks.items()}
    return wc.Subnetwork(net, start.params, mask)


config = wc.SearchConfig(population=POPULATION, generations=GENERATIONS, batch_policy="whole")
found = wc.search(net, validation, sparsity=SPARSITY, backend=BACKEND, key=key, config=config).network
control = wc.draw_control(net, sparsity=SPARSITY, backend=BACKEND, key=key, config=config).network
for name, start in {"hill climbing": climb(control), "Random Search": found, "no search": control}.items():
    before = wc.evaluate(start, validation, backend=BACKEND).loss
    after = wc.evaluate(wc.train(start, training, backend=BACKEND, key=key).network, test, backend=BACKEND).accuracy
    print(f"{name:13}  validation loss before training {before:.3f}, test accuracy after training {after:.1%}")
