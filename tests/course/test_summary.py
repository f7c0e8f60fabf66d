"""The table of a network's layers."""

import torch

from s10 import CustomResNet
from s10.course.summary import network_summary


def test_the_summary_counts_and_leaves_the_model_alone():
    model = CustomResNet(width=4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    count = sum(parameter.numel() for parameter in model.parameters())
    assert f"Total params: {count:,}" in network_summary(model)
    assert model.training
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
