"""The network is the assignment's, to the last parameter."""

import pytest
import torch
from torch import nn

from s10 import CustomResNet, InputError


def test_it_has_the_parameters_of_the_assignment():
    # era1-s10 states "under 6573k"; 6,573,120 and ten biases of the FC follow from its layers.
    assert sum(p.numel() for p in CustomResNet().parameters()) == 6_573_130


@pytest.mark.parametrize(("width", "classes"), [(4, 2), (16, 10), (24, 7)])
def test_width_and_classes_scale_it(width, classes):
    model = CustomResNet(classes, width)
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, classes)
    assert model.fc.in_features == 8 * width


def test_layers_have_the_shapes_of_the_assignment():
    model = CustomResNet().eval()
    shapes = {}
    for name in ("prep", "layer1", "layer2", "layer3", "pool"):
        getattr(model, name).register_forward_hook(
            lambda module, inputs, output, name=name: shapes.update({name: tuple(output.shape[1:])})
        )
    model(torch.rand(1, 3, 32, 32))
    assert shapes == {
        "prep": (64, 32, 32),
        "layer1": (128, 16, 16),
        "layer2": (256, 8, 8),
        "layer3": (512, 4, 4),
        "pool": (512, 1, 1),
    }


def kinds(module: nn.Module) -> list[type]:
    """The types of the layers without children, in their order."""
    return [type(layer) for layer in module.modules() if not list(layer.children())]


def test_the_order_is_conv_pool_norm_relu():
    model = CustomResNet()
    conv_block = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    down_block = [nn.Conv2d, nn.MaxPool2d, nn.BatchNorm2d, nn.ReLU]
    assert kinds(model.prep) == conv_block
    assert kinds(model.layer1) == kinds(model.layer3) == down_block + 2 * conv_block
    assert kinds(model.layer2) == down_block


@pytest.mark.parametrize("layer", ["layer1", "layer3"])
def test_the_residual_is_added_to_the_blocks_own_input(layer):
    block = getattr(CustomResNet(width=4), layer)[1].eval()
    x = torch.randn(2, block.branch[0][0].in_channels, 16, 16)
    assert torch.equal(block(x), x + block.branch(x))
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(block(x), x)


def test_it_returns_logits_not_probabilities():
    torch.manual_seed(0)
    logits = CustomResNet(width=8)(torch.randn(8, 3, 32, 32))
    assert (logits < 0).any()
    assert not torch.allclose(logits.sum(1), torch.ones(8))
    assert not torch.allclose(logits.exp().sum(1), torch.ones(8))


def test_only_the_last_layer_has_a_bias():
    model = CustomResNet(width=4)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 8
    assert all(m.bias is None for m in convolutions)
    assert model.fc.bias is not None


@pytest.mark.parametrize("bad", [0, -1, 1.5, "64", True, None])
@pytest.mark.parametrize("name", ["width", "num_classes"])
def test_a_bad_size_is_refused(name, bad):
    with pytest.raises(InputError, match=f"{name} must be an integer of at least 1"):
        CustomResNet(**{name: bad})
