# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5. Fast on a laptop
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/s10-course/s10/blob/main/notebooks/05_fast_on_a_laptop.ipynb)
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/s10-course/s10/blob/main/notebooks/05_fast_on_a_laptop.ipynb)
#
# **You will learn** where the time of a run goes; six tricks of the fastest recipes, with the reason
# behind each; what each of them is worth, measured by leaving it out; and what to demand of such a
# measurement: paired seeds, equal time, a rival that was tuned with the same care.
#
# **You need** notebooks 0 to 3 (4 helps), and a little linear algebra: covariance, eigenvectors,
# singular values.
#
# **Time** to run all cells: about 5 minutes on 2 CPU cores with bf16 instructions, about 28 without
# (both measured); on Colab's T4 GPU about 3 (estimated). Add half an hour for
# the exercises. If CIFAR-10 cannot be downloaded, drawn shapes are used; `setup(data="shapes")` below
# chooses them at once.

# %% [markdown]
# ## Set-up

# %% tags=["install"]
try:
    import s10
except ImportError:  # On Colab and Kaggle: this takes about 20 seconds.
    # !pip install -q git+https://github.com/s10-course/s10
    import s10
from s10.course import exercises, figures, reference, setup, show

# %% tags=["setup"]
env = setup()  # setup(data="shapes") needs no download
dataset, recipe, device = env.dataset, env.recipe, env.device

# %% [markdown]
# (These lines are about notebook 3's network and recipe, with which this notebook compares its own.)
#
# ## Where the time goes
#
# PyTorch's *profiler* measures how long each operation takes. Here it watches notebook 3's recipe for
# five steps on this machine.
#
# **Your prediction first**: what share of the time do the convolutions take, forward and backward
# together?

# %%
my_share = None  # such as "30%"

# %% jupyter={"outputs_hidden": true, "source_hidden": true}
import os

import pandas as pd
import torch
from torch.profiler import profile

from s10.plots.style import PALETTE, style_axes

os.environ["KINETO_LOG_LEVEL"] = "99"  # no messages from the profiler itself
few, one_epoch = env.subset(2_500, 100), recipe.with_epochs(1)
model = recipe.initial_model(few).to(device)
loaders = one_epoch.train_loader(few, device), one_epoch.test_loader(few, device)
with profile() as profiler:
    s10.fit(model, *loaders, one_epoch, few.classes)

clock = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
times = pd.Series({op.key: getattr(op, clock) for op in profiler.key_averages()})
times = times[times.index.str.startswith("aten::")]  # PyTorch's own operations
backward = times.filter(like="convolution_backward").sum()
shares = {
    "convolutions, forward": times.filter(like="conv").sum() - backward,
    "convolutions, backward": backward,
    "max pooling": times.filter(like="pool").sum(),
    "batch norm": times.filter(like="batch_norm").sum(),
}
shares = pd.Series({**shares, "everything else": times.sum() - sum(shares.values())}) / times.sum()
print(shares.map("{:.0%}".format).to_string())
print(exercises.compare_guess("convolutions", my_share, shares.iloc[:2].sum(), fraction=True))
title = f"five steps at width {recipe.width} on {dataset.name}"
style_axes((100 * shares[::-1]).plot.barh(figsize=(7, 2.2), xlabel="share of the time (%)", title=title))

# %% [markdown]
# On a CPU the convolutions take most of the time, and their backward pass about twice as much as
# their forward pass: it computes two gradients, that of the weights and that of the inputs. (We did not
# measure a GPU.)
#
# So it is convolutions that have to become cheaper. A convolution computes its output one number at a
# time: the kernel lies on a small square of the input, in all input channels; each of its weights is
# multiplied by the number under it; and the products are added up.
#
# ### Exercise 5.1
# How many multiplications does a convolution make for one image in the forward pass? Its kernel is
# square (3 for 3×3), it has no bias, and each of its output channels has side × side pixels.

# %% tags=["exercise-5.1"]
def multiplications(channels_in, channels_out, kernel, side):
    ...


exercises.speed.multiplications(multiplications)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def multiplications(channels_in, channels_out, kernel, side):
#     return channels_in * channels_out * kernel * kernel * side * side
# ```
# </details>

# %% [markdown]
# PyTorch can count multiplications. Here is the assignment's network at full width, the same at a
# quarter of the width, which notebook 3 trains on a CPU, and the network of this notebook,
# `WhitenedNet`, in two widths:

# %% tags=["nbval-check-output"]
from torch.utils.flop_counter import FlopCounterMode

from s10.speed.whitened_net import WhitenedNet


def millions_of_multiplications(model, side=32):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, side, side))
    return counter.get_total_flops() / 2 / 1e6  # It counts an addition for each of them, too.


for name, model in (
    ("CustomResNet, width 64", s10.CustomResNet(width=64)),
    ("CustomResNet, width 16", s10.CustomResNet(width=16)),
    ("WhitenedNet,  width 64", WhitenedNet(width=64)),
    ("WhitenedNet,  width 32", WhitenedNet(width=32)),
):
    print(f"{name}: {millions_of_multiplications(model):5.0f} million for an image")

# %% [markdown]
# A quarter of the width has about a sixteenth of the work: a convolution has channels in × channels out
# kernels, and both shrink (in all but the first). So an image costs least in a narrow network. But a
# wide one may *learn more from each image*, and need fewer of them (see `width` in the table of all
# differences below). Only a measurement tells which width is best.
#
# `WhitenedNet` is built like this, with width 32:
#
# | layer | output (C × H × W) |
# | --- | --- |
# | 2×2 convolution that *whitens* (trick 1) → GELU | 24 × 31 × 31 |
# | block 1: conv → MaxPool2 → BN → GELU → conv → BN → GELU | 32 × 15 × 15 |
# | block 2: the same | 128 × 7 × 7 |
# | block 3: the same | 128 × 3 × 3 |
# | the largest value of each channel → linear | 10 |
#
# A pooling that meets an odd side, 31, 15 or 7, drops the last row and column. So the convolution before it does
# not compute them: a tenth of the network's multiplications less, for the same logits.
#
# It has six trained convolutions, where the assignment's network has eight, and no residual
# branches. *GELU* takes the place of ReLU: GELU(x) = x · Φ(x), where Φ(x) is the probability that
# a standard normal number is below x. It is a ReLU with a round corner
# ([Hendrycks & Gimpel 2016](https://arxiv.org/abs/1606.08415)): its slope does not jump at 0, and
# small negative numbers are not cut off completely.

# %%
from torch import nn

x = torch.linspace(-4, 4, 201)
curves = pd.DataFrame({"ReLU": nn.functional.relu(x), "GELU": nn.functional.gelu(x)}, index=x.numpy())
style_axes(curves.plot(figsize=(5, 2.6), color=PALETTE, xlabel="x", title="ReLU and GELU"))

# %% [markdown]
# ## Trick 1: a first layer that need not be learned
#
# Neighboring pixels of a photograph are nearly alike, and so are its red, green and blue. Take a
# *patch* of 2 × 2 pixels: twelve numbers that rise and fall together. What they share is large,
# and their *differences*, such as edges, are small. The gradient is dominated by what they share,
# so the differences are learned slowly. The remedy is old, and has a name: *whiten* the input, so
# that its numbers are uncorrelated and each has the variance 1
# ([LeCun et al. 1998](http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf), section 4.3).

# %%
figures.patch_correlation(dataset)

# %% [markdown]
# Whitening multiplies each patch by a matrix, so it is a convolution. Its weights follow from the
# covariance of the training images' patches, and they are not trained.
#
# ### Exercise 5.2
# Write it. `covariance` is a symmetric matrix C, the covariance of the patches x; find a matrix W for
# which W·C·Wᵀ, the covariance of W·x, is the identity. (`np.linalg.eigh(C)` returns the variances and,
# as columns, their directions.)

# %% tags=["exercise-5.2"]
import numpy as np


def whitening(covariance):
    ...


exercises.speed.whitening(whitening)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# import numpy as np
#
# def whitening(covariance):
#     variances, directions = np.linalg.eigh(covariance)
#     return (directions / np.sqrt(variances)).T
# ```
# </details>

# %% [markdown]
# The network does the same. It adds a small number to the variances, so that noise in the faintest
# directions is amplified less. It takes each direction with both signs, because GELU passes hardly
# anything but positive numbers: twice twelve channels.

# %%
show(WhitenedNet.whiten)

# %% [markdown]
# ## Trick 2: Dirac initialization
#
# A convolution with random filters scrambles its input. The idea: with six in a row, the last one gets
# a thoroughly scrambled image, and may learn little until those before it have learned something. Here
# filter i is zero everywhere but for a 1 in the middle of input channel i, so output channel i is a
# copy of input channel i. Where there are more filters than input channels, the others are random
# ([Zagoruyko & Komodakis 2017](https://arxiv.org/abs/1706.00388) call it *Dirac*). So at the start the
# signal gets through as it does along a shortcut, though a batch norm and a GELU follow, and nothing
# keeps the copy once the filters are trained.

# %%
from s10.speed.whitened_net import dirac_init_

show(dirac_init_)
patch = torch.rand(1, 3, 8, 8)
outputs = dirac_init_(nn.Conv2d(3, 5, 3, padding=1, bias=False))(patch)
print("copies of their input channel:", [torch.allclose(outputs[:, i], patch[:, i % 3]) for i in range(5)])

# %% [markdown]
# ## Trick 3: Muon
#
# The filters of a layer form a matrix with a row for each output channel, and so does their
# gradient. Every matrix is a product U·S·Vᵀ. The columns of U and of V are orthogonal and have the
# length 1, so UᵀU and VᵀV are identities; S is diagonal. The numbers in S, the *singular values*, say
# how strong the matrix is in each direction. Gradients have a few strong directions and
# many faint ones, and SGD follows the strong ones. Muon
# ([Jordan et al. 2024](https://kellerjordan.github.io/posts/muon/)) takes the momentum U·S·Vᵀ and
# makes a step in the direction of U·Vᵀ, in which all singular values are 1. With a 2 × 2 matrix:

# %% tags=["nbval-check-output"]
momentum = torch.tensor([[2.0, 1.8], [1.8, 2.0]])
U, S, Vt = torch.linalg.svd(momentum)
print("singular values of the momentum:", [round(s, 2) for s in S.tolist()])
print("singular values of U·Vᵀ:        ", [round(s, 2) for s in torch.linalg.svdvals(U @ Vt).tolist()])
cube = momentum @ momentum.T @ momentum
print("singular values of M·Mᵀ·M:      ", [round(s, 3) for s in torch.linalg.svdvals(cube).tolist()])

# %% [markdown]
# Along (1, 1) this momentum is 19 times as strong as along (1, −1); in U·Vᵀ both count the same.
#
# A singular value decomposition at each step would be slow. The last line shows the way out. It has the
# *cubes* of the singular values, 3.8³ and 0.2³, because VᵀV and UᵀU are identities:
#
# (U·S·Vᵀ) (U·S·Vᵀ)ᵀ (U·S·Vᵀ) = U·S·VᵀV·S·UᵀU·S·Vᵀ = U·S³·Vᵀ
#
# So an *odd polynomial* of a matrix, made of M, M·Mᵀ·M and so on, changes the singular values alone,
# and products of matrices are what processors are best at. Muon divides M by its norm, so that no
# singular value is above 1, and then repeats one such polynomial (a *Newton–Schulz iteration*):
#
# s → 3.4445 s − 4.775 s³ + 2.0315 s⁵
#
# It multiplies small singular values by about 3.4, and keeps those that have grown between about 0.7 and
# 1.2: near 1, not at 1.
#
# ### Exercise 5.3
# How many of these iterations does it take until a singular value of 0.01 is above 0.5? (Think first:
# as long as s is small, s³ hardly matters. Then compute.)

# %% tags=["exercise-5.3"]
iterations = None
exercises.speed.iterations_above_half(iterations)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# s, iterations = 0.01, 0
# while s <= 0.5:
#     s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
#     iterations = iterations + 1  # 0.034, 0.118, 0.400, 1.093: 4 iterations
# ```
# </details>

# %% [markdown]
# Muon's code, and what one, three and five iterations make of each singular value:

# %%
from s10.speed.muon import orthogonalize

show(orthogonalize)
figures.newton_schulz()

# %% [markdown]
# Muon usually takes five iterations, this recipe three. Here are the gradients of all six convolutions
# at the first step of this network, and the steps that Muon makes of them:

# %%
from s10.speed.recipes import LAPTOP

env_fast = env.with_recipe(LAPTOP)
fast = env_fast.recipe
s10.seed_everything(0)
model = fast.initial_model(dataset).to(device)
images, labels = next(iter(fast.train_loader(dataset, device)))
nn.functional.cross_entropy(model(images), labels).backward()
rows = []
for name, weight in model.named_parameters():
    if weight.ndim == 4 and weight.requires_grad:
        gradient = weight.grad.flatten(1)
        step = orthogonalize(gradient)
        before, after = (torch.linalg.svdvals(m.float().cpu()) for m in (gradient, step))
        rows.append({
            "layer": name.removesuffix(".weight"),
            "gradient: strongest / weakest": f"{before[0] / before[-1]:.0f}",
            "step: strongest / weakest": f"{after[0] / after[-1]:.1f}",
            "below 0.5": f"{(after < 0.5).float().mean():.0%}",
            "length": f"{step.norm().item() / len(step) ** 0.5:.2f}",
        })
print(pd.DataFrame(rows).to_string(index=False))

# %% [markdown]
# In the step the directions count *more equally* than in the gradient, but not equally: compare the
# two ratios. `below 0.5` is the share of directions whose singular value stays below 0.5 after
# three iterations. More iterations would lift them, and take more time.
#
# A batch norm follows each of these convolutions, so the *length* of the filters does not matter.
# Our Muon, like that of Jordan's own program
# ([airbench94_muon](https://github.com/KellerJordan/cifar10-airbench)), sets it to the root of the number
# of filters before each step; Muon in general does not. `length` is the length of a step at an LR of 1,
# relative to that. It is near 1, so the LR has a plain meaning: with 0.12, a step moves each layer's
# filters by about a tenth of their length.
#
# Biases, batch norms and the last layer are not filters; AdamW trains them, with a tenth of the LR. The
# step for the filters, with the momentum:

# %%
from s10.speed.muon import Muon

show(Muon._muon_update)

# %% [markdown]
# ## Trick 4: alternating flips
#
# Each epoch shows an image as it is or mirrored. By chance, half of the images come just as they came
# in the epoch before.
#
# ### Exercise 5.4
# With random flips: what fraction of the images has been seen *both* ways after `epochs` epochs?

# %% tags=["exercise-5.4"]
def seen_both_ways(epochs):
    ...


exercises.speed.seen_both_ways(seen_both_ways)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def seen_both_ways(epochs):
#     return 1 - 0.5 ** (epochs - 1)
# ```
# </details>

# %% [markdown]
# After 7 epochs nearly all images have been seen both ways, yet not equally often: by chance, one
# image in eight is seen from one side at most once. So toss a coin for each image once, and then
# alternate ([Jordan 2024](https://arxiv.org/abs/2404.00498), section 3.6): after two epochs all of
# them have been seen both ways, after seven each side three or four times.
#
# ## Trick 5: low resolution first
#
# What a network probably learns first, colors and coarse shapes, can be seen in a small image, too. The
# same convolutions work on any size. So the first half of the run gets training images of 24 × 24
# pixels (*progressive resizing*; [Tan & Le 2021](https://arxiv.org/abs/2104.00298), section 4). The
# test images keep their 32 × 32.

# %%
from s10.speed.loaders import resize

pixels = torch.from_numpy(dataset.train_images[:8]).permute(0, 3, 1, 2).float()
small = resize(pixels, 24).round().clamp(0, 255).permute(0, 2, 3, 1).byte().numpy()
large_and_small = [*dataset.train_images[:8], *small]
at_32, at_24 = (millions_of_multiplications(WhitenedNet(width=32), side) for side in (32, 24))
print(f"{at_32:.0f} million multiplications with 32 × 32 pixels, {at_24:.0f} with 24 × 24: "
      f"{1 - at_24 / at_32:.0%} less work")
names = [f"{side} × {side}" if image == 0 else "" for side in (32, 24) for image in range(len(small))]
env.add_caption(s10.plot_images(large_and_small, names, columns=len(small)), "")

# %% [markdown]
# ## Trick 6: more label smoothing
#
# Label smoothing (notebook 0; [Szegedy et al. 2015](https://arxiv.org/abs/1512.00567), section 7) asks
# for less than 1 on the right class. Here it is 0.2: 0.82 on the right class and 0.02 on each of the
# nine others. Beyond a certain margin, a larger logit of the right class raises the loss again. So
# images that are right by about that margin hardly drive the weights, and the others count for more.
# The recipe of notebook 3 has half as much, 0.1.
#
# ## All differences
#
# The six tricks are not all that differs from notebook 3. This table is computed from the two
# recipes; it lists every setting that differs, optimizer and network among them:

# %% jupyter={"source_hidden": true}
def everything(recipe):
    model = recipe.make_model()
    values = {
        **recipe.to_dict(),
        "optimizer": type(recipe.make_optimizer(model)).__name__,
        "network": type(model).__name__,
        "weights": sum(weight.numel() for weight in model.parameters()),
        "million multiplications": round(millions_of_multiplications(model)),
    }
    for name in ("class", "tta_views"):  # Both test one view of each image.
        values.pop(name, None)
    return values


recipes = pd.DataFrame([everything(recipe), everything(fast)], ["notebook 3", "here"], dtype=object).T
print(recipes[recipes["notebook 3"] != recipes["here"]].fillna("–").to_string())

# %% [markdown]
# | setting | why it differs |
# | --- | --- |
# | `width` | at width 64 this network needs fewer epochs, but more work in all |
# | `epochs` | six, with half of the steps at low resolution, stayed just below 90 % on held-out images |
# | `pad`, `cutout` | so short a run overfits little: smaller shifts, no CutOut |
# | `peak_epoch` | 5 of 7 epochs would be too long a rise; a peak after half an epoch was as good (one pair of runs) |
# | `lr_max` | another optimizer, another unit (trick 3); 0.2 was 0.4 points worse (one pair of runs) |
# | `lr_min` | a quarter of the peak: seven epochs leave no time for a slow rise |
# | `final_lr` | a hundredth of the peak: here the LR *is* annihilated, which the assignment rules out |
# | `momentum_max`, `momentum_min` | constant, as in airbench94_muon; 0.8 came out alike (one pair of runs) |
# | `beta2` | of AdamW, for the weights that are not filters: it forgets faster, as the run is short |
# | `weight_decay` | this Muon resets the length of the filters, so decay would change nothing in them |
# | `label_smoothing` | trick 6 |
# | `alternating_flips` | trick 4 |
# | `low_res_fraction`, `low_res_size` | trick 5 |
# | optimizer | trick 3 |
# | network | tricks 1 and 2, GELU, fewer layers (see above); the weights and multiplications follow from it and from the width |
#
# What was tried for this recipe was tried on held-out training images, mostly with one run for each
# setting ([log](https://github.com/s10-course/s10/blob/main/results/README.md)). Test images chose
# nothing.
#
# ## The run
#
# **Your prediction first**: until the middle of epoch 4 the network trains on small images, at a high
# LR, and is tested on large ones. How many points will the test accuracy be above or below the training
# accuracy after epoch 3?
#
# %%
my_gap = None  # in points: 1.5 is above, -1.5 is below

# %% jupyter={"outputs_hidden": true}
env_fast.print_estimate(fast.epochs)
s10.seed_everything(fast.seed)
model = fast.initial_model(dataset).to(device)
train = fast.train_loader(dataset, device)
test = fast.test_loader(dataset, device)
result = s10.fit(model, train, test, fast, dataset.classes)

# %% jupyter={"outputs_hidden": true}
history = result.history
if history.empty:
    raise SystemExit("no epoch is finished yet: run the cell above again, to its end")
row = history.head(3).iloc[-1]  # epoch 3, or the last one of a shorter run
gap = 100 * (row["test_accuracy"] - row["train_accuracy"])
print(exercises.compare_guess("test minus training, epoch 3", my_gap, gap))
print(f"{result.seconds:.0f} seconds, with the evaluation after each epoch")
env_fast.add_caption(s10.plot_curves(history))

# %% [markdown]
# (As in notebook 3, the log shows the loss without smoothing, so that training and test can be compared.
# That is why it can fall below 0.87, the lowest that the loss with a smoothing of 0.2 can reach.)
#
# **Is my number normal?**

# %% jupyter={"outputs_hidden": true}
print(reference.compare_training(history, fast, dataset.name))
stored = reference.training_entry(LAPTOP, "cifar10")
gaps = 100 * (np.array(stored["test_accuracy"]) - stored["train_accuracy"])
seeds, epochs = [f"seed {seed}" for seed in stored["seeds"]], range(1, gaps.shape[1] + 1)
print("\nthe stored runs on cifar10, test minus training accuracy after each epoch, in points:")
print(pd.DataFrame(gaps.round(1), seeds, epochs).to_string())

# %% [markdown]
# On CIFAR-10, in all three stored runs, the test accuracy is below the training accuracy after epoch 3, by
# 0.3 to 7.6 points. Two reasons are likely: at 32 × 32 everything is a third larger than in the images it
# was trained on, and the running statistics are those of small images; and while the LR is high, they
# lag behind the weights (notebooks 3 and 4). Later both are gone: the images are large, and the LR
# falls. In the last two epochs the two accuracies are within 1.6 points of each other, and at the end
# training is ahead in all three. Which of the two reasons counts for more, these runs cannot tell; a later
# section of this notebook gives a hint.
#
# **How much less work is that than in notebook 3** at width 16, which also reaches about 90 %?

# %%
here = (at_32 + at_24) / 2  # half of the steps with small images
before = millions_of_multiplications(s10.CustomResNet(width=16))
print(f"notebook 3: 24 epochs × {before:.0f} million multiplications for each image")
print(f"here:        7 epochs × {here:.0f} million multiplications for each image")
print(f"{7 * here / (24 * before):.0%} of the work: notebook 3 does {24 * before / (7 * here):.1f} times as much")

# %% [markdown]
# On two CPU cores with bf16, whole runs with the recipe of notebook 3 at that width took 3.3 times as
# long as with this one (medians of three,
# [benchmarks](https://github.com/s10-course/s10/blob/main/benchmarks/README.md)): about the factor of
# the work. An image costs about as much as in notebook 3, thanks to trick 5, and there are fewer
# epochs. (Nobody has tried how few epochs notebook 3's network needs for 90 %. So this compares two
# recipes; it does not say what the tricks are worth.)
#
# ## The gain of each trick
#
# Each of them was left out alone, everything else as it is, with three seeds (after the arrow: what took
# its place):
#
# - *whitening layer* → random weights, which are trained
# - *Dirac initialization* → random filters, all of them
# - *Muon* → notebook 3's AdamW, with its LRs, momenta, β2 and weight decay
# - *alternating flips* → random flips
# - *low resolution first* → 32 × 32 pixels throughout
# - *label smoothing*, 0.2 → 0
#
# **How large is the noise?** A gain is a difference of two runs. If their noise is independent, it
# scatters by √2 times the standard deviation of single runs, and the mean of n gains by √(2/n) times.
# (Two runs of the same seed may share some of it. How much is unknown, so do not count on it.) In units
# of this noise, a mean gain below 2 says little, and one above 4 very likely *is* a gain. The limits
# are so wide because a few runs tell a standard deviation only roughly.
#
# ### Exercise 5.5
# Write the mean gain in these units. `gains` is a NumPy array with a gain for each seed, in points;
# `std` is the standard deviation of single runs of the full recipe. Then use it: two seeds gain 0.3 and
# 0.5, and `std` is 0.24. What does that say?

# %% tags=["exercise-5.5"]
def gain_in_units_of_noise(gains, std):
    ...


exercises.speed.gain_in_units_of_noise(gain_in_units_of_noise)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def gain_in_units_of_noise(gains, std):
#     return gains.mean() / (std * (2 / len(gains)) ** 0.5)
# ```
# For the two seeds that is 1.7: it may be a gain, and it may be none. At least a third seed is needed.
# </details>

# %% [markdown]
# **Your prediction first**: which one is missed most?

# %%
my_best_trick = None  # "whitening layer", "Dirac initialization", "Muon", "alternating flips", …

# %% jupyter={"outputs_hidden": true}
from s10.course.ablation import full_recipe_accuracies, stored_ablation
from s10.plots.costs import plot_ablation

table, full = stored_ablation("laptop"), full_recipe_accuracies("laptop")
again = full_recipe_accuracies("laptop-at-equal-time-epyc")
print("the full recipe, seeds 0, 1, 2, test accuracy (%):")
for processor, runs in (("Intel", full), ("AMD", again)):
    print(f"{processor:>5}", *runs.round(2), f"standard deviation {runs.std(ddof=1):.2f}")
noise = full.std(ddof=1) * (2 / 3) ** 0.5
print(f"noise of the mean of three gains: {noise:.2f} points\n")
table.insert(3, "gain/noise", table["gain"] / noise)
print(table.drop(columns="seeds").round(2).to_string(index=False))
print("\nlargest gain:", table["ingredient"][0], "– you said:", my_best_trick)
plot_ablation(table, full.std(ddof=1))

# %% [markdown]
# `gain`: by how many points of test accuracy the full recipe is better with the same seed (the columns of
# the seeds), in the mean; `std` is their standard deviation. All gains are from the Intel processor. `time`
# is the training time without the trick relative to that of the full recipe. Each run had two cores of a
# machine that computed other things, too, and such times scatter by a tenth or more; only that of low
# resolution clearly stands out.
#
# Look at the first lines of the output: even with the *same seed*, the runs on two processors differ
# (their versions of PyTorch differ, too, and sums are rounded in another order). That is why we do not
# count on pairs to remove the noise. And how roughly three runs tell a standard deviation: on the AMD
# processor it is far smaller. We take the larger one, which is the gray band, too. (The error bars are
# the `std` of the gains.)
#
# - *Muon* gains most, 0.8 to 1.4 points, more than 5 times the noise in the mean: a gain. But its
#   rival is an **untuned** Adam: nobody chose its LR for this network or for 7 epochs. What Muon gains over a
#   tuned one, this table cannot say.
# - The *whitening layer*, *alternating flips* and *label smoothing* may gain something, about 1.7 times the
#   noise; it cannot be told from nothing. The first and the last gain with each seed, flips with two of three.
# - *Dirac initialization*, for which there was such a good reason, is below the noise, and the seeds
#   disagree, from −0.29 to +0.55 points: this says nothing.
# - *Low resolution* is below the noise, too; it costs accuracy with two seeds and gains some with the third.
#   But it is there for the time, of which it saves a quarter.
#
# **Equal time.** A trick that saves time must be compared with another way to spend that time, and a
# trick that costs time, as Muon may, with a rival that gets it, too. So AdamW got 8 epochs in place of
# 7, and the LRMAX that was best on 5,000 held-out training images, of five that were tried: 0.02, twice
# that of notebook 3. And the recipe without low resolution got 6 epochs. Muon was measured on both processors:

# %%
for processor, name in (("Intel", "laptop-at-equal-time"), ("AMD", "laptop-at-equal-time-epyc")):
    fair = stored_ablation(name).drop(columns="seeds")
    fair.insert(3, "gain/noise", fair["gain"] / noise)
    print(processor, fair.round(2).to_string(index=False), sep="\n", end="\n\n")

# %% [markdown]
# Against this rival Muon gains less, but something in each of the six pairs: 0.1 to 0.6 points on the
# Intel processor, 0.6 to 1.0 on the AMD processor, in the mean 2 and 4 times the noise. Six signs agree
# by chance in one case of 32 (a little more often here, as the pairs of both processors have the same
# three seeds). So against this rival it is very likely a gain; whether of 0.4 points or of 0.8, these
# runs do not tell. And AdamW did not get quite the same care: its LRMAX was tuned, but width, epochs,
# padding and label smoothing were chosen for the recipe that has Muon. *Low resolution* is far below
# the noise: seven epochs, the first half on small images, and six on large ones come out alike. (As
# measured, each rival took about a tenth longer, so the comparison favors the rivals, if anything.)
#
# **And the same trick elsewhere?** In the recipe of notebook 3, label smoothing of 0.1 gained
# nothing: without it, all three seeds were better, by 0.1 to 0.3 points. Most of the six come from a
# recipe that was, when it was published, the fastest in the world to 94 %
# ([Jordan 2024](https://arxiv.org/abs/2404.00498)), on a GPU and with a wider network. A trick is not
# true or false; it is worth something somewhere.
#
# ## What the falling LR does
#
# Notebook 2 measured what the fall of the LR is worth. What follows from it for runs of different length?
# Train for 2 epochs instead of 7: small images, the LR peaks after epoch 1 and falls to its
# end in epoch 2. The rival starts with the same weights, has the same batches, and in epoch 2 the LR of
# the long run, which falls only a little. So both runs are the same until the peak, and then differ
# in nothing but the LR.
#
# **Your prediction first**: by how many points does the test accuracy after epoch 2 differ?

# %%
my_difference = None  # in points

# %% jupyter={"outputs_hidden": true}
from dataclasses import replace

from s10.course.experiments import compare_variants, paired_differences
from s10.plots import plot_schedules

short = replace(fast, low_res_fraction=1.0).with_epochs(2)
lr_of_the_long_run = float(history.head(2)["lr"].iloc[-1])  # at the end of epoch 2
runs = {
    "LR of the long run": replace(short, final_lr=lr_of_the_long_run),
    "LR falls to its end": short,
}
replace(env_fast, recipe=short).print_estimate(3 * len(runs) * short.epochs)
table = compare_variants(runs, dataset, device)

# %% jupyter={"outputs_hidden": true}
differences = paired_differences(table)
print("test accuracy against the other LR, in percentage points")
print(differences.round(1).to_string())
mean = differences["mean"].iloc[0].round(1)
print(exercises.compare_guess("difference in points", my_difference, mean))
env_fast.add_caption(plot_schedules(table, by="variant"))

# %% [markdown]
# With each seed, the run whose LR falls to its end is far ahead, by more than 6 points, after the same images
# and the same number of steps. (Where the LR stays high, the accuracy also depends more on the seed: look
# at the thin lines.)
#
# A likely reason: each batch's gradient is noisy, so at a high LR the weights keep jumping around the bottom of the valley, and batch norm's running statistics lag behind
# them; when the LR falls, both settle. The jumping shows in the training accuracy, too, where batch norm
# uses the batch's own statistics: in the printed lines of epoch 2 it differs by about 4 points, although
# it is a mean over the epoch.
#
# These runs also give a hint about the two reasons that were left open after the long run. All of them
# saw small images only, and were tested on large ones. With the high LR the test accuracy of epoch 2 is
# below the training accuracy, by 1.8 to 7.7 points; where the LR fell, it is above it, by 2.6 to 3.3.
# So small images alone do not put the test below the training; with the high LR they did. (What the
# size costs, this does not tell: training accuracy, a mean over the epoch, is low where a network
# improves fast.)
#
# So the accuracy *in the middle of a run* says little about where it will end: a run of 7 epochs looks bad
# after 2, and a run of 2 epochs has finished by then. Two consequences:
#
# - Never compare runs of different lengths at the same epoch, nor stop a run early and call the result
#   its accuracy. Say how long the schedule was.
# - A short run needs a schedule of its own. Do not cut a long one off: use `with_epochs`.
#
# ## Go on
#
# Change one thing and see. A recipe with another network is a subclass with its own `make_model`; here
# are two:

# %%
from s10.speed.recipes import LaptopRecipe


class WithReLU(LaptopRecipe):
    def make_model(self, num_classes=10):
        model = super().make_model(num_classes)
        for block in (model.block1, model.block2, model.block3):
            # 0 conv, 1 pool, 2 BN, 3 GELU, 4 conv, 5 BN, 6 GELU
            block[3] = block[6] = nn.ReLU()
        return model


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class WithResiduals(LaptopRecipe):
    def make_model(self, num_classes=10):
        model = super().make_model(num_classes)
        for name in ("block1", "block2", "block3"):
            block = getattr(model, name)
            setattr(model, name, nn.Sequential(*block[:4], Residual(*block[4:])))
        return model


# %% [markdown]
# Switch on some of these variants, or add your own. Predict first, and run the cell: 4 epochs on
# 10,000 images, with three seeds each. If the seeds disagree, it has not shown anything. (The GELU
# after the whitening layer stays. "Adam of notebook 3" has its LR, momenta, β2 and weight decay.)

# %% jupyter={"outputs_hidden": true}
from dataclasses import asdict

from s10.speed.ablations import WithoutMuon

base = fast.with_epochs(env.size(4, smoke=2))
adam = env.with_recipe(WithoutMuon()).recipe.with_epochs(base.epochs)
variants = {
    "as it is": base,
    "ReLU in place of GELU": WithReLU(**asdict(base)),
    "second convolution residual": WithResiduals(**asdict(base)),
    "twice the LR": base.with_lr_max(2 * base.lr_max),
    "large images only": replace(base, low_res_fraction=0.0),
    "Adam of notebook 3": adam,
    "Adam, twice its LR": adam.with_lr_max(2 * adam.lr_max),
}
switched_on = ["as it is", "ReLU in place of GELU"]  # the first is what the others are compared with

if env.smoke:  # The tests run all of them.
    switched_on = list(variants)

few = env.subset(10_000, 2_000)
env_fast.print_estimate(3 * len(switched_on) * base.epochs, few)
table = compare_variants({name: variants[name] for name in switched_on}, few, device)

# %% jupyter={"outputs_hidden": true}
print("test accuracy against the first, in percentage points")
print(paired_differences(table).round(2).to_string())
env_fast.add_caption(plot_schedules(table, by="variant"))

# %% [markdown]
# In the stored output the seeds disagree about ReLU: as to accuracy, at 4 epochs of 10,000 images nothing
# speaks for GELU or against it.
#
# Two larger runs. `s10 train --recipe laptop-94` has twice the width (a little more in its last blocks),
# smaller images at first (20 pixels), steps of Muon that are nearly orthogonal, SGD with large LRs for biases
# and last layer, and six views of each test image. In each of its fourteen epochs half of the images rest:
# those with the smallest losses when last seen. It reached 94.10 % (mean of five seeds) in 5.3 minutes on two
# CPU cores with bf16, tested once, at its end; the program that it follows, ported to a CPU, took 1.3 times as
# long for 94.03 % ([benchmarks](https://github.com/s10-course/s10/blob/main/benchmarks/README.md)). With
# a GPU, try `s10 train --recipe beyond`: the assignment's network at full width and its 24 epochs, with Muon,
# alternating flips and more label smoothing. Its one stored run has 94.46 %; eight runs of the
# assignment's recipe, on two GPUs, have 93.72 to 94.09 %. One run is not a measurement: try more seeds.
#
# ## Recap
#
# 1. On a CPU convolutions take most of the time. Count their multiplications before you optimize:
#    channels in × channels out × kernel² × pixels for each image, three times that with the backward
#    pass.
# 2. Whitening and Dirac initialization are meant to make the first steps count, Muon to let faint
#    directions count in every step, alternating flips and label smoothing to take more from each image,
#    low resolution to make the first epochs cheaper.
# 3. Muon makes the singular values of each step more equal, by an odd polynomial of the momentum. Here it
#    gained most; against an AdamW with a tuned LRMAX, at equal time, it gained less, but something in each
#    of six pairs.
# 4. Only leaving a trick out tells what it is worth: seed with seed, against the noise of equal runs,
#    at equal time, and against a rival tuned with the same care.
# 5. Much of the accuracy comes when the LR falls, so a run in its middle tells little about its end.
#
# ## Questions
#
# <details><summary>1. Why has half the width about a quarter of the multiplications?</summary>
#
# Each convolution multiplies channels in × channels out, and both are halved.
# </details>
# <details><summary>2. What is true of the twelve numbers of a whitened patch?</summary>
#
# They are uncorrelated, and each has the variance 1.
# </details>
# <details><summary>3. Why can the whitening layer be computed instead of trained?</summary>
#
# It depends only on the covariance of the patches, which the training images give; no label is needed.
# </details>
# <details><summary>4. Why does M·Mᵀ·M have the same U and V as M?</summary>
#
# VᵀV and UᵀU are identities, so only S is multiplied: U·S³·Vᵀ.
# </details>
# <details><summary>5. What does an LR of 0.12 mean with Muon, and why can it not mean that with Adam?</summary>
#
# A step moves each layer's filters by about a tenth of their length, because this Muon fixes that length
# and that of the step. With Adam the length of the filters is free, and the LR is the size of a step in
# each single weight.
# </details>
# <details><summary>6. An ablation says that a trick costs 0.3 points. When is it still worth having?</summary>
#
# When it saves time that buys more than 0.3 points elsewhere: compare at equal time.
# </details>
# <details><summary>7. Two seeds say +0.3 and +0.5, and the same recipe scatters by 0.24. What can you say?</summary>
#
# The mean, 0.4, is less than twice its own standard deviation, which is about 0.24 again. It may be a
# gain; at least a third seed is needed.
# </details>
# <details><summary>8. A run of 20 epochs has 80 % after epoch 5, a run of 5 epochs ends with 85 %. Which recipe is better?</summary>
#
# One cannot tell: the LR of the long run has hardly begun to fall. Compare runs that have ended and took
# equally long: give both recipes a schedule of 5 epochs, or of 20.
# </details>
#
# **This was the last notebook.** Now a question of your own: `s10 train --data folder:PATH` trains on your
# images, with a folder for each class. Whatever comes out, ask of it what you asked of the numbers here.
