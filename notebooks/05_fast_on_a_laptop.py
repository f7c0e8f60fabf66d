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
# **You will learn** where the time of a run goes; six tricks of the fastest recipes, which get the
# accuracy of notebook 3 in a fraction of its time on two cores of a CPU, and the reason behind each;
# and to tell a trick that helps from one that only has a good reason.
#
# **You need** notebook 3, and a little linear algebra: covariance, eigenvectors, singular values.
#
# **Time** to run all cells: about 3 minutes on 2 CPU cores (measured), with drawn shapes about 1;
# on Colab's T4 GPU about 2 (estimated). Add half an hour for the exercises. The shapes are taken
# without CIFAR-10 and internet, or for `setup(data="shapes")` below.

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
# ## Where the time goes
#
# A run is multiplications. A convolution makes one for each weight at each pixel of its output,
# and the backward pass costs twice as much as the forward pass: once for the gradient of the weights,
# once for that of the inputs.
#
# ### Exercise 5.1
# How many multiplications does a convolution make for one image? Its kernel is square (3 for 3×3)
# and its output has side × side pixels.

# %%
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
# PyTorch can count them. Here is the assignment's network at full width, the quarter of it that
# notebook 3 trains on a CPU, and the network of this notebook in two widths:

# %%
# NBVAL_CHECK_OUTPUT
import torch
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
# A quarter of the width has a sixteenth of the work, since a convolution has width × width weights. The
# narrow network is the cheapest for an image; but a wide one *learns more from each image*, and so
# needs fewer of them. Where the best is between, only a measurement tells. The network of this
# notebook has six convolutions, where the assignment's has eight, a first layer of its own kind, and
# no residual branches:

# %%
show(WhitenedNet)

# %% [markdown]
# ## Trick 1: a first layer that need not be learned
#
# Neighboring pixels of a photograph are nearly alike, and so are its red, green and blue. Take a
# *patch* of 2 × 2 pixels: twelve numbers, which all say nearly the same. For a network that sees
# them, their *differences* are hard to find: the gradient goes along the direction that they share.
# The remedy is old, and has a name:
# *whiten* the input, so that its numbers are uncorrelated and each has the variance 1
# ([LeCun et al. 1998](http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf), section 4.3).

# %%
figures.patch_correlation(dataset)

# %% [markdown]
# That is a linear map of a patch, so it is a convolution; its weights follow from the covariance of
# the training images' patches, and it is not trained.
#
# ### Exercise 5.2
# Write it. `covariance` is a symmetric matrix, C; find a W for which W·C·Wᵀ is the identity. (With
# `np.linalg.eigh(C)` you get the variances and, as columns, the directions.)

# %%


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
# ## Trick 2: Dirac initialization
#
# A convolution with random filters makes porridge of its input: six in a row, and the last one learns
# from porridge until the first ones have learned. Here the first filters of every convolution are a
# single 1 in their middle: the layer copies its input. Only where there are more filters than
# channels come in, the remaining ones are random ([Zagoruyko & Komodakis 2017](https://arxiv.org/abs/1706.00388) call it *Dirac*). It is what a
# shortcut does in a residual block, without its cost.

# %%
from s10.speed.whitened_net import block, dirac_init_

show(dirac_init_, block)

# %% [markdown]
# ## Trick 3: Muon
#
# The filters of a layer are a matrix, a row for each output channel; so is their gradient. Such a
# matrix has a few strong directions and many faint ones, its *singular values* say how strong. SGD
# and Adam follow the strong ones. Muon ([Jordan et al. 2024](https://kellerjordan.github.io/posts/muon/))
# takes the momentum U·S·Vᵀ and makes U·Vᵀ of it: all directions count alike. To compute a singular
# value decomposition at each step would be slow. But an odd polynomial of a matrix acts on its
# singular values alone, and a polynomial is only products of matrices, which processors are best at:

# %%
from s10.speed.muon import orthogonalize

show(orthogonalize)
figures.newton_schulz()

# %% [markdown]
# ### Exercise 5.3
# How many of these iterations does it take until a singular value of 0.01 is above 0.5? (Think first:
# as long as s is small, s³ hardly matters. Then compute.)

# %%
iterations = None
exercises.speed.iterations_above_half(iterations)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# s, iterations = 0.01, 0
# while s <= 0.5:
#     s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
#     iterations = iterations + 1
# ```
# </details>

# %% [markdown]
# A real gradient, at the first step of this network. How far are its directions apart, before and
# after?

# %%
from s10.speed.recipes import LAPTOP

env_fast = env.with_recipe(LAPTOP)
fast = env_fast.recipe
s10.seed_everything(0)
model = fast.initial_model(dataset).to(device)
images, labels = next(iter(fast.train_loader(dataset, device)))
torch.nn.functional.cross_entropy(model(images), labels).backward()
gradient = model.block2[4].weight.grad.flatten(1)
for name, matrix in (("gradient", gradient), ("step", orthogonalize(gradient))):
    values = torch.linalg.svdvals(matrix.float())
    print(f"{name}: the strongest direction is {values[0] / values[len(values) // 2]:.1f} times "
          "as strong as the middle one")
model.zero_grad()

# %% [markdown]
# After each of these convolutions is a batch norm, for which the *length* of the filters does not
# matter. So Muon sets it to a constant before each step, and then the LR has a meaning that one can
# say aloud: 0.12 replaces an eighth of them at each step. Biases, batch norms and the last layer are
# no filters; they get Adam.
#
# ## Trick 4: alternating flips
#
# Each epoch shows an image as it is or mirrored. By chance, half of the images come just as they came
# in the epoch before.
#
# ### Exercise 5.4
# With random flips: what fraction of the images has been seen *both* ways after so many epochs?

# %%
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
# With few epochs this matters. So toss a coin for each image once, and then alternate
# ([Jordan 2024](https://arxiv.org/abs/2404.00498), section 3.6): after two epochs all of them have
# been seen both ways, and none comes twice in a row in the same way.
#
# ## Trick 5: low resolution first
#
# What a network learns first, colors and coarse shapes, can be seen in a small image, too. A
# convolution does not ask how large its input is; so the first half of the run gets images of
# 24 × 24 pixels. That is (24/32)² of the pixels, 44 % fewer, and 48 % less work: count it, with
# `millions_of_multiplications(WhitenedNet(width=32), side=24)`. (The test images keep their size. So
# while the network sees small ones, the test accuracy lags behind.)

# %%
from s10.speed.loaders import resize

pixels = torch.from_numpy(dataset.train_images[:8]).permute(0, 3, 1, 2).float()
small = resize(pixels, 24).round().clamp(0, 255).permute(0, 2, 3, 1).byte().numpy()
both = [*dataset.train_images[:8], *small]
env.add_caption(s10.plot_images(both, columns=len(small)), "32 × 32 and 24 × 24")

# %% [markdown]
# ## Trick 6: not too sure of itself
#
# *Label smoothing* ([Szegedy et al. 2015](https://arxiv.org/abs/1512.00567), section 7) asks for 0.82
# on the right class and 0.02 on each of the nine others, instead of 1 and 0. The loss cannot be
# made smaller by ever larger logits then; the network stops to pull at images that it has right, and
# the gradients are left to the others. The recipe of notebook 3 has it, too, half as strong.
#
# ## All together
#
# **Your prediction first**: what will the test accuracy be after the last of these epochs?

# %%
print(fast.to_json())
my_accuracy = None

# %%
env_fast.print_estimate(fast.epochs)
s10.seed_everything(fast.seed)
model = fast.initial_model(dataset).to(device)
train = fast.train_loader(dataset, device)
test = fast.test_loader(dataset, device)
result = s10.fit(model, train, test, fast, dataset.classes)

# %%
accuracy = result.predictions.accuracy
print(exercises.compare_guess("test accuracy", my_accuracy, accuracy))
print(f"{result.seconds:.0f} seconds, with the evaluation after each epoch")
env_fast.add_caption(s10.plot_curves(result.history))

# %% [markdown]
# **Is my number normal?**

# %%
print(reference.compare_training(result.history, fast, dataset.name))

# %% [markdown]
# ## The gain of each trick
#
# Each of them was taken away alone, everything else as it is, with two seeds. (Muon is replaced by
# the assignment's Adam, with the LR, momenta and weight decay of the assignment; nobody has tuned those
# for 7 epochs.) **Your prediction first**: which one is missed most? Is there one that is not missed
# at all?

# %%
my_best_trick = None  # "whitening layer", "Dirac initialization", "Muon", "alternating flips", …

# %%
from s10.course.ablation import full_recipe_accuracies, stored_ablation
from s10.plots.costs import plot_ablation

table, full = stored_ablation("laptop"), full_recipe_accuracies("laptop")
print(f"the full recipe: {full.mean():.2f} ± {full.std(ddof=1):.2f} over {len(full)} seeds")
print(table.round(2).to_string(index=False, na_rep="-"))
print("largest gain:", table["ingredient"][0], "– you said:", my_best_trick)
plot_ablation(table, full.std(ddof=1))

# %% [markdown]
# (`gain`: percentage points of test accuracy; `time`: that of the run without it relative to that of
# the full recipe. Each run had one core, with another run beside it, and such times scatter by a
# tenth; only that of low resolution is more.) Before you read a difference off the figure, recall how
# far runs of the *same* recipe lie apart: the README's three spread over four tenths of a point. One
# trick carries most of it, beyond any such doubt: *Muon*. *Label smoothing* and *alternating flips*
# seem to account for some of the rest. About the *whitening layer* two seeds cannot tell. *Dirac
# initialization*, for which there was such a good reason, has no gain that could be seen here. Perhaps
# Muon does its work: it does not let the faint directions wait.
#
# And *low resolution* seems to cost a little. It is there for the time, and whether it is worth it
# depends on what else the time would buy: in `results/laptop-search.csv`, 6 epochs of which half had
# small images were as good as 5 epochs of large ones, at a twelfth less work. That is little, and
# one run.
#
# Most of the six come from a recipe that was, when it was published, the fastest in the world to 94 %
# ([Jordan 2024](https://arxiv.org/abs/2404.00498)), on a GPU and with a wider network. A trick is not
# true or false; it is worth something somewhere.
#
# ## Looking twice
#
# A network that has been trained on mirrored and shifted images can be asked about several versions of
# a test image, too, and the mean of its answers is a little better (*test-time augmentation*). It
# costs as many forward passes. It is honest as long as it is said: notebook 3 and the README's runs
# of `laptop` are without, those of `laptop-94` are over six views, and say so.

# %%
from s10.runtime.device import pick_precision
from s10.speed.tta import VIEWS, evaluate_with_tta

precision = pick_precision(fast.precision, device)
for views in VIEWS:
    predictions = evaluate_with_tta(
        model, test, dataset.classes, views=views, precision=precision
    )
    print(f"{views} view{'s' * (views > 1)} of each image: {predictions.accuracy:.2%}")

# %% [markdown]
# ## What to conclude
#
# - **Time is work divided by speed.** The processor is the same as in notebook 3, and its speed, too. What
#   is less is the work: an image costs about as much as in the quarter-width network, but there are 7
#   epochs, not 24.
# - **Fewer steps need better ones.** With 7 epochs there is no time for a direction to wait until the
#   others are learned; that is what Muon is for.
# - **Take away one at a time.** Tricks are handed on because they came with a success. Whether each one
#   had a part in it, only its absence tells; and a good reason is not a measurement.
#
# ## Go on
#
# The recipe `laptop-94` is the same with twice the width and 16 epochs, and with six views of each test
# image; with more epochs there is something to regularize, so it has CutOut again, and shifts by up to
# 3 pixels. `s10 train --recipe laptop-94`, and the README says what it gives, and in what time.
#
# Change one thing and predict first: the last convolution of each block as a residual
# one, ReLU in place of GELU (a ReLU with a round corner, which this network has), twice the LR. A short
# run shows most of it:

# %%
from dataclasses import replace

short = replace(fast, low_res_fraction=1.0).with_epochs(env.size(2, smoke=1))
env_fast.print_estimate(short.epochs)
s10.seed_everything(short.seed)
mine = short.initial_model(dataset).to(device)
attempt = s10.fit(mine, short.train_loader(dataset, device), test, short, dataset.classes)
