# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 0. Building blocks
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/s10-course/s10/blob/main/notebooks/00_building_blocks.ipynb)
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/s10-course/s10/blob/main/notebooks/00_building_blocks.ipynb)
#
# **You will learn** the terms that the other notebooks use: learning rate, momentum, Adam, weight
# decay, label smoothing, batch norm, shortcut. Each gets a few sentences, an experiment in plain PyTorch
# and a figure. Change the numbers in a cell and run it again. (The longer cells are long because they
# repeat over three seeds and draw; what they compute stands at their beginning.)
#
# **You need** Python and a little PyTorch: tensors, a model with convolutions, a loss, `backward()`. If
# you know all of the terms, read the assignment and go on to notebook 1.
#
# **Time** to run all cells: less than a minute on 2 CPU cores (measured). Add half an hour for the
# exercises. Neither a GPU nor a data set is needed.

# %% [markdown]
# ## The assignment
#
# Train a given residual network on CIFAR-10, 60,000 photographs of 32 × 32 pixels in ten classes, until
# it classifies at least 90 % of the test images correctly, in 24 epochs. (A *batch* is the set of
# images used in one step, an *epoch* one pass over all training images.) The table puts the
# requirements in our words and says which notebook explains each; do not worry about words that you do
# not know yet:
#
# | part | asked for | notebook |
# | --- | --- | --- |
# | prep layer | 3×3 convolution (stride 1, padding 1) → batch norm → ReLU, 64 channels | 3 |
# | layer 1 | X = 3×3 convolution → 2×2 max pooling → batch norm → ReLU, 128 channels; R = (convolution → batch norm → ReLU), twice, of X; output X + R | 3 |
# | layer 2 | 3×3 convolution → max pooling → batch norm → ReLU, 256 channels | 3 |
# | layer 3 | as layer 1, 512 channels | 3 |
# | end | 4×4 max pooling, a fully connected layer, softmax (which PyTorch's loss contains) | 3 |
# | augmentation | pad by 4 pixels and crop 32 × 32 at random; flip left and right; CutOut of 8 × 8; with albumentations | 1 |
# | LRMIN, LRMAX | to be found by experiment | 1 |
# | schedule | one cycle over 24 epochs, largest LR at epoch 5, no annihilation | 2 |
# | training | batches of 512, Adam, cross-entropy | 0 (what they are), 3 |
# | result | 90 % test accuracy, class-wise accuracy, misclassified images | 3 |
# | code | a package with the model in `custom_resnet.py`; the notebook installs and imports it | 3 |
#
# Notebook 4 looks at what five published solutions did; notebook 5 trains faster. `s10` is the course's
# package: `s10.check_assignment` tells line by line whether your own code meets the assignment.

# %% [markdown]
# ## Set-up

# %% tags=["install"]
try:
    import s10
except ImportError:  # On Colab and Kaggle: this takes about 20 seconds.
    # !pip install -q git+https://github.com/s10-course/s10
    import s10
from s10.course import exercises

# %% [markdown]
# A *seed* determines the random numbers of a program: with the same seed they are the same again. Most
# experiments below that depend on it run with three seeds, so that you see how much is chance.
#
# Where you read **Your prediction first**, replace `None` with your guess and run the cell, then those
# below it; the stored output with the answer is folded, so that it gives nothing away. In an exercise,
# replace `...` or `None` with your code; the last line of the cell checks it.

# %%
SEEDS = (0, 1, 2)

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

plt.style.use("seaborn-v0_8-colorblind")
plt.rcParams.update({"axes.grid": True, "axes.axisbelow": True, "grid.color": "0.9"})
plt.rcParams["figure.constrained_layout.use"] = True

# %% [markdown]
# ## The learning rate: a ball in a valley
#
# Training makes a loss small by changing weights. Take one weight w, the position of a ball, and the loss
# w², a valley with its bottom at 0. The gradient is the slope, 2w. Each step goes against it
# (*gradient descent*):
#
# w ← w − LR · 2w = (1 − 2 · LR) · w
#
# The learning rate (LR) says how far to go. The ball starts at w = 1.
#
# **Your prediction first**: if the LR is too large, the ball no longer gets closer to the bottom, however
# many steps it takes. What is the smallest such LR?

# %%
my_limit = None

# %% jupyter={"outputs_hidden": true}
rates = [0.05, 0.4, 1.2]  # change me

line = torch.linspace(-2, 2, 100)
figure, (panels,) = plt.subplots(1, len(rates), figsize=(9, 2.8), sharey=True, squeeze=False)
for lr, axes in zip(rates, panels):
    w = torch.tensor(1.0, requires_grad=True)
    path = [w.item()]
    for step in range(8):
        loss = w**2
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
        w.grad = None
        path.append(w.item())
    print(f"LR {lr:4}:", *(f"{value:6.2f}" for value in path))
    axes.plot(line, line**2, color="0.6")
    axes.plot(path, [value**2 for value in path], "o-", markersize=4)
    axes.set(title=f"LR {lr}: w = {path[-1]:.2f} after 8 steps", xlabel="w", xlim=(-2.1, 2.1), ylim=(-0.2, 4.2))
panels[0].set_ylabel("loss w²")
plt.show()

# %% jupyter={"outputs_hidden": true} tags=["nbval-check-output"]
tried = [k / 20 for k in range(16, 25)]
ends = [(1 - 2 * lr) ** 100 for lr in tried]
for lr, end in zip(tried, ends):
    print(f"LR {lr}: w = {end:.3g} after 100 steps")
limit = min(lr for lr, end in zip(tried, ends) if abs(end) >= 1)
print(exercises.compare_guess("the limit", my_limit, limit))

# %% [markdown]
# With a small LR it takes many steps; with a good one, a few. With one that is too large, each step jumps
# so far across the valley that it ends higher than it began. The limit is where |1 − 2 · LR| is 1: LR 1.
#
# In a valley twice as steep, 2w², the limit is half as large. A network has as many directions as
# weights, each with its own steepness. One LR must do for all of them, so it has to be found by
# trying: that is notebook 1.

# %% [markdown]
# ## Momentum: a memory of gradients
#
# A batch is a sample of the images, so its gradient is noisy. Gradient descent with such gradients
# is called *SGD*, stochastic gradient descent. An average over the last steps is less noisy. The
# *exponential moving average* keeps one number, m. In each step a fraction β of it stays, and the
# new gradient g fills the rest:
#
# m ← β · m + (1 − β) · g
#
# A gradient that is k steps old counts (1 − β) · βᵏ. The larger β, the longer the memory: about
# 1 / (1 − β) steps.

# %%
betas = [0.5, 0.85, 0.95]  # change me


def moving_averages(gradients, beta):
    m, averages = 0.0, []
    for g in gradients:
        m = beta * m + (1 - beta) * g
        averages.append(m)
    return torch.stack(averages)


rows = {}
for seed in SEEDS:
    torch.manual_seed(seed)
    gradients = 1 + torch.randn(200)  # the true gradient is 1, and each batch adds noise
    averages = {f"β = {beta}": moving_averages(gradients, beta) for beta in betas}
    spreads = {name: values[50:].std().item() for name, values in averages.items()}
    rows[f"seed {seed}"] = {"gradient": gradients.std().item(), **spreads}
print("standard deviations\n" + pd.DataFrame(rows).T.round(2).to_string())

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), width_ratios=(1, 2))
right.plot(gradients, ".", color="0.75")
for beta, (name, values) in zip(betas, averages.items()):
    left.plot([(1 - beta) * beta**k for k in range(40)], label=name)
    right.plot(values)
left.set(xlabel="steps ago", title="how much an old gradient counts")
left.legend()
right.set(xlabel="step", title=f"noisy gradients (dots) and their averages, seed {seed}")
plt.show()

# %% [markdown]
# A single gradient has a standard deviation of about 1 here; the larger β, the steadier the average.
# The price: an average with a long memory notices a change only after many steps. Here that is its
# start, at 0; later it would be a change of direction.
#
# Two optimizers keep such a memory, in different ways.
#
# **SGD with momentum** adds the gradients up: m ← β · m + g, without the factor 1 − β (and β is called
# the *momentum*); the step is LR · m. If the gradient stays the same, m grows towards g / (1 − β), ten
# times g for β = 0.9.
#
# **Adam** ([Kingma & Ba 2014](https://arxiv.org/abs/1412.6980)) keeps two averages for each weight:
#
# - m ← β1 · m + (1 − β1) · g, of the gradients,
# - v ← β2 · v + (1 − β2) · g², of their squares.
#
# The weight changes by **−LR · m / √v**. √v says how large this weight's gradients usually are. So
# the ratio m / √v does not depend on their size, only on how well they agree: it is ±1 if all are equal,
# and near 0 if they cancel out. A weight whose gradients are a thousand times smaller takes steps of the
# same length. (A tiny ε, 10⁻⁸, is added to √v to avoid a division by zero.)
#
# Both averages start at 0, so at first they are too small, as in the figure. The *bias correction*
# makes up for that: for the step t = 1, 2, … Adam takes m / (1 − β1ᵗ) and v / (1 − β2ᵗ) in place of m and
# v; the stored averages stay as they are.

# %% [markdown]
# ### Exercise 0.1
# Write Adam's step. `gradients` is a list of numbers: all gradients of one weight since the first step,
# the newest last.
# Return the change of the weight in the newest step. (Leave out ε.)

# %% tags=["exercise-0.1"]
def adam_step(gradients, lr, beta1, beta2):
    ...


exercises.blocks.adam_step(adam_step)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def adam_step(gradients, lr, beta1, beta2):
#     m = v = 0
#     for g in gradients:
#         m = beta1 * m + (1 - beta1) * g
#         v = beta2 * v + (1 - beta2) * g**2
#     t = len(gradients)
#     m = m / (1 - beta1**t)
#     v = v / (1 - beta2**t)
#     return -lr * m / v**0.5
# ```
# </details>

# %% [markdown]
# ### Does momentum make the steps longer?
#
# **Your prediction first**: the gradient is 1 in every step. The momentum β goes from 0.85 to 0.95.
# How many times longer are the steps then, once m has settled, with SGD and with Adam (β1)? Both
# answers follow from the formulas above. Harder (no variable, just decide): if the gradients are noise, do
# Adam's steps get longer or shorter with a larger β1?

# %%
my_factor_sgd = None
my_factor_adam = None

# %% jupyter={"outputs_hidden": true}
from itertools import product

LR = 0.01
optimizers = {  # β2 is 0.99, β1 from 0.85 to 0.95, as in the later notebooks; PyTorch's are 0.999, 0.9
    "SGD": lambda weights, beta: torch.optim.SGD(weights, LR, momentum=beta),
    "Adam": lambda weights, beta: torch.optim.Adam(weights, LR, betas=(beta, 0.99)),
}
kinds = {
    "always 1": lambda: torch.ones(200, 1000),
    "noise around 0": lambda: torch.randn(200, 1000),
}


def step_length(optimizer, weights, gradients):
    """Mean |step| / LR of all weights in the last 50 steps, when the averages have settled."""
    lengths = []
    for g in gradients:
        before = weights.detach().clone()
        weights.grad = g
        optimizer.step()
        lengths.append((weights.detach() - before).abs().mean().item() / LR)
    return sum(lengths[-50:]) / 50


rows = []
for kind, name, beta in product(kinds, optimizers, (0.85, 0.95)):
    lengths = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        weights = torch.zeros(1000, requires_grad=True)
        optimizer = optimizers[name]([weights], beta)
        lengths.append(step_length(optimizer, weights, kinds[kind]()))
    rows.append([kind, name, beta, *lengths, sum(lengths) / len(lengths)])
columns = ["gradient", "optimizer", "β", *(f"seed {seed}" for seed in SEEDS), "mean"]
table = pd.DataFrame(rows, columns=columns)
print("mean |step| / LR\n" + table.round(3).to_string(index=False))

figure, panels = plt.subplots(1, 2, figsize=(8, 3))
for axes, kind in zip(panels, kinds):
    bars = table[table["gradient"] == kind].pivot(index="optimizer", columns="β", values="mean")
    bars = bars.loc[list(optimizers)]
    bars.plot.bar(ax=axes, rot=0, xlabel="", ylabel="|step| / LR", title=f"gradient: {kind}")
    for group in axes.containers:
        axes.bar_label(group, fmt="%.2f")
plt.show()
for name, guess in (("SGD", my_factor_sgd), ("Adam", my_factor_adam)):
    shorter, longer = table.query("gradient == 'always 1' and optimizer == @name")["mean"]
    print(exercises.compare_guess(f"{name}: times longer", guess, longer / shorter))

# %% [markdown]
# With SGD, momentum lengthens the steps: by a factor of 1 / (1 − β), here 6.7 and 20, if all gradients
# agree. With noise they grow, too, though less: from 1.5 to 2.5. (Mind the scales of the two panels.)
# Adam's do not grow with β1. They have the length LR while all gradients agree, and with a larger β1 they
# even *shrink* when the gradients are noise that averages out. So an LR that suits SGD with momentum
# cannot simply be used with Adam, and advice about SGD's momentum need not hold for β1. Notebook 2
# lowers β1 while the LR is high, and notebook 3 measures what that gains.

# %% [markdown]
# ## Weight decay: two things with one name
#
# Keeping the weights small often makes a network do better on new images. (The assignment does not ask
# for it; the training of notebook 3 has it.) There are two ways to keep them small, with a factor λ:
#
# - **L2**: add λ · w to the gradient (λ · w is the gradient of an extra term ½ λ w² in the loss).
#   The optimizer sees one gradient, g + λ · w.
# - **Decoupled**: the optimizer sees g; and apart from that the weight shrinks in each step,
#   w ← w − LR · λ · w ([Loshchilov & Hutter 2017](https://arxiv.org/abs/1711.05101)).
#
# For SGD without momentum they are the same. Adam divides all that is in the gradient by √v.
#
# **Your prediction first**: all weights start at 1, and λ is 0.1. Some weights get noise of size 3 as
# their gradient, others of size 0.03. Adam with L2: which come closer to 0?

# %%
my_smaller = None  # "large gradients", "small gradients" or "no difference"

# %% jupyter={"outputs_hidden": true}
LR, decay, steps = 0.01, 0.1, 300  # change me
scale = torch.tensor([[3.0], [0.03]])  # size of the gradients of two groups of weights
ways = {
    "SGD, L2": lambda weights: torch.optim.SGD(weights, LR, weight_decay=decay),
    "Adam, L2": lambda weights: torch.optim.Adam(weights, LR, weight_decay=decay),
    "Adam, decoupled": lambda weights: torch.optim.AdamW(weights, LR, weight_decay=decay),
}
ends = {}
figure, panels = plt.subplots(1, 3, figsize=(9, 3), sharey=True)
for axes, (name, make) in zip(panels, ways.items()):
    for seed in SEEDS:
        torch.manual_seed(seed)
        weights = torch.ones(2, 2000, requires_grad=True)  # 2,000 in each group, all start at 1
        optimizer = make([weights])
        means = []
        for step in range(steps):
            weights.grad = scale * torch.randn(2, 2000)
            optimizer.step()
            means.append(weights.detach().mean(dim=1))
        large, small = torch.stack(means).T
        axes.plot(large, color="C0")
        axes.plot(small, color="C2", linestyle="--")
        print(f"{name:15}  seed {seed}  mean weight at the end: ", end="")
        print(f"large gradients {large[-1]:.2f}, small gradients {small[-1]:.2f}")
    ends[name] = {"large gradients": abs(large[-1]), "small gradients": abs(small[-1])}
    axes.set(title=name, xlabel="step", ylim=(-0.1, 1.1))
panels[0].set_ylabel("mean weight")
panels[0].legend(["large gradients", "small gradients"])
plt.show()
closer = min(ends["Adam, L2"], key=ends["Adam, L2"].get)
print(exercises.compare_guess("closer to 0 with Adam and L2", my_smaller, closer))

# %% [markdown]
# With decay alone, all weights would shrink by the same factor, (1 − LR · λ)³⁰⁰ = 0.74. With SGD and L2
# they do, apart from noise; with decoupled decay, too, whatever their gradients. With L2 in Adam it
# depends on the gradient's size: the decay of a weight with large gradients is divided by √v, here
# about 3, so only a third of it is left; where gradients are small, λ · w is at first most of what Adam
# sees, and is scaled up to almost full steps. So with Adam one usually takes decoupled decay, called
# AdamW in PyTorch. Notebook 4 shows what L2 in Adam costs on CIFAR-10.

# %% [markdown]
# ## Label smoothing
#
# The network gives one number z for each class, its *logit*. The softmax turns the logits into
# probabilities p, each eᶻ divided by the sum of all eᶻ, and the *cross-entropy* compares them with
# targets t: −Σ t · ln p, summed over the classes. Usually t is 1 for the true class and 0 for the
# others. The loss then keeps falling as the logit of the true class grows, and never reaches a
# minimum.
#
# *Label smoothing* of ε takes ε from the 1 and shares it out equally among all classes, including the
# true one. (This ε has nothing to do with Adam's.) For ε = 0.1 and ten classes t is 0.91 for the true
# class and 0.01 for the other nine. The loss is lowest when p = t. So the network need not become ever
# more confident about the training images, which often helps on new ones. (The assignment does not ask
# for it either; the training of notebook 3 has it, and notebook 5 more of it.)

# %% [markdown]
# ### Exercise 0.2
# What is the lowest possible loss with these targets, to three decimals?

# %% tags=["exercise-0.2"]
lowest = None
exercises.blocks.lowest_loss(lowest)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# import math
#
# lowest = -0.91 * math.log(0.91) - 9 * 0.01 * math.log(0.01)
# ```
# It is 0.500, the *entropy* of the targets.
# </details>

# %% jupyter={"outputs_hidden": true}
smoothing = 0.1  # change me

margin = torch.linspace(0, 12, 241)  # how far the true class is ahead of the other nine
logits = torch.zeros(241, 10)
logits[:, 0] = margin
true = torch.zeros(241, dtype=torch.long)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
for place, epsilon in ((-0.2, 0.0), (0.2, smoothing)):
    targets = (1 - epsilon) * F.one_hot(torch.tensor(0), 10) + epsilon / 10
    loss = F.cross_entropy(logits, true, label_smoothing=epsilon, reduction="none")
    best = loss.argmin()
    print(f"ε = {epsilon}: lowest loss {loss[best]:.3f}, at a margin of {margin[best]:.2f}")
    left.bar(torch.arange(10) + place, targets, 0.38, label=f"ε = {epsilon}")
    right.plot(margin, loss, label=f"ε = {epsilon}")
left.set(title="targets", xlabel="class (0 is the true one)", xticks=range(10))
right.set(title="loss", xlabel="logit of the true class − the others'", ylim=(0, 2.5))
for axes in (left, right):
    axes.legend()
plt.show()

# %% [markdown]
# Without smoothing, more is always better (12 is only where the curve is cut off). With it the loss has
# a minimum, at a margin of about 4.5; more confidence than that raises the loss. Two consequences for
# reading curves: a training loss with label smoothing of 0.1 cannot fall below 0.50, however good the
# network; and it must not be compared with a loss computed without it. A network that gives every class
# 10 % has the loss ln 10 = 2.30 either way.

# %% [markdown]
# ## Batch norm
#
# Each layer's output is the next one's input. In a deep stack what all images have in common can
# come to outweigh what tells them apart; their scale can drift, too, from layer to layer. The output of a convolution has several *channels*, one for each of
# its filters. *Batch norm* ([Ioffe & Szegedy 2015](https://arxiv.org/abs/1502.03167)) measures each
# channel's mean and variance over the batch, height and width, and standardizes it:
#
# y = scale · (x − mean) / √(variance + ε) + shift
#
# *Scale* and *shift* are two parameters for each channel; they start at 1 and 0 and are learned, so
# that the layer can undo the normalization where that is better. (This ε, 10⁻⁵, again only prevents a
# division by zero.)
#
# The images here are drawn shapes that come with s10. We send 64 of them through ten convolutions,
# initialized by PyTorch, without batch norm and with it. How much do the images still differ before each
# layer's ReLU? For each channel and each position we take the standard deviation over the 64 images. The
# figure shows the mean of these, divided by the mean |x| of the layer, a line for each seed.

# %%
shapes = s10.load_dataset("shapes")


def as_tensor(images):
    """uint8 (N, 32, 32, 3) → float (N, 3, 32, 32), normalized."""
    pixels = torch.from_numpy(images).float() / 255
    return ((pixels - torch.tensor(shapes.mean)) / torch.tensor(shapes.std)).permute(0, 3, 1, 2)


images = as_tensor(shapes.train_images[:64])[:, :, ::4, ::4]  # every fourth pixel is enough here
labels = torch.from_numpy(shapes.train_labels[:64])
print("a batch", tuple(images.shape), "of", len(shapes.classes), "classes")

# %%
channels = 16  # change me

layers = range(1, 11)
figure, axes = plt.subplots(figsize=(6, 3))
for norm, style in ((False, "C0o-"), (True, "C2s-")):
    name = "with batch norm" if norm else "without batch norm"
    for seed in SEEDS:
        torch.manual_seed(seed)
        x, spread = images, []
        for layer in layers:
            x = nn.Conv2d(x.shape[1], channels, 3, padding=1)(x)
            if norm:
                x = nn.BatchNorm2d(channels)(x)
            spread.append((x.std(dim=0).mean() / x.abs().mean()).item())
            x = x.relu()
        print(f"{name:18} seed {seed}", end="  ")
        print("std / mean |x|:", *(f"layer {k} {spread[k - 1]:<7.2g}" for k in (1, 5, 10)), sep="   ")
        axes.plot(layers, spread, style, markersize=4, lw=1, label=None if seed else name)
axes.set(xlabel="layer", xticks=layers, ylabel="std over images / mean |x|", yscale="log")
axes.legend()
plt.show()

# %% [markdown]
# Without batch norm, each layer makes the images more alike. Measured by the size of the outputs, they
# differ at layer 5 about a tenth as much as at layer 1, at layer 10 less than a six-hundredth, with each
# seed. That leaves little by which later layers could tell them apart. With batch norm the images differ
# about as much at layer 10 as at layer 1: what they share is the mean, which batch norm subtracts, and
# the division scales up the rest.

# %% [markdown]
# ### Exercise 0.3
# Write batch norm as it is in training. `x` has the shape (N, C, H, W), `scale` and `shift` (C,).
# Divide the variance by the number of values, not by one less: `correction=0`.

# %% tags=["exercise-0.3"]
def batch_norm(x, scale, shift):
    ...


exercises.blocks.batch_norm(batch_norm)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def batch_norm(x, scale, shift):
#     mean = x.mean(dim=(0, 2, 3), keepdim=True)
#     variance = x.var(dim=(0, 2, 3), correction=0, keepdim=True)
#     normalized = (x - mean) / (variance + 1e-5) ** 0.5
#     return normalized * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)
# ```
# </details>

# %% [markdown]
# ### train() and eval()
#
# At test time an answer must not depend on which other images are in the batch. So batch norm keeps
# *running statistics*. In every forward pass in training mode, whether or not a weight is updated,
#
# running mean ← 0.9 · running mean + 0.1 · mean of the batch,
#
# and the same for the variance (there PyTorch divides by n − 1). After `model.eval()` they take the
# place of the batch's own; `model.train()` switches back. The running mean starts at 0, the running variance
# at 1. (PyTorch calls the 0.1 `momentum`, although it is the share of the *new* value. `BatchNorm1d`,
# below, does for the columns of a matrix what `BatchNorm2d` does for channels.)

# %%
torch.manual_seed(0)
norm = nn.BatchNorm1d(1, momentum=0.1)  # change me
batch_means, running_means = [], []
for step in range(60):
    batch = 3 + 2 * torch.randn(16, 1)  # true mean 3
    norm(batch)
    batch_means.append(batch.mean())
    running_means.append(norm.running_mean.item())
print("running mean after 1, 10 and 60 batches:", *(f"{running_means[k]:.2f}" for k in (0, 9, 59)))
figure, axes = plt.subplots(figsize=(6, 2.8))
axes.plot(batch_means, ".", color="0.6", label="mean of the batch")
axes.plot(running_means, label="running mean")
axes.axhline(3, color="0.3", linestyle=":", label="true mean")
axes.set(xlabel="batch", ylabel="mean")
axes.legend()
plt.show()

# %% [markdown]
# After 10 batches the running mean has made only two thirds of its way from 0 to 3 (1 − 0.9¹⁰ = 0.65);
# after 60 it is there, and each new batch still moves it a little.
#
# What if one forgets `model.eval()`? Take ten classes that are easy to tell apart, clouds of points
# in the plane. For each of three seeds, a small network with batch norm learns them. Then test points go
# through it in batches of 100: with `eval()`; with `train()` and the points in random order; with
# `train()` and sorted by class, so that each batch has one class only; and finally with `eval()` again.
#
# **Your prediction first**: order the first three from best to worst.

# %%
my_order = None  # best first, such as "train, sorted > eval > train, mixed"

# %%
def draw_points(count):
    """`count` points (count, 2) around ten centers on a circle, and their classes (count)."""
    classes = torch.arange(count) % 10
    angles = classes * 2 * torch.pi / 10
    centers = torch.stack([angles.cos(), angles.sin()], dim=1)
    return 3 * centers + 0.4 * torch.randn(count, 2), classes


def make_network():
    return nn.Sequential(
        nn.Linear(2, 32), nn.BatchNorm1d(32), nn.ReLU(),
        nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU(),
        nn.Linear(32, 10),
    )


def train(model, points, classes, epochs=10):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model.train()
    for epoch in range(epochs):
        for batch in torch.randperm(len(points)).split(100):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(points[batch]), classes[batch])
            loss.backward()
            optimizer.step()


@torch.no_grad()
def accuracy(model, points, classes, order):
    """In percent, in batches of 100."""
    right = [model(points[b]).argmax(dim=1) == classes[b] for b in order.split(100)]
    return 100 * torch.cat(right).float().mean().item()


# %% jupyter={"outputs_hidden": true}
results = {name: [] for name in ("eval", "train, mixed", "train, sorted", "eval afterwards")}
for seed in SEEDS:
    torch.manual_seed(seed)
    model = make_network()
    train(model, *draw_points(2000))
    points, classes = draw_points(1000)
    mixed, by_class = torch.randperm(1000), classes.argsort()
    results["eval"].append(accuracy(model.eval(), points, classes, mixed))
    results["train, mixed"].append(accuracy(model.train(), points, classes, mixed))
    results["train, sorted"].append(accuracy(model.train(), points, classes, by_class))
    results["eval afterwards"].append(accuracy(model.eval(), points, classes, mixed))
print("accuracy, %       ", *(f"seed {seed}" for seed in SEEDS), sep="   ")
for name, values in results.items():
    print(f"{name:18}", *(f"{value:6.1f}" for value in values), sep="   ")
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), width_ratios=(1, 2))
left.scatter(*points.T, c=classes, s=4, cmap="tab10")
left.set(title="test points of ten classes", aspect="equal")
for place, values in enumerate(results.values()):
    right.bar([place - 0.27, place, place + 0.27], values, 0.25, color="C0")
right.set(xticks=range(4), xticklabels=results, ylabel="%", title="accuracy, three seeds")
plt.show()
ranked = sorted(list(results)[:3], key=lambda name: -sum(results[name]))
print(exercises.compare_guess("from best to worst", my_order, " > ".join(ranked)))

# %% [markdown]
# With `eval()` at least 96 % are right, for each seed. With `train()` and mixed batches it is one to
# three points less: the mean of a batch of 100 is not quite that of all points. With sorted batches
# about 10 % are right, as if by guessing: batch norm subtracts the mean of the batch, and that *is*
# the class. All ten look the same afterwards. And the last row: those passes with `train()` have
# moved the running statistics, so that the network is worse even with `eval()` again. Test data has
# changed the model.
#
# So: `model.train()` before each training epoch, `model.eval()` before each test. s10 does both.
#
# ## A shortcut, and the gradient through a sum
#
# A layer computes F(x) from x. A *residual* block adds its input to that: y = x + F(x). The path
# around F is the *shortcut*. What does it do to the gradient? By the rule for sums,
#
# dy/dx = 1 + F′(x)
#
# The gradient of the loss reaches a layer through all layers after it, multiplied by each one's
# derivative. Suppose F′ = 0.3 in each of 16 layers:

# %%
slope, depth = 0.3, 16  # change me


def plain(x):
    return slope * x


def residual(x):
    return x + slope * x


for block in (plain, residual):
    start = torch.tensor(1.0, requires_grad=True)
    x = start
    for layer in range(depth):
        x = block(x)
    x.backward()
    print(f"{block.__name__:8}  derivative of {depth} layers: {start.grad:.3g}")

# %% [markdown]
# 0.3¹⁶ is almost nothing; (1 + 0.3)¹⁶ is not. The 1 gives the gradient a path around the layer's
# weights. (But now the gradient can become too large: 1.3¹⁶ is 67.)
#
# Now real layers: 16 convolutions of the same shape, each followed by a ReLU, after one that turns 3
# channels into 16; all at their initial weights. We look at the length (norm) of the gradient
# that each of the 16 gets from the batch of 64 images, without batch norm and with it, with three seeds.
#
# **Your prediction first**: plain, without batch norm. Divide the gradient of the first of the 16
# layers by that of the last: which power of ten do you expect?

# %%
my_ratio = None  # such as 1e-2

# %%
class Stack(nn.Module):
    def __init__(self, depth, shortcuts, norm, channels=16):
        super().__init__()
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.BatchNorm2d(channels) if norm else nn.Identity(),
                nn.ReLU(),
            )
            for _ in range(depth)
        )
        self.fc = nn.Linear(channels, 10)
        self.shortcuts = shortcuts

    def forward(self, x):
        x = self.first(x)
        for layer in self.layers:
            x = x + layer(x) if self.shortcuts else layer(x)
        return self.fc(x.mean(dim=(2, 3)))


# %% jupyter={"outputs_hidden": true}
depth = 16  # change me
figure, panels = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
ratios = {}
for axes, norm in zip(panels, (False, True)):
    name = "with batch norm" if norm else "without batch norm"
    for kind, style in (("plain", "C0o-"), ("residual", "C2s-")):
        norms = []
        for seed in SEEDS:
            torch.manual_seed(seed)
            model = Stack(depth, kind == "residual", norm)
            F.cross_entropy(model(images), labels).backward()
            norms.append(torch.stack([layer[0].weight.grad.norm() for layer in model.layers]))
        norms = torch.stack(norms)  # (seeds, layers)
        ratios[norm, kind] = norms[:, 0] / norms[:, -1]
        numbers = "  ".join(f"{value:8.2g}" for value in ratios[norm, kind])
        print(f"{name:18} {kind:8}", end="  ")
        print("first layer's / last layer's gradient, by seed:", numbers)
        lines = axes.plot(range(1, depth + 1), norms.T, style, markersize=3, lw=1)
        lines[0].set_label(kind)
    axes.set(title=name, xlabel="layer", yscale="log")
panels[0].set_ylabel("norm of the gradient")
panels[1].legend()
plt.show()
middle = ratios[False, "plain"].median().item()
print(exercises.compare_guess("plain, first / last", my_ratio, middle, factor=True))

# %% [markdown]
# Without batch norm, the first layer of the plain network gets one to three millionths of the last
# one's gradient: with SGD and one LR for all layers it learns next to nothing. (Adam would make up for
# that, were it not for its ε of 10⁻⁸, ten times a single weight's gradient there and more; the figure shows
# the norm over a layer's 2,304 weights. So its steps, too, are short.) With shortcuts the first layer gets a
# sixth to a third.
# (The last ones get more, since a layer's gradient also grows with its input, and sums grow from layer
# to layer.) Every layer of the residual network gets a larger gradient than any layer of the plain one.
#
# With batch norm nothing vanishes. In the plain network the first layer now has about ten times the
# gradient of the last, in the residual one 3 to 7 times; with every seed the residual network has the
# smaller ratio. At 16 layers and before any training, batch norm alone does most of the work. What
# shortcuts add to that shows in training, and in deeper networks: notebook 3 trains 49 layers with and
# without, and asks whether the assignment's few layers need them.
#
# ## Recap
#
# 1. The LR sets the length of the steps. There is a largest usable LR, which depends on how steep the loss
#    is; it is found by trying.
# 2. SGD's momentum adds gradients up and lengthens the steps. Adam's β1 averages gradients, its β2
#    their squares; Adam's steps are usually no longer than the LR, whatever β1 is.
# 3. With Adam, apply weight decay to the weights directly (AdamW), not through the gradient.
# 4. Label smoothing gives the loss a lowest value above 0: 0.50 for 0.1 and ten classes.
# 5. Batch norm uses the batch in training and running statistics at test time, so call `model.eval()`.
#    A shortcut adds 1 to the derivative, so the gradient reaches the first layers.
#
# ## Questions
#
# <details><summary>1. The loss is 3w², and w starts at 1. What is the smallest LR at which gradient descent no longer gets closer to 0?</summary>
#
# The gradient is 6w, so each step multiplies w by 1 − 6 · LR. The limit is at LR ⅓.
# </details>
#
# <details><summary>2. About how many steps does an average with β = 0.99 remember?</summary>
#
# 1 / (1 − 0.99) = 100.
# </details>
#
# <details><summary>3. What do β1 and β2 average?</summary>
#
# β1 the gradients, β2 their squares; for each weight on its own.
# </details>
#
# <details><summary>4. Suppose all gradients were ten times as large from the first step on. What would happen to the steps of SGD and of Adam?</summary>
#
# SGD's would be ten times as long. Adam's would stay the same: m and √v would both be ten times as large.
# </details>
#
# <details><summary>5. With L2 in Adam, which weights are decayed most, and why?</summary>
#
# Those with small gradients. λ · w is divided by √v with the rest, and their √v is small.
# </details>
#
# <details><summary>6. Someone trains with label smoothing of 0.1 on ten classes and reports a training loss of 0.3 with it. What do you say?</summary>
#
# That cannot be: the lowest is 0.50. Perhaps the reported loss is one without smoothing.
# </details>
#
# <details><summary>7. Which numbers of a batch norm are learned, which are measured, and which does eval() use?</summary>
#
# Scale and shift are learned; mean and variance are measured. `eval()` uses the learned ones and the
# running mean and variance.
# </details>
#
# <details><summary>8. What is the derivative of x + F(x), and why does it help the first layers?</summary>
#
# 1 + F′(x). Without shortcuts the gradient is multiplied by F′ in each layer, and a product of many
# small numbers vanishes. With them each factor contains the 1, so small F′ do not make it vanish.
# </details>
#
# **Next**: notebook 1 finds the learning rate.
