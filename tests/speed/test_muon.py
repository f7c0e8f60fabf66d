"""Muon: PyTorch's own Muon and AdamW are the references, for the weights that they accept."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from s10 import CustomResNet, InputError
from s10.speed.muon import ADAM_LR_SCALE, COEFFICIENTS, Muon, orthogonalize


def random_matrix(rows, columns, seed, condition=30.0):
    """Singular values spread evenly from 1 to 1 / condition."""
    generator = torch.Generator().manual_seed(seed)
    u, _, v = torch.linalg.svd(torch.randn(rows, columns, generator=generator), full_matrices=False)
    return u @ torch.diag(torch.logspace(0, -1, len(v), base=condition)) @ v, u, v


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 99), st.floats(1e-6, 1e6))
def test_orthogonalize_keeps_the_directions_and_equalizes_the_singular_values(
    rows, columns, seed, scale
):
    matrix, u, v = random_matrix(rows, columns, seed)
    core = u.T @ orthogonalize(matrix * scale, 5 * COEFFICIENTS[:1]) @ v.T
    values = core.diagonal()
    assert (core - torch.diag(values)).abs().max() < 0.12
    assert values.min() > 0.5
    assert values.max() < 1.35


def test_three_iterations_equalize_all_but_the_faintest():
    matrix, u, v = random_matrix(24, 60, seed=1)
    before, after = (
        (u.T @ m @ v.T).diagonal() for m in (matrix / matrix.norm(), orthogonalize(matrix))
    )
    assert before.max() / before.min() > 29
    assert after.max() / after.min() < 2.7


def test_the_direction_is_that_of_pytorchs_own_muon():
    theirs_exists = getattr(torch.optim, "Muon", None)
    if theirs_exists is None:
        pytest.skip("this PyTorch has no Muon")
    weight = nn.Parameter(torch.zeros(12, 18))
    theirs = torch.optim.Muon([weight], lr=1.0, weight_decay=0.0, momentum=0.6, ns_steps=3)
    filters = nn.Parameter(torch.ones(12, 2, 3, 3))
    ours = Muon([filters], lr=1.0, momentum=0.6)
    for number in range(3):
        gradient = torch.randn(12, 18, generator=torch.Generator().manual_seed(number))
        before = weight.detach().clone()
        weight.grad, filters.grad = gradient, gradient.view_as(filters)
        length = filters.detach() * (12**0.5 / filters.detach().norm())
        theirs.step()
        ours.step()
        step, their_step = (filters.detach() - length).flatten(1), weight.detach() - before
        cosine = torch.cosine_similarity(step.flatten(), their_step.flatten(), 0)
        # Theirs keeps a running mean, ours a sum; only the direction is the same.
        assert cosine > 0.97, number


def test_the_lr_is_the_fraction_of_the_filters_that_a_step_replaces():
    torch.manual_seed(0)
    filters = nn.Parameter(torch.randn(32, 16, 3, 3))
    optimizer = Muon([filters], lr=0.1)
    for _ in range(5):
        filters.grad = torch.randn_like(filters)
        before = filters.detach() / filters.detach().norm() * 32**0.5
        optimizer.step()
        fraction = (filters.detach() - before).norm() / before.norm()
        assert 0.06 < fraction < 0.13
    filters.grad = None
    kept = filters.detach().clone()
    optimizer.step()
    assert torch.equal(kept, filters.detach())


def test_the_other_weights_are_trained_as_by_adamw():
    torch.manual_seed(0)
    filters = nn.Parameter(torch.randn(4, 3, 3, 3))
    ours, theirs = (nn.Parameter(torch.ones(5, 7)) for _ in range(2))
    settings = {"weight_decay": 0.1, "eps": 1e-8}
    optimizer = Muon([filters, ours], lr=0.24, momentum=0.8, beta2=0.95, **settings)
    reference = torch.optim.AdamW([theirs], lr=0.24 * ADAM_LR_SCALE, betas=(0.8, 0.95), **settings)
    for _ in range(6):
        ours.grad = theirs.grad = torch.randn(5, 7)
        optimizer.step()
        reference.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_it_needs_fewer_steps_than_adam():
    """A least-squares problem whose gradient has one strong direction and many faint ones."""

    def loss_after(make, steps=40):
        torch.manual_seed(0)
        conv = nn.Conv2d(8, 8, 1, bias=False)
        with torch.no_grad():
            conv.weight.mul_(8**0.5 / conv.weight.norm())
        x = torch.randn(64, 8, 4, 4) * torch.logspace(0, -1.5, 8).view(1, 8, 1, 1)
        goal = torch.linalg.qr(torch.randn(8, 8)).Q.view(8, 8, 1, 1)
        y = nn.functional.conv2d(x, goal)
        optimizer = make(conv.parameters())
        for step in range(steps):
            optimizer.param_groups[0]["lr"] *= (steps - step) / (steps - step + 1)
            optimizer.zero_grad()
            loss = (conv(x) - y).square().mean()
            loss.backward()
            optimizer.step()
        return loss.item()

    muon = loss_after(lambda weights: Muon(weights, lr=0.3))
    adam = min(loss_after(lambda w, lr=lr: torch.optim.Adam(w, lr)) for lr in (0.03, 0.1, 0.3))
    assert muon < adam


def test_frozen_weights_are_left_out_and_a_network_without_filters_is_refused():
    model = CustomResNet(width=4)
    model.prep.requires_grad_(False)
    optimizer = Muon(model.parameters(), lr=0.1)
    counted = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert counted == sum(p.numel() for p in model.parameters() if p.requires_grad)
    with pytest.raises(InputError, match="convolutions"):
        Muon(nn.Linear(3, 2).parameters(), lr=0.1)
