"""The weights at the end of a run, bit for bit: as by an independent loop, and as before.

The hashes were made by s10 0.1, before its code was divided into rooms.
"""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from s10 import Recipe, fit, seed_everything
from s10.loaders import derive_seed, epoch_order
from s10.runtime.device import describe_device
from s10.speed.recipes import LAPTOP

# Other versions and CPUs round differently in the last bits.
ENVIRONMENT = {
    "PyTorch": "2.14.1+cu130",
    "CPU": "2 CPU cores (AMD EPYC), family 25, model 17",
    "instructions": "AVX512",
}
# SHA-256 of the final weights on `shapes`, at width 16, in fp32, with seed 0.
HASHES = {
    ("assignment", 2): "085b821d683c9a705c204c0ae0718d6c21e89c5082706c3f39e4f1edaf2e2f1b",
    ("assignment", 24): "7ed5e2315caa76b4d545b4e8aa5150e3c1b589cc8420e967546286f4e2384c78",
    ("laptop", 2): "f96a8b98e2386fec6247af1868489d655b046d34f0a04a9173d150fa4f59c076",
    ("laptop", 7): "04967ac629aa6eef6edb63af4a2e5e56e6f3d04fc6b011b268f3bde6d5ed0888",
}


def environment() -> dict:
    file = Path("/proc/cpuinfo")
    text = file.read_text() if file.exists() else ""
    numbers = dict(re.findall(r"^(cpu family|model)\s*: (\d+)$", text, re.M))
    family, model = numbers.get("cpu family"), numbers.get("model")
    name = describe_device(torch.device("cpu"))  # With the number of threads.
    return {
        "PyTorch": str(torch.__version__),
        "CPU": f"{name}, family {family}, model {model}",
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def trained(dataset, recipe: Recipe) -> nn.Module:
    seed_everything(recipe.seed)
    model = recipe.initial_model(dataset)
    fit(model, recipe.train_loader(dataset), recipe.test_loader(dataset), recipe, dataset.classes)
    return model


def digest(model: nn.Module) -> str:
    sha = hashlib.sha256()
    for name, value in model.state_dict().items():
        sha.update(name.encode())
        sha.update(value.contiguous().numpy().tobytes())
    return sha.hexdigest()


@pytest.mark.parametrize(
    ("name", "epochs"),
    [
        ("assignment", 2),
        ("laptop", 2),
        pytest.param("assignment", 24, marks=pytest.mark.slow),
        pytest.param("laptop", 7, marks=pytest.mark.slow),
    ],
)
def test_the_weights_are_those_of_version_0_1(shapes, name, epochs):
    here = environment()
    if here != ENVIRONMENT:
        differences = [f"{key} {here[key]}, not {ENVIRONMENT[key]}" for key in here
                       if here[key] != ENVIRONMENT[key]]  # fmt: skip
        pytest.skip(f"the hashes are of another machine: {'; '.join(differences)}")
    recipe = {"assignment": Recipe(), "laptop": LAPTOP}[name]
    recipe = replace(recipe, data="shapes", width=16, precision="fp32").with_epochs(epochs)
    assert digest(trained(shapes, recipe)) == HASHES[name, epochs]


def augmented(images, params, mean, std):
    """Pad, crop, flip, normalize and CutOut, image by image, in float32."""
    out = []
    for image, (top, left, flip, cut_top, cut_left) in zip(images, params, strict=True):
        pixels = np.pad(image, ((4, 4), (4, 4), (0, 0)), mode="reflect")
        pixels = pixels[top : top + 32, left : left + 32]
        pixels = pixels[:, ::-1] if flip else pixels
        pixels = (pixels.astype(np.float32) - mean) / std
        pixels[cut_top : cut_top + 8, cut_left : cut_left + 8] = 0
        out.append(torch.from_numpy(pixels.transpose(2, 0, 1).copy()))
    return torch.stack(out)


def test_the_weights_are_those_of_a_loop_written_independently(few, tiny):
    """Only the random numbers' seeds and the initial weights are taken from the library."""
    recipe = replace(tiny, epochs=2, seed=5)
    seed_everything(5)
    model = recipe.initial_model(few).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-5, betas=(0.95, 0.99), weight_decay=0.1
    )  # fmt: skip
    loss_function = nn.CrossEntropyLoss(label_smoothing=0.1)
    mean, std = (np.float32(255) * np.array(v, np.float32) for v in (few.mean, few.std))
    # 2 epochs of 4 steps: the peak is at step 4 of 8.
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.01, total_steps=8, pct_start=4 / 8, anneal_strategy="linear",
        div_factor=0.01 / 1e-5, final_div_factor=1, base_momentum=0.85, max_momentum=0.95,
    )  # fmt: skip
    for epoch in (1, 2):
        order = epoch_order(200, 5, epoch)
        generator = torch.Generator().manual_seed(derive_seed(5, epoch, "augment"))
        ranges = (9, 9, 2, 25, 25)  # Top, left, flip, and the square's top and left.
        params = [torch.randint(n, (200,), generator=generator).tolist() for n in ranges]
        params = list(zip(*params, strict=True))
        for start in range(0, 200, 64):
            index = order[start : start + 64].numpy()
            images = augmented(few.train_images[index], params[start : start + 64], mean, std)
            labels = torch.from_numpy(few.train_labels[index])
            optimizer.zero_grad()
            loss_function(model(images), labels).backward()
            optimizer.step()
            scheduler.step()
    expected = model.state_dict()
    for name, value in trained(few, recipe).state_dict().items():
        assert torch.equal(value, expected[name]), name
