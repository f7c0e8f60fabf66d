"""The training loop: right arithmetic, the same weights for the same seed, a clear stop."""

import contextlib
import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from s10 import (
    CustomResNet,
    Recipe,
    TrainingDiverged,
    evaluate,
    fit,
    make_optimizer,
    seed_everything,
    train_epoch,
    triangular,
)
from s10.batches import eval_batches, train_batches
from s10.device import Precision, pick_precision
from s10.runs import COLUMNS


def run(images, recipe, **options):
    seed_everything(recipe.seed)
    model = CustomResNet(10, recipe.width)
    batches = train_batches(images, recipe)
    with contextlib.redirect_stdout(io.StringIO()):
        result = fit(model, batches, eval_batches(images), recipe, images.classes, **options)
    return model, result


@pytest.mark.parametrize("augment", ["batched", "albumentations"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(few, tiny, augment, precision):
    recipe = replace(tiny, augment=augment, precision=precision)
    first, first_fit = run(few, recipe)
    torch.rand(7)  # What was drawn before must not matter.
    second, second_fit = run(few, recipe)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    columns = [column for column in COLUMNS if column != "seconds"]
    assert first_fit.history[columns].equals(second_fit.history[columns])
    assert np.array_equal(first_fit.predictions.logits, second_fit.predictions.logits)


def test_another_seed_gives_other_weights(few, tiny):
    first, _ = run(few, tiny)
    second, _ = run(few, replace(tiny, seed=1))
    assert not torch.equal(first.fc.weight, second.fc.weight)


def test_metrics_are_weighted_by_image_not_by_batch(few, tiny):
    """Batches of 64, 64, 64 and 8: a mean over batches would count the last one's images 8-fold."""

    class Fixed(nn.Module):
        """Says class 0 with the certainty of one learnt number, whatever it sees."""

        def __init__(self):
            super().__init__()
            self.certainty = nn.Parameter(torch.tensor(2.0))

        def forward(self, images):
            logits = torch.zeros(len(images), 10)
            logits[:, 0] = 1
            return logits * self.certainty

    model = Fixed()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    batches = train_batches(few, tiny)
    result = train_epoch(model, batches, optimizer)
    labels = torch.from_numpy(few.train_labels)
    logits = model(labels).detach()
    assert result.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-6)
    assert result.accuracy == (few.train_labels == 0).mean()


def test_one_epoch_is_what_a_loop_by_hand_gives(few, tiny):
    """PyTorch is the oracle: the same steps, written down plainly."""
    batches = train_batches(few, tiny)
    seed_everything(0)
    ours = CustomResNet(10, 4)
    optimizer = torch.optim.Adam(ours.parameters(), 1e-3)
    train_epoch(ours, batches, optimizer)
    seed_everything(0)
    plain = CustomResNet(10, 4)
    plain.train()
    optimizer = torch.optim.Adam(plain.parameters(), 1e-3)
    for images, labels in batches:
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(plain(images), labels).backward()
        optimizer.step()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, plain.state_dict()[name]), name


def test_evaluation_changes_nothing_and_is_what_a_forward_pass_gives(few):
    model = CustomResNet(10, 4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predictions = evaluate(model, eval_batches(few), few.classes)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    model.eval()
    images, labels = eval_batches(few)[0]
    with torch.no_grad():
        logits = model(images)
    assert predictions.logits == pytest.approx(logits.numpy(), abs=1e-5)
    assert predictions.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert predictions.accuracy == (logits.argmax(1) == labels).double().mean().item()


def test_the_history_has_the_schedule_and_the_columns_of_the_csv(few, tiny):
    rows = []
    _, result = run(few, tiny, on_epoch=rows.append)
    assert tuple(result.history.columns) == COLUMNS
    assert result.history["epoch"].tolist() == [1, 2, 3]
    # The LR of each epoch's last step: the peak, the middle of the way down, LRMIN.
    middle = (tiny.lr_max + tiny.lr_min) / 2
    assert result.history["lr"].tolist() == pytest.approx([tiny.lr_max, middle, tiny.lr_min])
    assert rows == result.history.to_dict("records")
    assert not result.interrupted


def test_each_epoch_has_its_line(few, tiny, capsys):
    model = CustomResNet(10, 4)
    fit(model, train_batches(few, tiny), eval_batches(few), tiny, few.classes)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for number, line in enumerate(lines, 1):
        assert line.startswith(f"epoch  {number}/3  LR 0.0")
        for part in ("momentum", "train loss", "test loss", "%", " s"):
            assert part in line


def test_a_loss_that_is_not_finite_stops_the_run(few, tiny):
    recipe = replace(tiny, lr_max=1e30, lr_min=1e30)
    with pytest.raises(TrainingDiverged) as caught:
        run(few, recipe)
    message = str(caught.value)
    assert "at batch" in message
    assert "LR 1e+30" in message
    assert "\n" not in message


def test_the_step_that_diverged_is_named(few, tiny):
    batches = list(train_batches(few, tiny))
    batches[2] = (batches[2][0] * math.nan, batches[2][1])
    model = CustomResNet(10, 4)
    with pytest.raises(TrainingDiverged, match=r"nan at batch 3 of this epoch, LR 0\.001"):
        train_epoch(model, batches, torch.optim.Adam(model.parameters(), 1e-3))


def test_stopping_keeps_the_epochs_so_far(few, tiny):
    def stop_in_the_second(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    model, result = run(few, tiny, on_epoch=stop_in_the_second)
    assert result.interrupted
    assert result.history["epoch"].tolist() == [1, 2]
    assert evaluate(model, eval_batches(few), few.classes).accuracy == pytest.approx(
        result.predictions.accuracy
    )


def test_decoupled_decay_is_adamw_and_the_other_is_l2():
    """PyTorch is the oracle for both kinds of weight decay."""
    for decoupled, kind in ((True, torch.optim.AdamW), (False, torch.optim.Adam)):
        recipe = replace(Recipe(), weight_decay=0.3, decoupled_weight_decay=decoupled, lr_min=0.01)
        results = []
        for make in (
            lambda model, recipe=recipe: make_optimizer(model, recipe),
            lambda model, recipe=recipe, kind=kind: kind(
                model.parameters(), 0.01, (recipe.momentum_max, recipe.beta2), weight_decay=0.3
            ),
        ):
            torch.manual_seed(0)
            model = nn.Linear(3, 2)
            optimizer = make(model)
            for _ in range(3):
                optimizer.zero_grad()
                model(torch.ones(1, 3)).square().sum().backward()
                optimizer.step()
            results.append(model.weight.detach().clone())
        assert torch.equal(*results)


def test_the_optimizer_takes_another_momentum():
    model, recipe = nn.Linear(2, 2), Recipe()
    assert make_optimizer(model, recipe).param_groups[0]["betas"] == (0.95, 0.99)
    assert make_optimizer(model, recipe, momentum=0.5).param_groups[0]["betas"] == (0.5, 0.99)
    sgd = make_optimizer(model, replace(recipe, optimizer="sgd"), momentum=0.5)
    assert sgd.param_groups[0]["momentum"] == 0.5


def test_label_smoothing_moves_the_weights_but_not_the_loss_that_is_shown(few, tiny):
    batch = next(iter(train_batches(few, tiny)))
    weights, losses = {}, {}
    for smoothing in (0.0, 0.3):
        for kind in ("ours", "by hand"):
            seed_everything(0)
            model = CustomResNet(10, 4)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            if kind == "ours":
                result = train_epoch(model, [batch], optimizer, label_smoothing=smoothing)
                losses[smoothing] = result.loss
            else:
                loss = nn.CrossEntropyLoss(label_smoothing=smoothing)
                loss(model(batch[0]), batch[1]).backward()
                optimizer.step()
            weights[kind, smoothing] = model.fc.weight.detach().clone()
        assert torch.equal(weights["ours", smoothing], weights["by hand", smoothing])
    assert not torch.equal(weights["ours", 0.0], weights["ours", 0.3])
    assert losses[0.0] == losses[0.3]


def test_another_network_and_another_schedule(few, tiny):
    """What the README shows under "add your own"."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    scheduler = triangular(optimizer, lr_min=0.001, lr_max=0.01, half_cycle=6)
    result = fit(
        model, train_batches(few, tiny), eval_batches(few), tiny, few.classes,
        optimizer=optimizer, scheduler=scheduler,
    )  # fmt: skip
    # 12 steps, 0 to 11: the peak is at step 6, so step 3 is halfway up and step 11 nearly down.
    expected = [0.001 + 0.009 * part for part in (3 / 6, 5 / 6, 1 / 6)]
    assert result.history["lr"].tolist() == pytest.approx(expected)


def test_a_plain_dataloader_and_an_optimizer_without_momentum(few, tiny):
    images, labels = eval_batches(few)[0]
    loader = DataLoader(TensorDataset(images, labels), batch_size=50)
    model = CustomResNet(10, 4)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    result = fit(
        model, loader, eval_batches(few), tiny, few.classes,
        optimizer=optimizer, scheduler=scheduler,
    )  # fmt: skip
    assert result.history["momentum"].tolist() == [0, 0, 0]


def test_sgd_trains_too(few, tiny):
    _, result = run(few, replace(tiny, optimizer="sgd", lr_max=0.1, lr_min=0.01))
    assert result.history["train_loss"].iloc[-1] < result.history["train_loss"].iloc[0]


def test_bf16_runs_the_network_in_bf16_and_keeps_float32_weights(few, tiny):
    seen = set()
    model = CustomResNet(10, 4)
    model.prep[0].register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    optimizer = make_optimizer(model, tiny)
    train_epoch(model, train_batches(few, tiny), optimizer, precision=Precision("bf16", "cpu"))
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_fp16_is_chosen_for_a_t4_bf16_for_an_a100(monkeypatch):
    for capability, expected in (((7, 5), "fp16"), ((8, 0), "bf16"), ((6, 1), "fp32")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        assert pick_precision("auto", torch.device("cuda")).name == expected
    assert Precision("fp16", "cuda").autocast().fast_dtype == torch.float16
