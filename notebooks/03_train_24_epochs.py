# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. A residual network, 24 epochs
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/s10-course/s10/blob/main/notebooks/03_train_24_epochs.ipynb)
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/s10-course/s10/blob/main/notebooks/03_train_24_epochs.ipynb)
#
# **You will learn** what a residual network is and why it has shortcuts; to build the assignment's
# network block by block; to train it for 24 epochs with the one-cycle policy; and to read what came
# out: curves, class-wise accuracy, confusion matrix, misclassified images.
#
# **You need** notebooks 1 and 2, or LRMIN, LRMAX and the shape of the one-cycle LR from elsewhere.
#
# **Time** to run all cells: about 10 minutes on 2 CPU cores (measured, with a quarter of the
# network's width), with drawn shapes about 2; on Colab's T4 GPU about 8, at full width
# (estimated). Add an hour for the exercises. The shapes are taken without CIFAR-10 and
# internet, or for `setup(data="shapes")` below.

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
# ## Why depth alone fails: the degradation problem
#
# A deeper network can do all that a shallower one can: its extra layers only have to pass on what
# they get. So its *training* loss should never be worse. In practice it is: stacked plainly, more
# layers train worse ([He et al. 2015](https://arxiv.org/abs/1512.03385), section 1). That is not
# overfitting, which would show in the test loss only; it is a failure to *train*. Layers find it
# hard to learn to do nothing.
#
# The remedy is a *shortcut*: let the layers compute only what should be *added* to their input,
# x + F(x). Doing nothing is now F = 0, which is easy, and the gradient reaches early layers through
# the sum undamped.
#
# An experiment: narrow networks of 9 and of 49 convolutions, without and with shortcuts, on 10,000
# images for 5 epochs. **Your prediction first**: which of the four ends with the highest training
# loss?

# %%
my_worst = None  # "9 layers, plain", "49 layers, plain", "9 layers, residual", "49 layers, residual"

# %%
from s10.course.experiments import DeepNet, compare_depths, final_loss

show(DeepNet)
subset = env.subset(10_000, 2_000)
short = recipe.with_epochs(env.size(5, smoke=2))
depths = (9, env.size(49, smoke=13))
depth_table = compare_depths(subset, short, device, depths)

# %%
final = final_loss(depth_table)
print("highest training loss:", max(final, key=final.get), "– you said:", my_worst)
env.add_caption(figures.degradation(depth_table), "networks of 16 channels")

# %% [markdown]
# **Is my number normal?** The training losses of the last epoch against three stored seeds:

# %%
print(reference.compare_experiment("depths", final, short, dataset.name))

# %% [markdown]
# Without shortcuts the deep network is far behind the shallow one, in *training*. With them it keeps
# up. It has the same weights, and nothing was added that could be learned. (That a deeper network is
# *better* takes a longer run than this.)
#
# ## Shortcuts
#
# The identity shortcut needs equal shapes on both sides of the sum. Where a block halves the
# image and changes the channels, He et al. put a 1×1 convolution into the shortcut (a
# *projection*). The assignment avoids the question: its residual blocks keep the shape, and the
# layers that change it have no shortcut.

# %%
figures.shortcuts()

# %% [markdown]
# ### 1×1 convolutions and bottlenecks
#
# A 1×1 convolution looks at one position only and mixes its channels: a small linear layer,
# applied everywhere. It is the cheap way to change the number of channels
# ([Lin et al. 2013](https://arxiv.org/abs/1312.4400)).

# %%
figures.one_by_one()

# %% [markdown]
# Deep residual networks (ResNet-50 and up) use it twice in each block: 1×1 down to a quarter of
# the channels, 3×3 there, 1×1 up again, the *bottleneck*. The assignment's network is shallow
# and does without.

# %%
figures.bottleneck()

# %% [markdown]
# ### Exercise 3.1
# How many parameters has a 3×3 convolution from 64 to 128 channels, without bias, together with the
# batch norm after it?

# %%
parameters = None
exercises.network.parameters_of_a_block(parameters)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# parameters = 3 * 3 * 64 * 128 + 2 * 128
# ```
# </details>

# %% [markdown]
# ## The network, block by block
#
# The network is close to the one with which David Page won a DAWNBench round
# ([How to Train Your ResNet, 2018](https://myrtle.ai/learn/how-to-train-your-resnet/)): few layers,
# wide, and quick to train. Here is your own copy, to change as you like.
#
# First the pieces. A convolution with kernel 3, stride 1 and padding 1 keeps height and width. It
# has no bias, since the batch norm ([Ioffe & Szegedy 2015](https://arxiv.org/abs/1502.03167))
# after it subtracts any constant:

# %%
import torch
from torch import nn


def conv3x3(channels_in, channels_out):
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=1, padding=1, bias=False)


def conv_block(channels_in, channels_out):
    """conv → BN → ReLU: the shape stays the same."""
    return nn.Sequential(
        conv3x3(channels_in, channels_out), nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)
    )


def down_block(channels_in, channels_out):
    """conv → MaxPool → BN → ReLU: height and width are halved."""
    return nn.Sequential(
        conv3x3(channels_in, channels_out),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


x = torch.randn(512, 3, 32, 32)
print("a batch          ", tuple(x.shape))
x = conv_block(3, 8)(x)
print("after conv_block ", tuple(x.shape))
print("after down_block ", tuple(down_block(8, 16)(x).shape))

# %% [markdown]
# ### Exercise 3.2
# At width 64 the layers have 64, 128, 256 and 512 channels. What is the shape of a batch of 512
# after layer 2?

# %%
shape = (None, None, None, None)
exercises.network.shape_after_layer2(shape)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# shape = (512, 256, 8, 8)
# ```
# </details>

# %% [markdown]
# ### Exercise 3.3
# Write the residual block of the assignment: x + (conv → BN → ReLU → conv → BN → ReLU)(x). You may
# use `conv_block`.

# %%
class MyResBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()

    def forward(self, x):
        ...


exercises.network.residual_block(MyResBlock)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# class MyResBlock(nn.Module):
#     def __init__(self, channels):
#         super().__init__()
#         self.branch = nn.Sequential(conv_block(channels, channels), conv_block(channels, channels))
#
#     def forward(self, x):
#         return x + self.branch(x)
# ```
# </details>

# %% [markdown]
# With that block, the whole network is a dozen lines. At the end a max pooling takes the largest of
# the 4 × 4 values in each channel (ResNets usually take their mean, *global average pooling*;
# either way one number a channel is left), and one linear layer makes ten logits of them. The
# softmax is not here: PyTorch's cross-entropy contains it.

# %%
class ResBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.branch = nn.Sequential(conv_block(channels, channels), conv_block(channels, channels))

    def forward(self, x):
        return x + self.branch(x)


class MyResNet(nn.Module):
    def __init__(self, num_classes=10, width=64):
        super().__init__()
        self.prep = conv_block(3, width)
        self.layer1 = nn.Sequential(down_block(width, 2 * width), ResBlock(2 * width))
        self.layer2 = down_block(2 * width, 4 * width)
        self.layer3 = nn.Sequential(down_block(4 * width, 8 * width), ResBlock(8 * width))
        self.pool = nn.MaxPool2d(4)
        self.fc = nn.Linear(8 * width, num_classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.prep(x))))
        return self.fc(self.pool(x).flatten(1))


exercises.network.same_network(MyResNet)

# %% [markdown]
# The check compares it with the library's, `s10/custom_resnet.py`, which is this:

# %%
# NBVAL_CHECK_OUTPUT
show(s10.CustomResNet)

# %% [markdown]
# Shapes, and how much of the image each position sees (its *receptive field*, in pixels):

# %%
figures.network()

# %%
# NBVAL_CHECK_OUTPUT
from s10.course.summary import network_summary

print(network_summary(s10.CustomResNet(width=64)))

# %%
# NBVAL_CHECK_OUTPUT
for width in (64, 32, 16):
    count = sum(p.numel() for p in s10.CustomResNet(width=width).parameters())
    print(f"width {width}: {count:>9,} parameters")

# %% [markdown]
# ### Exercise 3.4
# Compute the receptive field: `layers` is a list of (kernel size, stride). A layer with kernel k adds
# (k − 1) × *jump* pixels, where the jump is the product of the strides before it.

# %%
def receptive_field(layers):
    ...


exercises.network.receptive_field(receptive_field)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def receptive_field(layers):
#     field, jump = 1, 1
#     for kernel, stride in layers:
#         field += (kernel - 1) * jump
#         jump *= stride
#     return field
# ```
# </details>

# %% [markdown]
# ## The training loop
#
# For each batch: forward, loss, backward, step; and after *each batch* a step of the schedule.
# This is the code that runs below, on the command line, and in the tests:

# %%
show(s10.train_epoch, s10.evaluate)

# %% [markdown]
# ## The recipe
#
# Everything that the run depends on:

# %%
print(recipe.to_json())
steps_per_epoch = len(recipe.train_loader(dataset, device))
rates, momenta = s10.simulate_schedule(
    lambda optimizer: recipe.make_scheduler(optimizer, steps_per_epoch),
    recipe.epochs * steps_per_epoch,
)
env.add_caption(s10.plot_schedule(rates, momenta, steps_per_epoch))

# %% [markdown]
# ### The gain of each setting
#
# The assignment leaves many of these settings open. To see what one is worth, take it away and leave
# everything else as it is: an *ablation*. It was made for five of them. What replaces them:

# %%
from s10.course.ablation import ABLATIONS, TERMS, full_recipe_accuracies, stored_ablation

for name, changed in ABLATIONS["assignment"].items():
    changes = changed.differences(s10.Recipe().to_dict())
    print(f"without {TERMS.get(name, name)}: {', '.join(changes)}")

# %% [markdown]
# **Your prediction first**: which of them is missed most?

# %%
my_best_setting = None  # "label smoothing", "decoupled weight decay", …

# %%
from s10.plots.costs import plot_ablation

table, full = stored_ablation("assignment"), full_recipe_accuracies("assignment")
print(f"the full recipe: {full.mean():.2f} ± {full.std(ddof=1):.2f} over {len(full)} seeds")
print(table.drop(columns="time").round(2).to_string(index=False, na_rep="-"))
print("largest gain:", table["ingredient"][0], "– you said:", my_best_setting)
plot_ablation(table, full.std(ddof=1))

# %% [markdown]
# (`without`: test accuracy without it, `gain`: points that the full recipe has more; both at width
# 16. The gray band is the standard deviation of these two seeds; that of the three in the README is
# twice as large.)
#
# A surprise: nothing here is worth much more than another seed, and three settings may even
# harm. Yet label smoothing had stood out by half a point on held-out training images, in *one run*
# for each setting; the border and β2 had not been tried at all. The best of many single runs is
# partly the luckiest. And perhaps a setting that holds a network back is for one that memorizes its
# training images: at width 64 the training accuracy ends near 99%, at width 16
# near 92. Nobody has taken the settings away at width 64 yet.
#
# Why does the recipe keep them? Because these are *test* images. Had they chosen the settings, the
# accuracy on them would no longer tell what to expect of new images.

# %% [markdown]
# **Your prediction first**: what will the test accuracy be after the first epoch, and after the
# last? (Guessing gets 0.1.)

# %%
my_first = None
my_last = None

# %% [markdown]
# ## 24 epochs
#
# One line for each epoch. You may stop the cell with the stop button: it finishes the step, the model
# stays as it is by then, `result.history` has the epochs that are finished, and with one at
# least the cells below work. Replace `s10.CustomResNet` by `MyResNet` to train your own copy.
#
# On Colab the machine may be taken away in the middle. Begin with `setup(keep="drive")`
# above, and the run is saved on your Google Drive as it goes: after a disconnect run the
# cells again, and this one resumes where it was, as if nothing had happened.
#
# Kaggle's machine with two T4 trains on both with one line in a cell,
# `!torchrun --nproc-per-node 2 -m s10 train --data cifar10`; it is a program of its own, since
# each GPU needs a process. The batch stays 512 in all, each GPU takes half of it, and the curves
# and figures are in `runs/`.

# %%
env.print_estimate(recipe.epochs)
s10.seed_everything(recipe.seed)
model = s10.CustomResNet(len(dataset.classes), recipe.width).to(device)
train = recipe.train_loader(dataset, device)
test = recipe.test_loader(dataset, device)
result = s10.fit(
    model, train, test, recipe, dataset.classes, hooks=env.checkpointer("notebook-3")
)

# %%
history = result.history
if history.empty:
    raise SystemExit("no epoch is finished yet: run the cell above again, to its end")
print(exercises.compare_guess("first epoch", my_first, history["test_accuracy"].iloc[0]))
print(exercises.compare_guess("last epoch", my_last, history["test_accuracy"].iloc[-1]))

# %% [markdown]
# **Is my number normal?**

# %%
print(reference.compare_training(history, recipe, dataset.name))
env.add_caption(reference.plot_reference_runs(history, recipe, dataset.name))

# %% [markdown]
# ## Curves

# %%
env.add_caption(s10.plot_curves(history))

# %% [markdown]
# Three things to look for. While the LR is large, the test curve jumps: the weights move too far in
# each step for a steady result. Towards the end both curves smooth out and improve fastest, because
# the LR falls. And the training accuracy is measured *during* the epoch on *augmented* images, which
# are harder; so early on it lies below the test accuracy, although nothing is wrong.
#
# ### Exercise 3.5
# Before you look at the classes: `matrix[t, p]` counts the images of class t that were classified as p.
# Write the accuracy of each class.

# %%
def class_accuracy(matrix):
    ...


exercises.network.class_accuracy(class_accuracy)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def class_accuracy(matrix):
#     return matrix.diagonal() / matrix.sum(axis=1)
# ```
# </details>

# %% [markdown]
# ## Class by class
#
# The bars are 95 % intervals (Wilson 1927): where two overlap widely, the difference may be chance.

# %%
env.add_caption(s10.plot_class_accuracy(result.predictions))

# %%
env.add_caption(s10.plot_confusion(result.predictions))

# %%
pairs = result.predictions.confused_pairs()
print(pairs.head(6).to_string(index=False, float_format="{:.1%}".format))

# %% [markdown]
# ## The mistakes themselves
#
# The most confident ones first. Some are bad images, some are wrong labels, and some show what the
# network goes by: background, color, pose.

# %%
env.add_caption(s10.plot_misclassified(dataset.test_images, result.predictions, count=20))

# %% [markdown]
# And only those of the most confused pair:

# %%
worst = dict(pairs[["true", "predicted"]].iloc[0]) if len(pairs) else {}  # {}: no mistakes at all
env.add_caption(
    s10.plot_misclassified(dataset.test_images, result.predictions, **worst, count=10)
)

# %% [markdown]
# ## What to conclude
#
# - **Where are the errors?** A few classes and a few pairs hold most of them. Which pairs share shape
#   or background?
# - **Train or test?** If the training accuracy is far above the test accuracy, the network
#   memorizes: augment more, decay more. If both are low and close, it is too small or too briefly
#   trained: that is the case of the quarter-width network.
# - **Is a difference real?** 10,000 test images give an accuracy of 90 % with a standard error of
#   0.3 points, and another seed moves it by about as much. Differences of that size mean nothing;
#   run several seeds.
#
# ### Exercise 3.6
# A mistake of many training loops. `batches` is a list of (correct, images), the last batch smaller.
# Write the accuracy over all images.

# %%
def accuracy_over_batches(batches):
    ...


exercises.network.accuracy_over_batches(accuracy_over_batches)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def accuracy_over_batches(batches):
#     correct, images = zip(*batches)
#     return sum(correct) / sum(images)
# ```
# </details>

# %% [markdown]
# ### Exercise 3.7
# The hardest one: a residual block that changes the shape. Its branch is a `down_block` from
# `channels_in` to `channels_out` channels and a `conv_block`; its shortcut is a projection, a 1×1
# convolution without bias. Return their sum. What must the projection have so that both fit?

# %%
class ProjectionBlock(nn.Module):
    def __init__(self, channels_in, channels_out):
        super().__init__()

    def forward(self, x):
        ...


exercises.network.projection_block(ProjectionBlock)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# class ProjectionBlock(nn.Module):
#     def __init__(self, channels_in, channels_out):
#         super().__init__()
#         self.branch = nn.Sequential(
#             down_block(channels_in, channels_out), conv_block(channels_out, channels_out)
#         )
#         self.shortcut = nn.Conv2d(channels_in, channels_out, kernel_size=1, stride=2, bias=False)
#
#     def forward(self, x):
#         return self.branch(x) + self.shortcut(x)
# ```
# With it, layers 1 and 3 of `MyResNet` could be one block each, and layer 2 a residual one as well.
# </details>

# %% [markdown]
# ## Go on
#
# Change one thing and train again: your own `MyResNet` without the shortcut in layer 3, or with a
# `ProjectionBlock` as layer 2, a peak at epoch 12, CutOut off (`dataclasses.replace(recipe, cutout=0)`), batch norm before the pooling. Say
# beforehand what you expect. A short run shows most of it:

# %%
env.print_estimate(short.epochs, subset)
s10.seed_everything(recipe.seed)
mine = MyResNet(len(dataset.classes), recipe.width).to(device)
attempt = s10.fit(
    mine, short.train_loader(subset, device), short.test_loader(subset, device), short,
    dataset.classes,
)
env.add_caption(s10.plot_curves(attempt.history))
