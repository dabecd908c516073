"""One seed, one set of masks in every backend; and what compaction saves under a mask of channels."""

import hashlib

import numpy as np

import weedout_core as wc

net, key = wc.wide_resnet(16, 4, classes=10, granularity="channel"), wc.key(0)

print("SHA-256 of the bits of 100 masks, 80 % of the channels removed:")
for name in ("numpy", "jax", "torch", "torch_xla"):
    try:
        backend = wc.load_backend(name)
    except wc.errors.BackendNotInstalledError:
        print(f"  {name:10} is not installed")
        continue
    drawn = backend.sample_masks(key, wc.mask_space(net), sparsity=0.8, count=100)
    masks = {site: backend.to_numpy(mask) for site, mask in drawn.items()}
    digest = hashlib.sha256(b"".join(masks[site].tobytes() for site in sorted(masks))).hexdigest()
    print(f"  {name:10} {digest[:40]}")

sparse = wc.draw_control(net, sparsity=0.8, backend="numpy", key=key).network
small = sparse.compact()
print("one of these networks, masked and compacted:")
print(f"  multiply-adds {sparse.costs.macs:12,} {small.costs.macs:11,}")
print(f"  parameters    {sparse.costs.parameters:12,} {small.costs.parameters:11,}")

backend, images = wc.load_backend("numpy"), np.random.default_rng(0).normal(size=(2, 32, 32, 3))
logits = [backend.apply(one.net, one.params, images, one.mask, one.statistics) for one in (sparse, small)]
difference = abs(logits[0] - logits[1]).max() / abs(logits[0]).max()
print(f"  largest difference of their logits, relative to the largest logit: {difference:.0e}")
