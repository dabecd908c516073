"""The networks of the checks: few, because a compiled backend compiles for each.

Each kind of layer stands first in a network, in a branch and in a shortcut, and behind another.
"""

from collections.abc import Iterator

from weedout_core._compaction.compaction import compact
from weedout_core._contract.record import Backend, missing_layers
from weedout_core._masks.plan import mask_plan
from weedout_core._networks.architectures import mlp
from weedout_core._networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gather,
    GlobalAveragePool,
    Mask,
    MaxPool,
    Relu,
    Residual,
    Scale,
    every_layer,
)
from weedout_core._networks.network import Network, mask_space

#: One with two hidden layers, one that rescales, one with a mask on its input images, a residual network with masks of
#: nodes and of channels and a stride that does not divide the image, one with pooling and an identity shortcut, one
#: with branches in branches and layers in shortcuts, and one with wide windows, long strides and a long image. In three
#: of them weights are masked too: of a dense layer between masks, of the logits and in a branch, and of a convolution.
NETWORKS = (
    mlp(7, (12, 9), 5),
    mlp(6, (10,), 3, rescale=True),
    Network(
        (
            Mask("image"), Flatten(), Dense("one", 11), Relu(), Mask("one"), Dense("two", 8, connections=True),
            Mask("two"), Dense("out", 4),
        ),
        (2, 3, 2),
    ),
    Network(
        (
            Conv("first", 4),
            BatchNorm("first_norm", momentum=0.5),
            Relu(),
            Mask("nodes"),
            Residual(
                (Conv("second", 5, stride=2), BatchNorm("second_norm"), Relu(), Mask("channels", granularity="channel"),
                 Conv("third", 5)),
                (Conv("shortcut", 5, kernel_size=1, stride=2),),
            ),
            GlobalAveragePool(),
            Mask("pooled"),
            Dense("out", 3),
        ),
        (5, 4, 2),
    ),
    Network(
        (
            Conv("first", 4, kernel_size=5),
            Relu(),
            Mask("channels", rescale=True, granularity="channel"),
            MaxPool(2),
            Residual((BatchNorm("norm", momentum=0.0, epsilon=1e-3), Relu(), Mask("inside"),
                      Conv("second", 4, kernel_size=1, connections=True))),
            Flatten(),
            Dense("out", 4, connections=True),
        ),
        (4, 6, 3),
    ),
    Network(
        (
            Dense("first", 9),
            Residual(
                (
                    Residual((Relu(), Mask("inner"), Mask("again"), Dense("one", 9))),
                    Residual((Mask("second_inner"), Dense("two", 9)), (Relu(),)),
                    BatchNorm("norm", epsilon=0.1), Relu(), Mask("main"), Dense("three", 9),
                ),
                (Mask("side", rescale=True), BatchNorm("side_norm", momentum=0.5, epsilon=0.1)),
            ),
            Residual((BatchNorm("last_norm", epsilon=0.1), Dense("four", 9)), (Relu(), Mask("last"))),
            Dense("out", 4),
        ),
        (6,),
    ),
    Network(
        (
            Conv("wide", 3, kernel_size=7), Relu(), Mask("nodes"), MaxPool(3),
            Conv("long", 4, kernel_size=5, stride=3, connections=True), Mask("channels", granularity="channel"), Relu(),
            GlobalAveragePool(), Dense("out", 3),
        ),
        (15, 6, 2),
    ),
)  # fmt: skip


#: One for each network, because each is a program to compile. No network keeps as many nodes as it loses at every site.
SPARSITIES = dict(zip(NETWORKS, (0.6, 0.3, 0.3, 0.5, 0.6, 0.4, 0.6), strict=True))


#: For products in bfloat16. Batch normalisation divides by a deviation: a large ε bounds what that makes of an error.
ROUNDED = (
    NETWORKS[0],
    Network(
        (
            Conv("first", 4),
            Relu(),
            Mask("channels", rescale=True, granularity="channel"),
            Conv("second", 5, stride=2),
            Relu(),
            GlobalAveragePool(),
            Mask("pooled"),
            Dense("out", 3),
        ),
        (5, 4, 2),
    ),
    Network(
        (
            Conv("first", 4),
            BatchNorm("norm", momentum=0.5, epsilon=1.0),
            Relu(),
            Mask("nodes"),
            GlobalAveragePool(),
            Dense("out", 3),
        ),
        (5, 4, 2),
    ),
)


#: No product stands before its batch normalisation, whose statistics show whatever else is rounded.
UNROUNDED = (
    Network(
        (
            Residual((Relu(),)),
            MaxPool(2),
            Mask("channels", rescale=True, granularity="channel"),
            GlobalAveragePool(),
            BatchNorm("norm", momentum=0.5, epsilon=1.0),
            Mask("pooled"),
            Dense("out", 3),
        ),
        (4, 4, 4),
    ),
)


#: Where all values of a window are equal if the first kernel is 0, and yet each would leave another gradient; and
#: batch normalisation whose ε is large enough for a channel that is constant.
TIED = (
    Network((Dense("one", 6), BatchNorm("norm", epsilon=1.0), Relu(), Mask("one"), Dense("out", 3)), (4,)),
    Network((Conv("one", 2, kernel_size=1), MaxPool(2), Mask("pooled"), Flatten(), Dense("out", 3)), (4, 6, 2)),
    Network((Conv("one", 2, kernel_size=1), MaxPool(3), Flatten(), Dense("out", 3)), (6, 3, 2)),
)


#: Networks from which compaction makes every kind of its layers: gathering from inputs and from the stream of a
#: residual network, and scaling by the factor of a mask that is gone or that follows another mask.
COMPACTABLE = (
    Network(
        (
            Mask("image", rescale=True),
            Flatten(),
            Dense("one", 12),
            Relu(),
            BatchNorm("norm", momentum=0.5, epsilon=0.1),
            Residual((Mask("branch", rescale=True), Dense("two", 12))),
            Relu(),
            Mask("sum"),
            Dense("out", 4),
        ),
        (2, 3, 2),
    ),
    Network(
        (
            Conv("first", 7),
            Residual(
                (BatchNorm("norm"), Relu(), Mask("branch", rescale=True, granularity="channel"), Conv("second", 7))
            ),
            BatchNorm("last_norm", momentum=0.5, epsilon=0.1),
            Relu(),
            Mask("sum", granularity="channel"),
            Flatten(),
            Relu(),
            Mask("nodes", rescale=True),
            Dense("out", 3),
        ),
        (3, 4, 2),
    ),
)  # fmt: skip


#: Two masks on the same stream keep 5 of 12 or 3 of 7 nodes each: together fewer than all, so that the rest is removed.
COMPACTED_SPARSITY = 0.6


#: Each kind of layer beside Dense, with as few others as can be, for the kinds that no larger network here has.
SMALL = {
    kind: Network((*layers, Dense("out", 3)), shape)
    for kind, layers, shape in (
        (Dense, (Dense("one", 4),), (3,)),
        (Relu, (Dense("one", 4), Relu()), (3,)),
        (Mask, (Dense("one", 4), Mask("one", rescale=True)), (3,)),
        (Scale, (Scale(0.3),), (3,)),
        (Gather, (Dense("one", 3), Gather("some", 4)), (3,)),  # some are taken twice
        (BatchNorm, (BatchNorm("norm", epsilon=0.1),), (3,)),
        (Residual, (Residual((Dense("one", 3),)), Residual((Dense("two", 4),), (Dense("three", 4),))), (3,)),
        (GlobalAveragePool, (GlobalAveragePool(),), (2, 3, 2)),
        (Flatten, (Flatten(),), (2, 3, 2)),
        (MaxPool, (MaxPool(2), Flatten()), (2, 4, 3)),
        (Conv, (Conv("one", 3), Flatten()), (3, 2, 2)),
    )
}


def networks(backend: Backend, among: tuple[Network, ...] = NETWORKS) -> tuple[Network, ...]:
    """The networks whose layers a backend computes; beside ``NETWORKS`` a small one for each kind that none has."""
    found = tuple(net for net in among if not missing_layers(backend, net))
    return found if among is not NETWORKS else (*found, *_for_the_rest(backend, found))


def _for_the_rest(backend: Backend, found: tuple[Network, ...]) -> Iterator[Network]:
    tried = {type(layer) for net in found for layer in every_layer(net.layers)}
    for kind, net in SMALL.items():
        if kind not in tried and not missing_layers(backend, net):
            yield net


def smaller(backend: Backend) -> dict[Network, Network]:
    """The compactable networks and the smaller networks made of them, where a backend computes the layers of both."""
    made = {net: compact(net, mask_plan(mask_space(net), COMPACTED_SPARSITY).kept).net for net in COMPACTABLE}
    return {net: small for net, small in made.items() if len(networks(backend, (net, small))) == 2}


def masked(nets: tuple[Network, ...]) -> tuple[Network, ...]:
    """Those with a mask, which can be searched."""
    return tuple(net for net in nets if mask_space(net))
