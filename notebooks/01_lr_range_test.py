# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. The LR range test
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/s10-course/s10/blob/main/notebooks/01_lr_range_test.ipynb)
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/s10-course/s10/blob/main/notebooks/01_lr_range_test.ipynb)
#
# **You will learn** what the network is shown (CIFAR-10 and its augmentations), why the learning
# rate (LR) is the first number to get right, how a *range test* finds it in a minute, and how far
# its answer can be trusted.
#
# **You need** Python and a little PyTorch: tensors, a model, a loss, an optimizer.
#
# **Time** to run all cells: about 2 minutes on 2 CPU cores (measured, with a quarter of the
# network's width), with drawn shapes about 2; on Colab's T4 GPU about 3, at full width
# (estimated). Add half an hour for the exercises. Without a GPU the narrow network is taken by
# itself, and the shapes without CIFAR-10 and internet, or for `setup(data="shapes")` below.

# %% [markdown]
# ## Set-up
#
# The last lines of its output say what this machine is and how long the 24 epochs of the
# assignment (notebook 3) would take on it.

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
# ## The images
#
# CIFAR-10 is 50,000 training and 10,000 test photographs of 32 × 32 pixels in ten classes
# ([Krizhevsky 2009](https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf)). Ten of each
# class:

# %%
import numpy as np

classes = dataset.classes[:10]
count = min(10, np.bincount(dataset.train_labels).min())
rows = [np.flatnonzero(dataset.train_labels == c)[:count] for c in range(len(classes))]
images = dataset.train_images[np.stack(rows, axis=1).ravel()]
names = [*classes, *[""] * (len(images) - len(classes))]
title = "One class in each column"
env.add_caption(s10.plot_images(images, names, columns=len(classes), title=title))

# %% [markdown]
# Each pixel is three bytes, 0 to 255. The network wants numbers around zero, so each channel is
# *normalized*: its mean is subtracted and the rest divided by its standard deviation, both taken
# over all pixels of all training images.

# %%
print("classes ", ", ".join(dataset.classes))
print("pixels  ", dataset.train_images.dtype, dataset.train_images.shape)
print("mean    ", dataset.mean)
print("std     ", dataset.std)

# %% [markdown]
# ## Augmentation: never the same image twice
#
# A cat that is moved by three pixels, mirrored, or partly covered is still a cat. Showing the
# network such variants keeps it from memorizing the training images. The assignment has
# three steps:
#
# 1. **pad and crop**: add 4 pixels on each side, then cut a 32 × 32 window at a random place
#    ([He et al. 2015](https://arxiv.org/abs/1512.03385), section 4.2);
# 2. **flip**: mirror left and right, with probability ½;
# 3. **CutOut**: cover a random 8 × 8 square with the mean color
#    ([DeVries & Taylor 2017](https://arxiv.org/abs/1708.04552)).
#
# Here they are one by one, each row the same image ten times:

# %%
from dataclasses import replace


def ten_times(image, settings):
    """The image as ten epochs would see it: uint8 (10, 32, 32, 3)."""
    alone = replace(
        dataset, train_images=image[None].repeat(10, 0), train_labels=np.zeros(10, np.int64)
    )
    batch, _ = next(iter(replace(settings, batch_size=10).train_loader(alone)))
    pixels = batch.permute(0, 2, 3, 1).numpy() * dataset.std + dataset.mean
    return (255 * pixels).round().clip(0, 255).astype(np.uint8)


none = replace(recipe, pad=0, flip=False, cutout=0)
steps = {
    "as it is": none,
    "crop": replace(none, pad=4),
    "flip": replace(none, flip=True),
    "CutOut": replace(none, cutout=8),
    "all three": recipe,
}
image = images[17 % len(images)]
grid = np.concatenate([ten_times(image, settings) for settings in steps.values()])
title = "From top to bottom: " + ", ".join(steps)
env.add_caption(s10.plot_images(grid, title=title))

# %% [markdown]
# The library has the same augmentation twice. For whole batches of tensors, on the device that
# holds the images; this is what the notebooks use, because it is fast:

# %%
from s10.transforms import BatchTransform, cutout_mask, sample_params

show(sample_params, BatchTransform, cutout_mask)

# %% [markdown]
# And as the pipeline of [albumentations](https://albumentations.ai) that the assignment asks for,
# one image at a time. Both draw from the same distribution; the library's tests check that.
# `s10 train --set augment=albumentations` trains with this one.

# %%
from s10.transforms import albumentations_pipeline

show(albumentations_pipeline)
pipeline = albumentations_pipeline(
    dataset.mean, dataset.std, pad=recipe.pad, pad_mode=recipe.pad_mode, flip=recipe.flip,
    cutout=recipe.cutout,
)
shown = np.stack([pipeline(image=image)["image"].permute(1, 2, 0).numpy() for _ in range(10)])
shown = (shown * dataset.std + dataset.mean).clip(0, 1)
env.add_caption(s10.plot_images(shown, title="The same image through albumentations, ten times"))

# %% [markdown]
# ### Exercise 1.1
# How many different images can the three steps make of one? Write the number, or the product.

# %%
versions = None  # for example 3 * 5 * 7
exercises.lr_range.versions_of_one_image(versions)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# versions = (40 - 32 + 1) ** 2 * 2 * (32 - 8 + 1) ** 2
# ```
# A window of 32 in a padded image of 40 has 9 positions each way, a square of 8 in 32 has 25.
# (CutOut lies entirely inside the image here.)
# </details>

# %% [markdown]
# ## Why the LR matters most
#
# Each training step moves every weight against its gradient; the LR says how far. Too small, and
# 24 epochs end before anything is learned. Too large, and the steps jump over every valley. Between
# the two lie only two or three powers of ten, and no other setting does as much harm when it is
# wrong ([Smith 2015](https://arxiv.org/abs/1506.01186), section 3;
# [Smith 2018](https://arxiv.org/abs/1803.09820)).
#
# **A range test** finds them in one short run: start with an LR that is far too small, multiply it
# after each batch, and watch the loss.

# %%
figures.lr_range_anatomy()

# %% [markdown]
# ### Exercise 1.2
# The LR must run from `low` to `high` in equal *factors*. Write the LR of each step;
# step 0 has `low`, and the last one, `steps - 1`, has `high`.

# %%
def exponential_lr(step, steps, low, high):
    ...


exercises.lr_range.exponential_lr(exponential_lr)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def exponential_lr(step, steps, low, high):
#     return low * (high / low) ** (step / (steps - 1))
# ```
# </details>

# %% [markdown]
# ## The range test, batch by batch
#
# **Your prediction first.** At which LR will the loss be lowest? At which will it begin to fall?
# (Somewhere between 1e-6 and 1.)

# %%
my_lr_max = None  # for example 3e-2
my_lr_min = None

# %% [markdown]
# The optimizer is Adam ([Kingma & Ba 2014](https://arxiv.org/abs/1412.6980)), with the momentum
# (β1) that the one-cycle policy of notebook 2 will use where the LR is largest. The test is run
# over three seeds: other initial weights, other batches. The runs are those of
# [torch-lr-finder](https://github.com/davidtvs/pytorch-lr-finder).

# %%
def make_model():
    return recipe.initial_model(dataset).to(device)


def make_loader(recipe):
    return recipe.train_loader(dataset, device)


iterations = env.size(100, smoke=20)
print(f"3 seeds, {iterations} batches each: about {3 * iterations * env.seconds_per_step:.0f} s")

found = s10.range_test_per_batch(
    make_model, make_loader, recipe, lr_low=1e-6, lr_high=1.0, iterations=iterations,
    seeds=(0, 1, 2), on_seed=lambda seed: print(f"seed {seed}", flush=True),
)
print(found.summary())
env.add_caption(s10.plot_lr_range(found))

# %%
print(exercises.compare_guess("LRMAX", my_lr_max, found.lr_max, factor=True))
print(exercises.compare_guess("LRMIN", my_lr_min, found.lr_min, factor=True))

# %% [markdown]
# ## Reading the curve
#
# From left to right: nothing happens; the loss falls, here over two or three powers of ten; it is
# as low as it gets; then it rises and jumps about. **LRMAX** should be as large as training bears,
# because large steps are what makes 24 epochs enough (notebook 2), so it is taken from the bottom
# of the valley. **LRMIN** is where learning begins.
#
# But *where exactly* is the bottom of a noisy curve? Many tools take the LR at the steepest slope.
# Published solutions of this very assignment got suggestions from 4.3e-4 to 5.5e-2 from that.
# Our rule uses *crossings of a level*, which noise moves less:

# %%
from s10 import lr_finder

print(f"LRMIN: the first LR with {lr_finder.ONSET_FRACTION:.0%} of the whole fall done")
print(f"LRMAX: the middle, on the log scale, of the LRs with {lr_finder.NEARLY_DONE:.0%} of it done")
show(lr_finder.choose_from_loss)

# %% [markdown]
# How far do the choices move from seed to seed? `lr_max` and `lr_min` are our rule's, `steepest` is
# the LR at the steepest slope of the very same curves.

# %%
print(found.choices.to_string(index=False, float_format="{:.2g}".format))
for column in ("lr_min", "lr_max", "steepest"):
    print(f"{column:9s} largest / smallest = {found.spread(column):.1f}")

# %% [markdown]
# **Is my number normal?** The repository keeps range tests of the same kind (in `results/`).

# %%
for name, value in (("lr_max", found.lr_max), ("lr_min", found.lr_min)):
    print(reference.compare_lr(name, value, method="per-batch", recipe=recipe, data=dataset.name))

# %% [markdown]
# ### Exercise 1.3
# Write the rule for LRMIN yourself: the first LR at which a tenth of the *fall* (from the first
# loss to the least one) is done. `rates` and `losses` are NumPy arrays of the same length.

# %%
def where_learning_begins(rates, losses):
    ...


exercises.lr_range.where_learning_begins(where_learning_begins)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def where_learning_begins(rates, losses):
#     fall = losses[0] - losses.min()
#     done = (losses[0] - losses) / fall
#     return rates[np.argmax(done >= 0.1)]  # argmax of booleans: the first True
# ```
# </details>

# %% [markdown]
# ### Exercise 1.4
# Three seeds gave three LRMAX. Which single number stands for them? Not their arithmetic mean:
# LRs live on a log scale. Write the mean that fits.

# %%
def middle_of_seeds(values):
    ...


exercises.lr_range.middle_of_seeds(middle_of_seeds)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def middle_of_seeds(values):
#     return np.exp(np.log(values).mean())
# ```
# This is the geometric mean. (The library takes the median, which one odd seed cannot move.)
# </details>

# %% [markdown]
# ## The range test, epoch by epoch
#
# The classic kind, which one of the published solutions used: 20 LRs, evenly spaced from 1e-4 to 1;
# for each, a *new* network is trained for one epoch, and its training accuracy is noted.
#
# **Your prediction first.** Of these 20 LRs, how many will reach half of the best accuracy above
# chance?

# %%
my_count = None  # 0 to 20

# %%
import functools

subset = dataset.subset(env.size(5000, smoke=128))
env.print_estimate(20, subset)
test_epochs = functools.partial(
    s10.range_test_per_epoch,
    make_model,
    lambda seeded: seeded.train_loader(subset, device),
    recipe,
    epochs=env.size(20, smoke=4),
    on_epoch=lambda seed, rate, accuracy: print(f"LR {rate:.4f}: {accuracy:6.2%}", flush=True),
)
classic = test_epochs(lr_low=1e-4, lr_high=1.0)
env.add_caption(s10.plot_lr_range(classic))

# %%
chance = 1 / len(dataset.classes)
above = classic.curves["value"] - chance
count = int((above >= above.max() / 2).sum())
print(exercises.compare_guess("LRs that learn", my_count, count))

# %% [markdown]
# Evenly spaced from 1e-4 to 1, nineteen of the twenty LRs lie above 0.05, where the first test
# has already shown the loss rising. The interesting range is squeezed into the first gap. The same
# test from 1e-4 to 0.05 shows what is there:

# %%
env.print_estimate(20, subset)
closer = test_epochs(lr_low=1e-4, lr_high=0.05)
print(closer.summary())
env.add_caption(s10.plot_lr_range(closer))

# %%
print(reference.compare_lr(
    "lr_max", closer.lr_max, method="per-epoch", recipe=recipe, data=dataset.name
))
print(f"per batch {found.lr_max:.2g}, per epoch {closer.lr_max:.2g}")

# %% [markdown]
# ## What to take
#
# The two kinds ask different questions ("at which LR is the loss lowest after a short climb?" and
# "which LR can a fresh network stand from its first step?"), so they need not agree; a fresh network
# stands less than one that has warmed up, which is one reason for the slow rise of the one-cycle
# policy. What a range test gives is an order of magnitude with one digit. To choose between values
# that close, train with each and compare on *held-out training images*, never on the test images.
# That is how the repository's recipe was chosen:

# %%
print(f"range test here   LRMAX {found.lr_max:.2g}, LRMIN {found.lr_min:.2g}")
print(f"the recipe takes  LRMAX {recipe.lr_max:.2g}, LRMIN {recipe.lr_min:.2g}")

# %% [markdown]
# ### Exercise 1.5
# The hardest one: write CutOut for a batch. `images` is a float tensor (B, 3, 32, 32), already
# normalized; `top` and `left` are integer tensors (B,), one position for each image. Return a
# new tensor in which each image has a square of zeros, `size` × `size`, there. A loop is fine.

# %%
def cutout(images, top, left, size):
    ...


exercises.lr_range.cutout(cutout)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def cutout(images, top, left, size):
#     images = images.clone()
#     for index in range(len(images)):
#         rows = slice(top[index], top[index] + size)
#         columns = slice(left[index], left[index] + size)
#         images[index, :, rows, columns] = 0
#     return images
# ```
# The library does it without a loop: see `cutout_mask` above.
# </details>

# %% [markdown]
# ## The arithmetic that holds for everyone
#
# Whatever the machine and the data: a range test of 100 batches from 1e-6 to 1 multiplies the LR
# by the same factor each time.

# %%
# NBVAL_CHECK_OUTPUT
factor = (1.0 / 1e-6) ** (1 / 99)
print(f"factor a batch {factor:.4f}; batches for a factor of ten {np.log(10) / np.log(factor):.1f}")

# %% [markdown]
# **Next**: notebook 2 turns LRMIN and LRMAX into a schedule, the one-cycle policy.
