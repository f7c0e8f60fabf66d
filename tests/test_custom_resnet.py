"""The network is the assignment's, to the last parameter."""

import pytest
import torch
from torch import nn

from s10 import CustomResNet, InputError, network_summary


def test_has_the_parameters_of_the_assignment():
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


def test_the_order_is_conv_pool_norm_relu():
    kinds = [type(module) for module in CustomResNet().layer2]
    assert kinds == [nn.Conv2d, nn.MaxPool2d, nn.BatchNorm2d, nn.ReLU]
    block = [type(m) for m in CustomResNet().layer1[1].branch.modules() if not list(m.children())]
    assert block == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 2


def test_the_residual_adds_to_its_own_input():
    block = CustomResNet(width=4).layer1[1].eval()
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(2, 8, 16, 16)
    assert torch.equal(block(x), x)


def test_it_returns_logits_not_probabilities():
    torch.manual_seed(0)
    logits = CustomResNet(width=8)(torch.randn(8, 3, 32, 32))
    assert (logits < 0).any()
    assert not torch.allclose(logits.sum(1), torch.ones(8))
    assert not torch.allclose(logits.exp().sum(1), torch.ones(8))


def test_only_the_last_layer_has_a_bias():
    convolutions = [m for m in CustomResNet(width=4).modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 8
    assert all(m.bias is None for m in convolutions)
    assert CustomResNet(width=4).fc.bias is not None


@pytest.mark.parametrize("bad", [0, -1, 1.5, "64", True, None])
def test_a_senseless_width_is_refused(bad):
    with pytest.raises(InputError, match="width must be a whole number of at least 1"):
        CustomResNet(width=bad)


def test_the_summary_counts_and_leaves_the_model_alone():
    model = CustomResNet(width=4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    assert "Total params: 6,573,130" in network_summary(CustomResNet())
    network_summary(model)
    assert model.training
    assert torch.equal(torch.get_rng_state(), random_state) is False  # the model above drew
    random_state = torch.get_rng_state()
    network_summary(model)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
