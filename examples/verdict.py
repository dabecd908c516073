"""Is a method better than a random choice? Weedout's winner and pruning by magnitude, on digits, over five seeds."""

from sklearn.datasets import load_digits

import weedout_core as wc
from weedout_core.lab.verdict.decisions import Pairs, decide

BACKEND, SPARSITY = "jax", 0.8
x, y = load_digits(return_X_y=True)
validation, training, test = [(x[part] / 16, y[part]) for part in (slice(300), slice(300, 1500), slice(1500, None))]
net = wc.mlp(inputs=64, hidden=(256, 256), classes=10)
plan = wc.mask_plan(wc.mask_space(net), SPARSITY)

print(f"{SPARSITY:.0%} of the nodes removed; test accuracy after training")
print("seed   winner  magnitude   random")
accuracies = {"winner": [], "magnitude": [], "random": []}
for seed in range(5):
    key = wc.key(seed)
    winner = wc.search(net, validation, sparsity=SPARSITY, backend=BACKEND, key=key).network
    random = wc.draw_control(net, sparsity=SPARSITY, backend=BACKEND, key=key).network
    # All three start from the same weights: those of this key's parent.
    masks = wc.masks_from_scores(wc.scores.magnitude(net, random.params), plan, key)
    starts = [winner, wc.Subnetwork(net, random.params, masks), random]
    trained = wc.train_together(starts, training, backend=BACKEND, keys=[key] * 3)
    measured = wc.evaluate_together([one.network for one in trained], test, backend=BACKEND)
    for found, one in zip(accuracies.values(), measured, strict=True):
        found.append(one.accuracy)
    print(f"{seed:4} {measured[0].accuracy:8.1%} {measured[1].accuracy:10.1%} {measured[2].accuracy:8.1%}")

methods = ("winner", "magnitude")
pairs = [Pairs(method, "random", SPARSITY, accuracies[method], accuracies["random"]) for method in methods]
for finding in decide(pairs, look=5, looks=(5,)).findings:
    print(finding.sentence)
