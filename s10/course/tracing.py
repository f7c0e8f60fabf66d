"""The layers of any network, in order, read from the graph that autograd records.

Names of attributes and kinds of modules do not matter: what a network computes is what counts.
"""

import copy
import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn

from s10.runtime.errors import InputError

NAMES = {"NativeBatchNorm": "BN", "CudnnBatchNorm": "BN", "Relu": "ReLU", "Add": "+"}
# Steps that change a tensor's shape, or nothing.
SILENT = ("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Clone", "Alias", "ToCopy")
LONGEST = 300  # text; where branches branch, as in a DenseNet, it would grow exponentially


class Layer(NamedTuple):
    """One step as text; of a convolution also the number of output channels."""

    text: str
    channels: int | None = None


def trace(model: nn.Module) -> tuple[list[Layer], Tensor]:
    """The layers that an image passes in eval mode, and the output for 2 images of noise.

    Where two paths meet, the shorter one since they parted is called X, the other one is a
    branch: "X + (conv 3x3 (128) > BN > ReLU)". Dropout does nothing in eval mode and is not
    shown. A copy of the network is run; the network itself does not change.

    Raises:
        InputError: the output is not one tensor, or no gradient would reach the images.
    """
    model = copy.deepcopy(model).float().cpu().eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = images.requires_grad_() * 1  # A network may change its input in place.
    with torch.enable_grad():
        output = model(images)
    if not isinstance(output, Tensor):
        raise InputError(f"forward must return one tensor, not a {type(output).__name__}")
    # The path from the images to each node. A node was made after those that it uses.
    paths = {images.grad_fn: []}
    for node in sorted(_nodes(output.grad_fn), key=lambda node: node._sequence_nr()):
        inputs = [paths[parent] for parent, _ in node.next_functions if parent in paths]
        if len(inputs) == 1:
            paths[node] = inputs[0] + [(node, _layer(node))] * (_name(node) not in SILENT)
        elif inputs:
            paths[node] = _joined(node, *sorted(inputs, key=len))
    if output.grad_fn not in paths:
        raise InputError("no gradient reaches the images: is there argmax, detach or no_grad?")
    return [layer for _, layer in paths[output.grad_fn]], output.detach()


def join(layers: list[Layer]) -> str:
    """The layers in one line, of which a very long one is cut."""
    text = " > ".join(layer.text for layer in layers)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _nodes(last) -> set:
    """All nodes of the graph that ends at `last`."""
    found, new = set(), {last} - {None}
    while new:
        found |= new
        parents = {parent for node in new for parent, _ in node.next_functions}
        new = parents - found - {None}
    return found


def _name(node) -> str:
    name = node.name().rstrip("0123456789").removesuffix("Backward")
    return NAMES.get(name, name)


def _joined(node, path: list, *branches: list) -> list:
    """The path through a node where several meet: the shortest, and the others as branches."""
    scale = getattr(node, "_saved_alpha", 1)  # of torch.add
    sign = _name(node) if scale == 1 else f"+ {scale} *"
    for branch in branches:
        same = (a is b for (a, _), (b, _) in zip(path, branch, strict=False))
        common = sum(itertools.takewhile(bool, same))
        text = join([layer for _, layer in branch[common:]]) or "X"
        start = "" if common == len(path) else " from before X"
        path = [*path, (node, Layer(f"X {sign} ({text}){start}"))]
    return path


def _layer(node) -> Layer:
    """What a node on a single path does."""
    name, shape = _name(node), tuple(node._input_metadata[0].shape)  # of its output
    if name == "Convolution":
        channels, _, *kernel = node._saved_weight.shape
        usual = {"stride": (1, 1), "padding": tuple(side // 2 for side in kernel)}
        unusual = _unusual(node, **usual, dilation=(1, 1), groups=1)
        return Layer(f"conv {_sides(kernel)} ({channels}){unusual}", channels)
    if name == "MaxPool2DWithIndices":
        kernel = node._saved_kernel_size
        # A single window has no stride; if none was given, it is that of the kernel.
        usual = {"stride": kernel} if node._saved_stride and shape[2:] != (1, 1) else {}
        return Layer(f"MaxPool {_sides(kernel)}{_unusual(node, **usual, padding=(0, 0))}")
    if name in ("AdaptiveMaxPool2D", "Amax") and shape[2:] in ((), (1, 1)):
        return Layer(f"MaxPool {_sides(node._saved_self.shape[2:])}")  # By another name.
    return Layer(f"FC ({shape[-1]})" if name in ("Addmm", "Mm") else name)


def _sides(value) -> str:
    return "x".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _unusual(node, **usual) -> str:
    """Those settings of a convolution or pooling that are not as usual."""
    found = {name: getattr(node, f"_saved_{name}") for name in usual}
    return "".join(
        f", {name} {_sides(found[name])}" for name in usual if found[name] != usual[name]
    )
