"""Does the search help? Weedout's winner against a random network, on handwritten digits, for five seeds."""

import numpy as np
from scipy import stats
from sklearn.datasets import load_digits

import weedout_core as wc

BACKEND, SPARSITY = "jax", 0.8
x, y = load_digits(return_X_y=True)
validation, training, test = [(x[part] / 16, y[part]) for part in (slice(300), slice(300, 1500), slice(1500, None))]
net = wc.mlp(inputs=64, hidden=(256, 256), classes=10)

print(f"{SPARSITY:.0%} of the nodes removed; test accuracy after training")
print("seed   winner  control  difference")
differences = []
for seed in range(5):
    key = wc.key(seed)
    winner = wc.search(net, validation, sparsity=SPARSITY, backend=BACKEND, key=key).network
    control = wc.draw_control(net, sparsity=SPARSITY, backend=BACKEND, key=key).network
    trained = wc.train_together([winner, control], training, backend=BACKEND, keys=[key, key])
    of_winner, of_control = (
        measured.accuracy for measured in wc.evaluate_together([one.network for one in trained], test, backend=BACKEND)
    )
    differences.append(of_winner - of_control)
    print(f"{seed:4} {of_winner:8.1%} {of_control:8.1%} {100 * differences[-1]:+7.1f} points")

interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
low, high = 100 * interval.low, 100 * interval.high
print(f"mean difference {100 * np.mean(differences):+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}")
verdict = "no difference is shown" if low <= 0 <= high else "better" if low > 0 else "worse"
print(f"the search against a random choice: {verdict}")
