"""The table of a network's layers."""

import copy

import pytest
import torch
from torch import nn

from s10 import CustomResNet, InputError
from s10.course.summary import network_summary


def rows(model):
    """(Layer, output shape, parameters) of each row."""
    lines = network_summary(model).split("=" * 64)[1].strip("\n").splitlines()
    return [(line[:20].strip(), line[20:47].strip(), line[47:].strip()) for line in lines]


def test_the_summary_counts_and_leaves_the_model_alone():
    model = CustomResNet(width=4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    count = sum(parameter.numel() for parameter in model.parameters())
    text = network_summary(model)
    assert f"\nTotal params: {count:,}\nTrainable params: {count:,}\nNon-trainable" in text
    assert model.training
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert rows(model)[:3] == [
        ("Conv2d-1", "[-1, 4, 32, 32]", "108"),
        ("BatchNorm2d-2", "[-1, 4, 32, 32]", "8"),
        ("ReLU-3", "[-1, 4, 32, 32]", "0"),
    ]
    assert rows(model)[-1] == ("Linear-31", "[-1, 10]", "330")


def test_a_frozen_layer_is_not_trainable():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 2), nn.Linear(2, 3))
    model[1].requires_grad_(False)
    assert "Trainable params: 9\nNon-trainable params: 6,146" in network_summary(model)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_of_any_precision(dtype):
    model = CustomResNet(width=4)
    expected = network_summary(model)
    assert network_summary(model.to(dtype)) == expected
    assert model.fc.weight.dtype is dtype


class Reused(nn.Module):
    """One layer, used three times, by two parents."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)
        self.block = nn.Sequential(self.layer, nn.ReLU())
        self.scale = nn.Parameter(torch.ones(2))  # A parameter outside any layer counts, too.

    def forward(self, x):
        return self.layer(self.block(self.layer(x))).mean((2, 3))


def test_a_reused_layer_counts_once():
    model = Reused()
    model.layer.bias.requires_grad_(False)
    text = network_summary(model)
    assert "Total params: 14\nTrainable params: 11\nNon-trainable params: 3\n" in text


def test_a_model_without_parameters():
    with pytest.raises(InputError, match="no parameters"):
        network_summary(nn.Flatten())


def test_no_hook_stays_where_the_network_fails():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Linear(5, 5))
    with pytest.raises(RuntimeError):
        network_summary(model)
    assert model.training
    copied = copy.deepcopy(model)
    assert not any(layer._forward_hooks for each in (model, copied) for layer in each.modules())
