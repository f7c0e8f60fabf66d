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
# **You will learn** what a residual network is and why it has shortcuts; how to build the assignment's
# network block by block; how to train it for 24 epochs with the one-cycle policy; how to read what came
# out: curves, class-wise accuracy, confusion matrix, misclassified images; and how to see what the
# network looks at.
#
# **You need** notebooks 0 to 2: batch norm, momentum, weight decay and label smoothing are taught in
# notebook 0, LRMIN and LRMAX in notebook 1, the one-cycle schedule in notebook 2.
#
# **Time** to run all cells: about 17 minutes on 2 CPU cores with bf16 instructions, about 29 without
# (both measured, with a quarter of the network's width, which is chosen automatically); on Colab's T4 GPU about 8, at full width (estimated). Add an hour for the exercises. If
# CIFAR-10 cannot be downloaded, drawn shapes are used.

# %% [markdown]
# ## Set-up
#
# On Colab the machine may be disconnected during the long run. With `setup(keep="drive")` below it is
# saved on your Google Drive as it goes: after a disconnect run the cells again, and the training
# resumes where it was, as if nothing had happened.

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
# they get. So its *training* loss should never be worse. In practice it often is, when layers are
# simply stacked ([He et al. 2015](https://arxiv.org/abs/1512.03385), section 1). That is not
# overfitting, which would show in the test loss only; it is a failure to *train*. The usual explanation:
# layers find it hard to learn to do nothing.
#
# The remedy is a *shortcut*: let the layers compute only what should be *added* to their input, x +
# F(x). Doing nothing is now F = 0, which is easy. (The derivative 1 + F′ of notebook 0 helps, too. But
# these networks have batch norm, with which gradients hardly vanish; so that is not the whole reason.)
#
# An experiment: narrow networks of 9 and of 49 convolutions, without and with shortcuts, on 10,000
# images for 5 epochs, one run of each. It takes about a minute on 2 CPU cores. The code is `DeepNet`,
# folded below.
#
# **Your prediction first**: with shortcuts, will the network of 49 layers end with a clearly lower training
# loss than that of 9, a clearly higher one, or one too close to tell from a single run?

# %%
my_answer = None  # "lower", "higher" or "too close to tell"

# %% jupyter={"outputs_hidden": true}
from s10.course.experiments import DeepNet, compare_depths, final_loss

show(DeepNet)
subset = env.subset(10_000, 2_000)
short = recipe.with_epochs(env.size(5, smoke=2))
depths = (9, env.size(49, smoke=13))
depth_table = compare_depths(subset, short, device, depths)

# %% jupyter={"outputs_hidden": true}
final = final_loss(depth_table)
shallow, deep = (final[f"{depth} layers, residual"] for depth in depths)
print(f"training loss with shortcuts: {depths[1]} layers {deep:.3f}, {depths[0]} layers {shallow:.3f}")
print(f"difference {deep - shallow:+.3f} – you said: {my_answer}")

# %% [markdown]
# **Is my number normal?** The same was run with three seeds and stored. The curves are yours, one value
# for each epoch of 20 steps; the short lines at their ends are the stored losses; the title has their
# differences, seed by seed. ("Usual" is where 19 of 20 further runs should lie, and the same seed can
# end elsewhere on another machine, as in notebook 2.)

# %% jupyter={"outputs_hidden": true}
print(reference.compare_experiment("depths", final, short, dataset.name))
stored = reference.stored_experiment("depths", short, dataset.name)
env.add_caption(figures.degradation(depth_table, stored), "networks of 16 channels")

# %% [markdown]
# On CIFAR-10, without shortcuts, the deep network ends far above the shallow one with each of the three
# seeds, in *training*. With shortcuts the two are close, within 0.1, and the seeds disagree about which
# is lower; so the answer is: too close to tell from one run, yours included. Shortcuts remove most or
# all of the harm, although they add nothing that could be learned: both deep networks have equally many
# weights. To show that depth *helps*, one has to train longer.
#
# The assignment's network has eight convolutions, not 49. Whether *it* needs its two shortcuts is measured
# below, after the training.
#
# ## Shortcuts
#
# The identity shortcut needs equal shapes on both sides of the sum. Where a block halves the
# image and changes the channels, He et al. put a 1×1 convolution into the shortcut (a
# *projection*). The assignment needs none: its residual blocks keep the shape, and the layers that
# change it have no shortcut.

# %%
figures.shortcuts()

# %% [markdown]
# ### Beyond the assignment: 1×1 convolutions and bottlenecks
#
# A 1×1 convolution looks at one position only and mixes its channels: a small linear layer,
# applied everywhere. It is the cheap way to change the number of channels
# ([Lin et al. 2013](https://arxiv.org/abs/1312.4400)).

# %%
figures.one_by_one()

# %% [markdown]
# Deep residual networks (ResNet-50 and up) use it twice in each block: 1×1 down to a quarter of
# the channels, 3×3 there, 1×1 up again, the *bottleneck*. You will meet it in larger networks; the
# assignment's is shallow and does without.

# %%
figures.bottleneck()

# %% [markdown]
# ### Exercise 3.1
# How many parameters do a 3×3 convolution from 64 to 128 channels, without bias, and the batch norm
# after it have together? (What batch norm learns, and what it only measures, is in notebook 0.)

# %% tags=["exercise-3.1"]
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
# The network is close to the one with which David Page led DAWNBench, a public ranking of fast
# training, in 2018 ([How to Train Your
# ResNet](https://myrtle.ai/learn/how-to-train-your-resnet/)): few layers, wide, and quick to train. The
# drawing is at width 64, the assignment's. Its lower row shows how much of the image one value of each
# layer depends on, the *receptive field*; exercise 3.4 computes it.

# %%
figures.network()

# %% [markdown]
# Here is your own copy, to change as you like. First the pieces. A convolution with kernel 3,
# stride 1 and padding 1 keeps height and width. It has no bias, since the batch norm after it
# ([Ioffe & Szegedy 2015](https://arxiv.org/abs/1502.03167)) subtracts any constant
# (a max pooling in between passes it on):

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
# The drawing is at width 64. What is the shape of a batch of 512 images after layer 2 at width *32*?

# %% tags=["exercise-3.2"]
shape = (None, None, None, None)
exercises.network.shape_after_layer2(shape)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# shape = (512, 128, 8, 8)
# ```
# </details>

# %% [markdown]
# ### Exercise 3.3
# Write the residual block of the assignment: x + (conv → BN → ReLU → conv → BN → ReLU)(x). You may
# use `conv_block`.

# %% tags=["exercise-3.3"]
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
# either way, one number per channel is left), and one linear layer turns them into ten logits. The
# softmax is not here: PyTorch's cross-entropy contains it. The folded cell defines `ResBlock`, the
# solution of exercise 3.3; put `MyResBlock` in its place below to use yours.

# %% jupyter={"source_hidden": true} tags=["solution"]
class ResBlock(nn.Module):  # the solution of exercise 3.3, so that the notebook runs without yours
    def __init__(self, channels):
        super().__init__()
        self.branch = nn.Sequential(conv_block(channels, channels), conv_block(channels, channels))

    def forward(self, x):
        return x + self.branch(x)


# %%
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
# The check compares it with the library's, in `s10/custom_resnet.py`:

# %% tags=["nbval-check-output"]
show(s10.CustomResNet)

# %% [markdown]
# Its layers, with their shapes and parameters (−1 stands for the batch, of any size):

# %% tags=["nbval-check-output"]
from s10.course.summary import network_summary

print(network_summary(s10.CustomResNet(width=64)))

# %% tags=["nbval-check-output"]
for width in (64, 32, 16):
    count = sum(p.numel() for p in s10.CustomResNet(width=width).parameters())
    print(f"width {width}: {count:>9,} parameters")

# %% [markdown]
# ### Exercise 3.4
# Compute the side of the receptive field in pixels. `layers` is a list of (kernel size, stride). A
# layer with kernel k adds (k − 1) × *jump*, where the jump is the product of the strides before it. A
# single pixel has the field 1 and the jump 1. (A 2×2 max pooling is the layer (2, 2); prep to layer 2 are
# `[(3, 1), (3, 1), (2, 2), (3, 1), (3, 1), (3, 1), (2, 2)]`.)

# %% tags=["exercise-3.4"]
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
# ### Exercise 3.5
# The hardest one: write a residual block that changes the shape. Its branch is a `down_block` from
# `channels_in` to `channels_out` channels, then a `conv_block`; its shortcut is a projection, a 1×1
# convolution without bias (and without the batch norm that He et al. put after it). Return their sum. What
# must the projection do so that the two shapes match?

# %% tags=["exercise-3.5"]
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
# ## The training loop
#
# For each batch: forward, loss, backward, step; and after *each batch*, not each epoch, a step of the
# schedule. That is all:

# %%
import torch.nn.functional as F


def train_one_epoch(model, loader, optimizer, scheduler):
    model.train()  # batch norm uses the batch's own mean and variance
    for images, labels in loader:
        logits = model(images)  # forward
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    return loss.item()


few = env.subset(2_000, 500)  # short, from the first experiment: the recipe with 5 epochs
torch.manual_seed(0)
model = s10.CustomResNet(len(few.classes), width=8).to(device)
loader = short.train_loader(few, device)
optimizer = short.make_optimizer(model)  # AdamW
scheduler = short.make_scheduler(optimizer, len(loader))  # one cycle
for epoch in range(1, short.epochs + 1):
    loader.set_epoch(epoch)  # another order, other crops
    loss = train_one_epoch(model, loader, optimizer, scheduler)
    print(f"epoch {epoch}: loss of the last batch {loss:.3f}")

# %% [markdown]
# The library's loop does the same. It adds what a long run needs: 16-bit arithmetic where the machine
# has it, a progress bar, label smoothing, running sums of loss and accuracy. (The `scaler` is for
# float16: it scales the loss up, so that small gradients do not vanish, and skips steps that overflow.)
#
# The loss in its log is the one *without* smoothing, so that training and test can be compared. That is
# why it can fall below 0.50, the lowest that the smoothed loss can reach (notebook 0).

# %%
show(s10.train_epoch, s10.evaluate)

# %% [markdown]
# ### Exercise 3.6
# Many training loops average the accuracies of the batches. That is wrong if the last batch is
# smaller. `batches` is a list of (correct, images): write the accuracy over all images.

# %% tags=["exercise-3.6"]
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
# ## The recipe
#
# Twelve settings. Most values that the assignment leaves open were
# chosen from single runs, or not compared with others at all (see below).

# %% jupyter={"source_hidden": true}
from IPython.display import Markdown

REASONS = {
    "epochs": "assignment",
    "batch_size": "assignment",
    "pad": "assignment: pad by 4 pixels, then crop 32 × 32 at random",
    "pad_mode": "the border is the mirrored edge (notebook 1)",
    "cutout": "assignment: a square of 8 × 8 pixels is hidden (and images are flipped)",
    "peak_epoch": "assignment: the LR peaks at the end of this epoch",
    "lr_max": "half of it would do as well or better; kept so that stored runs stay comparable (notebook 1)",
    "lr_min": "a thousandth of LRMAX, at the start and at the end: no annihilation (notebook 2)",
    "momentum_min": "β1 of Adam at the peak; it starts and ends at 0.95, opposite to the LR (notebook 2)",
    "beta2": "Adam averages squared gradients over about 100 steps (notebook 0)",
    "weight_decay": "decoupled: an L2 term would be rescaled by Adam (notebook 0)",
    "label_smoothing": "not quite certain targets; in training only (notebook 0)",
}
rows = [f"| `{name}` | {getattr(recipe, name)} | {why} |" for name, why in REASONS.items()]
title = "| setting | value | what it does, or where it comes from |\n| --- | --- | --- |"
Markdown("\n".join([title, *rows]))

# %% [markdown]
# The LR of each step was drawn in notebook 2. `print(recipe)` shows the rest.
#
# ## 24 epochs
#
# **Your prediction first**: what will the test accuracy be after the first epoch, and after the
# fifth, when the LR is at its peak? (Guessing gets 10 %.)

# %%
my_first = None  # such as 0.3 or "30%"
my_fifth = None

# %% [markdown]
# The run prints a line for each epoch. You may stop it with the stop button after the first one: it
# keeps the model, and `result.history` has the finished epochs. Replace `s10.CustomResNet` by
# `MyResNet` to train your own copy. (The hook saves the run if you chose so in the set-up.)

# %% jupyter={"outputs_hidden": true}
env.print_estimate(recipe.epochs)
s10.seed_everything(recipe.seed)
model = s10.CustomResNet(len(dataset.classes), recipe.width).to(device)
train = recipe.train_loader(dataset, device)
test = recipe.test_loader(dataset, device)
result = s10.fit(
    model, train, test, recipe, dataset.classes, hooks=env.checkpointer("notebook-3")
)

# %% jupyter={"outputs_hidden": true}
history = result.history
first, fifth = history["test_accuracy"].iloc[[0, min(5, len(history)) - 1]]
print(exercises.compare_guess("first epoch", my_first, first, fraction=True))
print(exercises.compare_guess("fifth epoch", my_fifth, fifth, fraction=True))

# %% [markdown]
# **Is my number normal?** (One of the stored runs has your seed, 0; at width 16 it ended at 89.79 %. On
# the same processor, with as many cores and the same versions yours repeats it to the last digit.)

# %% jupyter={"outputs_hidden": true}
print(reference.compare_training(history, recipe, dataset.name))
env.add_caption(reference.plot_reference_runs(history, recipe, dataset.name))

# %% [markdown]
# ## Curves

# %% jupyter={"outputs_hidden": true}
env.add_caption(s10.plot_curves(history))

# %% [markdown]
# Three things to look for:
#
# - While the LR is large, the test curve jumps, and the training curve does not. One reason: a training point
#   is a mean over a whole epoch, a test point shows the weights of one moment. Probably another: batch norm's
#   running statistics, used only in the test, lag behind weights that move far in each step.
# - In the last epochs the LR falls to almost nothing, and so do the jumps: in each of the last two the
#   test curve moves by less than a point; the last epoch is the best or close to it. Report the last
#   one in any case: to take the best would be to let test images choose.
# - After the first epoch the training accuracy lies below the test accuracy, although nothing is wrong.
#   It is measured *during* the epoch, most of it with a worse network, and on *augmented* images.
#
# On CIFAR-10 this was so in each of the stored runs, three at width 16 and five at width 64.
#
# ## What each setting gains
#
# The assignment leaves many settings open. To see what one is worth, take it away and leave everything
# else as it is: an *ablation*. We did it for five (after the arrow: what took its place):
#
# - *label smoothing*, 0.1 → 0
# - *decoupled weight decay*, 0.1 → 0
# - *β2*, 0.99 → 0.999, PyTorch's default
# - *inverse momentum cycling*, β1 from 0.95 to 0.85 and back → 0.9 throughout
# - *reflect padding* → the mean color
#
# **Your prediction first**: how many points of test accuracy does the best of the five gain? You have
# seen by how much runs with different seeds differ.

# %%
my_largest_gain = None  # percentage points

# %% jupyter={"outputs_hidden": true}
from s10.course.ablation import full_recipe_accuracies, stored_ablation
from s10.plots.costs import plot_ablation

table, full = stored_ablation("assignment"), full_recipe_accuracies("assignment")
print(f"the full recipe: {full.mean():.2f} ± {full.std(ddof=1):.2f} over {len(full)} seeds")
print(table.drop(columns="time").round(2).to_string(index=False))
print(exercises.compare_guess("largest gain in points", my_largest_gain, table["gain"].max()))
plot_ablation(table, full.std(ddof=1))

# %% [markdown]
# `without` is the test accuracy without the setting; `gain` is how much more the full recipe has with
# the same seed: the mean, its standard deviation, and each seed. All of it was measured with three
# seeds at width 16; the full recipe was run again for it, on a GPU, so its accuracies are not quite
# those above. The gray band is ± the standard deviation of the full recipe, the error bars are those of
# the gains.
#
# A surprise: no setting gains half a point with any seed, and with label smoothing, inverse momentum
# cycling and β2 the result is worse with all. About weight decay and reflect padding the seeds
# disagree. These are not five independent findings: all five gains share the same three runs of the
# full recipe, and three seeds agree by chance in one case of four; a gain of a tenth of a point they
# cannot tell from none.
#
# Yet label smoothing had stood out by 0.6 points on held-out training images, in *one run* for each
# setting ([CSV](https://github.com/s10-course/s10/blob/main/results/recipe-search.csv)); padding and β2
# had not been tried at all. The best of many single runs is partly the luckiest. And for label
# smoothing there may be a second reason: regularization helps a network that overfits, and this narrow
# one hardly does. Its training accuracy ends at 92 % (on augmented images); at width 64 it ends near 99
# %, but there the ablation has not been measured.
#
# Why does the recipe keep them? Because this ablation was measured on *test* images. If these chose the
# settings, the accuracy on them would no longer tell what to expect of new images.

# %% [markdown]
# ### And the shortcuts?
#
# The same question for the network itself: what are its two shortcuts worth, with eight convolutions?
# And does it matter that batch norm comes *after* the pooling, as the assignment wants it? In one variant
# the residual blocks give F(x) in place of x + F(x); in the other the order is conv → BN → MaxPool → ReLU.
# Initial weights, batches and everything else are the same. 24 epochs on CIFAR-10, three seeds, at a quarter
# of the width and at the full one.
#
# **Your prediction first**: how many points of test accuracy do the shortcuts gain at width 16, on
# average over three seeds?

# %%
my_gain_of_the_shortcuts = None  # percentage points

# %% jupyter={"outputs_hidden": true}
from s10.course.experiments import NormBeforePooling, WithoutShortcuts

show(WithoutShortcuts, NormBeforePooling)
for width in (16, 64):
    full, table = full_recipe_accuracies("residuals", width), stored_ablation("residuals", width)
    print(f"width {width}, test accuracy of the assignment's network:", *full.round(2))
    print(table.drop(columns="time").round(2).to_string(index=False))
    in_training = stored_ablation("residuals", width, "train_accuracy").set_index("ingredient")
    gains = in_training.filter(like="seed ").loc["shortcuts"].round(2)
    print("gain of the shortcuts in training accuracy, seed by seed:", *gains, "\n")
gain = stored_ablation("residuals", 16).set_index("ingredient")["gain"]["shortcuts"].round(2)
print(exercises.compare_guess("gain of the shortcuts in points", my_gain_of_the_shortcuts, gain))

# %% [markdown]
# On the test images, *this* network shows no need of its shortcuts: at both widths the seeds disagree about
# the sign, and no difference is larger than 0.3 points. On the training images there is one: without
# shortcuts the training accuracy ends lower with each seed, by 0.7 to 0.8 points at width 16 and by 0.1
# or less at width 64. So they make training a little easier, but eight convolutions can be trained
# without. It is depth that needs them: compare the 49 layers above. The assignment has them because
# residual blocks are what it teaches.
#
# With batch norm *before* the pooling the test accuracy was higher with each of the three seeds at width
# 16 and with two of three at width 64, by up to 0.3 points. That is about as much as two seeds differ by, so
# take it as a hint. (And it is more work: batch norm then has four times as many values to normalize.)

# %% [markdown]
# ## Class by class
#
# In the *confusion matrix*, `matrix[t, p]` counts the images of class t that were classified as p. A row
# says what became of the images of one class: its diagonal entry divided by its sum is the class-wise
# accuracy, or *recall*. A column says what the images that were *called* p really are: its diagonal entry
# divided by its sum is the *precision*.
#
# ### Exercise 3.7
# Write the accuracy of each class. `matrix` is a NumPy array.

# %% tags=["exercise-3.7"]
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
# The same for your network. The error bars are 95 % intervals: if many such test sets were drawn, 95 %
# of such bars would contain the true accuracy. (Each is about two *standard errors* to either side, and
# a standard error is √(p (1 − p) / n) for an accuracy p on n images: for 90 % it is 0.9 points on the
# 1,000 of one class, 0.3 on all 10,000.) Where two overlap widely, the difference may be chance.

# %%
env.add_caption(s10.plot_class_accuracy(result.predictions))

# %%
env.add_caption(s10.plot_confusion(result.predictions))

# %% [markdown]
# The pairs that are confused most often; `fraction` is of all images of the true class:

# %%
pairs = result.predictions.confused_pairs()
print(pairs.head(6).to_string(index=False, float_format="{:.1%}".format))

# %% [markdown]
# ### The full-width network beside it
#
# The assignment's network at width 64 was trained on a GPU for 24 epochs; its logits for the 10,000 test
# images come with s10. Its accuracies beside those of your network, class by class:

# %%
by_class = result.predictions.class_accuracy().set_index("class")[["accuracy"]]
by_class.columns = [f"yours, width {recipe.width}"]
full_width = None
if dataset.name == "cifar10":
    full_width = s10.stored_predictions("assignment", dataset)
    by_class["stored, width 64"] = full_width.class_accuracy()["accuracy"].to_numpy()
    wrong, wrong_there = (p.predicted != p.labels for p in (result.predictions, full_width))
    print(f"overall: yours {result.predictions.accuracy:.2%}, stored {full_width.accuracy:.2%}")
    both = (wrong & wrong_there).sum()
    print(f"misclassified images: {wrong.sum()} and {wrong_there.sum()}, {both} of them by both networks")
print(by_class.sort_values(by_class.columns[0]).to_string(float_format="{:.1%}".format))

# %% [markdown]
# ## The mistakes themselves
#
# Those of your network, the most confident ones first. Some may be poor images or wrong labels; others
# raise the question of what the network relies on: background, color, pose?

# %%
env.add_caption(s10.plot_misclassified(dataset.test_images, result.predictions, count=15))

# %% [markdown]
# And only those of the most confused pair:

# %%
worst = dict(pairs[["true", "predicted"]].iloc[0]) if len(pairs) else {}  # {}: no mistakes at all
env.add_caption(
    s10.plot_misclassified(dataset.test_images, result.predictions, **worst, count=5)
)

# %% [markdown]
# For comparison, the confusion matrix of the full-width network and its most confident mistakes. (The
# darkest color stands for the largest count in each matrix, so compare the numbers, not the colors. Nothing
# is shown here for data other than CIFAR-10.)

# %%
from IPython.display import display

if full_width:
    for figure in (
        s10.plot_confusion(full_width),
        s10.plot_misclassified(dataset.test_images, full_width, count=10),
    ):
        display(env.add_caption(figure, "the stored CustomResNet of width 64"))

# %% [markdown]
# Both networks most often confuse cats with dogs, and take trucks for automobiles. Of the wide
# network's mistakes most are the narrow one's, too (in the stored output 426 of 595): it is the images
# that are hard, not only the network that is small.
#
# ## What the network looks at
#
# The *first layer* works on pixels, so its filters can be shown as images of 3 × 3 pixels. Look for edges,
# light beside dark, and for opposite colors, such as blue beside orange:

# %%
filters = model.prep[0].weight.detach().float().cpu().permute(0, 2, 3, 1)  # (width, 3, 3, 3)
low, high = filters.amin((1, 2, 3), keepdim=True), filters.amax((1, 2, 3), keepdim=True)
images = ((filters - low) / (high - low)).numpy()
env.add_caption(s10.plot_images(images, columns=8, size=1, title="Filters of the first layer"))

# %% [markdown]
# *Feature maps* are what the layers make of one image, here of your network's most confident mistake
# (the first image of the next figure): for each layer the eight maps with the largest values. Each is
# scaled to its own maximum, so compare places, not brightness between maps. Deeper maps are smaller,
# and one can no longer see the image in them.

# %%
import numpy as np

predictions = result.predictions
wrong = predictions.predicted != predictions.labels
confidence = predictions.probabilities.max(axis=1)  # at most 1, so + 1 puts the mistakes first
index = np.argsort(-(confidence + wrong), kind="stable")[:8]  # the most confident mistakes
normalized = torch.cat([images for images, _ in test])[index]  # as the network sees them

model.eval()
count = min(8, recipe.width)
with torch.no_grad():
    x, shown, names = normalized[:1], [], []
    for name in ("prep", "layer1", "layer2", "layer3"):
        x = getattr(model, name)(x)
        largest = x[0].amax(dim=(1, 2)).topk(count).indices
        for values in x[0, largest].float().cpu().numpy():
            shown.append(np.stack([values / max(values.max(), 1e-6)] * 3, axis=-1).clip(0, 1))
        names += [f"{name}, {x.shape[2]} × {x.shape[3]}"] + [""] * (count - 1)
env.add_caption(s10.plot_images(shown, names, columns=count, size=1.1))

# %% [markdown]
# *Grad-CAM* ([Selvaraju et al. 2017](https://arxiv.org/abs/1610.02391)) asks where the network finds
# evidence *for a class*. Three steps: (1) take the feature maps of a layer and the gradient of
# the class's logit (its *score*) with respect to them; (2) average the gradient over each map: the mean
# says how much the map counts for the class; (3) add up the maps with these weights, and keep what is
# positive. Unfold its code:

# %%
from s10.course.gradcam import grad_cam, place, plot_heat

show(grad_cam)
heat, names = [], [f"#{i}" for i in index]
for classes in (predictions.predicted[index], predictions.labels[index]):
    heat.append(grad_cam(model, model.layer3, normalized, torch.tensor(classes, device=device)))
    names += [f"as {dataset.classes[c]}" for c in classes]
env.add_caption(plot_heat(dataset.test_images[index], heat, names))

# %% [markdown]
# Top: the eight most confident mistakes, with their numbers among the test images. Middle: the same in
# gray, under the map for the class that the network names, from no color through yellow to dark red
# (most evidence). Bottom: the map for the label. Where there is no color, what speaks against the class
# weighs as much as what speaks for it, or more. Again each map is scaled to its own maximum, so compare
# places, not colors between maps: dark red in the bottom row may stand for little. Layer 3 has only 4 ×
# 4 positions, so the maps are coarse, and each position depends on the whole image. Try `model.layer2`:
# 8 × 8 positions, each of which sees at most 20 × 20 pixels. (The max pooling after layer 3 passes on
# only the largest value of each map, so a colored place need not have counted in the end.)
#
# ### One mistake, read aloud

# %%
first = index[0]
answer, label = predictions.predicted[first], predictions.labels[first]
for role, c, maps in (("network", answer, heat[0]), ("label", label, heat[1])):
    name, probability = dataset.classes[c], predictions.probabilities[first, c]
    print(f"The {role} says {name}; the network gives it a probability of {probability:.1%}.", end=" ")
    print(f"Most evidence for {name}: {place(maps[0])}.")
image, maps = dataset.test_images[index[:1]], [heat[0][:1], heat[1][:1]]
names = [f"#{first}", f"as {dataset.classes[answer]}", f"as {dataset.classes[label]}"]
env.add_caption(plot_heat(image, maps, names, columns=3, size=2.2))

# %% [markdown]
# On the left is the image, then the map for the class that the network names, then the map for the label: what
# is at the reddest place? (In the stored output: the middle of the animal. For "dog" nothing is colored.) If you would give the image another label than the data set does, the
# mistake may be the label's. A map shows *where*, not *what*: whether it was color, shape or background,
# you find out by changing the image and asking again.
#
# ## Looking twice
#
# A network that was trained on mirrored and shifted images can also be tested on several versions of
# each image, and its logits averaged: *test-time augmentation*. Two views are the image and its mirror
# image; six are these two, each also shifted by one pixel in two opposite directions. It costs as many
# forward passes as there are views, and must be stated with the result. All other accuracies in this
# notebook are from one view.

# %%
from s10.runtime.device import pick_precision
from s10.speed.tta import evaluate_with_tta

precision = pick_precision(recipe.precision, device)  # 16 bits if the training used them
print(f"1 view: {predictions.accuracy:.2%}")
for views in (2, 6):
    more = evaluate_with_tta(model, test, dataset.classes, views=views, precision=precision)
    wrong_now = more.predicted != more.labels
    corrected, new = (wrong & ~wrong_now).sum(), (wrong_now & ~wrong).sum()
    print(f"{views} views: {more.accuracy:.2%}; {corrected} mistakes corrected, {new} new ones", end=" ")
    print(f"(by chance the two numbers would differ by about {(corrected + new) ** 0.5:.0f})")

# %% [markdown]
# It is the same network and the same images each time, so seed noise plays no part. If the views did not
# help, about as many mistakes would appear as vanish, as heads and tails in that many tosses of a coin,
# which differ by about the root of the number of tosses. In the stored output far more vanish: that is
# not chance.
#
# ## Save it, and ask it about a picture of your own
#
# `state_dict()` is a dictionary of all weights and running statistics. The file does not contain the
# network's code: to load it, make the same network first. (If you trained your own copy, that is
# `MyResNet(len(dataset.classes), recipe.width)`.)

# %%
from pathlib import Path

file = Path("runs/my_resnet.pt")
file.parent.mkdir(exist_ok=True)
torch.save(model.state_dict(), file)
loaded = s10.CustomResNet(len(dataset.classes), recipe.width).to(device)
loaded.load_state_dict(torch.load(file, map_location=device, weights_only=True))
again = s10.evaluate(loaded, test, dataset.classes, precision=precision)
print(f"saved: {file.stat().st_size / 1e6:.1f} MB; loaded: test accuracy {again.accuracy:.2%}")

# %% [markdown]
# `s10.predict` cuts out the center square of a picture, resizes it to 32 × 32 pixels, and shows the three
# most probable classes. It warns if colors and textures are unlike those of the training images. But the
# network knows only its ten classes, and may call a teapot a frog without a warning. On Colab you get an
# upload button; elsewhere write `own_pictures("a file or a folder")`. (If you did not train, use
# `s10.load_pretrained()` in place of `loaded`: a network of width 16 with 24 epochs on CIFAR-10.)

# %%
from s10.course import own_pictures

s10.predict(loaded, own_pictures(), dataset).plot()

# %% [markdown]
# (The example, a drawn present, belongs to none of the ten classes. The network is unsure, and the
# warning appears.)
#
# ## What to conclude
#
# - **Where are the errors?** A few classes and a few pairs have more than their share. Which pairs
#   share shape or background?
# - **Train or test?** If the training accuracy is far above the test accuracy, the network memorizes:
#   augment more, decay more. If both are low and close, the network is too small, too briefly trained,
#   too strongly regularized, or trained at an unsuitable LR. (The quarter-width network has the recipe
#   of the full one and ends lower in both: there its size is the likely reason.)
# - **Is a difference real?** 10,000 test images give an accuracy of 90 % with a standard error of
#   0.3 points, and another seed moves it by about as much. Between two single runs a difference of that
#   size means nothing: run several seeds, and compare seed with seed.

# %% [markdown]
# ## What you would hand in
#
# The assignment is in notebook 0. You would hand in:
#
# - a package with the network in `custom_resnet.py`, the augmentation and the training loop: a folder
#   with these files and an `__init__.py`, and beside it a `pyproject.toml`. Pushed to GitHub it can be
#   installed with `pip install git+` and the repository's address. The whole `pyproject.toml`:
#
#   ```toml
#   [project]
#   name = "my_package"  # the folder's name, too
#   version = "0.1"
#   dependencies = ["torch", "torchvision", "albumentations"]
#
#   [tool.setuptools]
#   packages = ["my_package"]
#   ```
# - a notebook that imports it, with the range test, the printed log of 24 epochs, the curves, the
#   accuracy of each class and misclassified images;
# - a README that says what came out.
#
# Does your own code meet the assignment? Here is `MyResNet` with this notebook's recipe; put in your
# own augmentation (an albumentations `Compose`, a torchvision transform, or any function from an image to
# a tensor), a function that makes your scheduler, and your history. (Without a GPU the history is that of
# width 16, so the line on accuracy is not about `MyResNet()`, which has width 64. The three stored runs of
# width 16 ended at 89.8, 90.1 and 90.5 %; the full one has about 94 %. What you hand in should be trained
# at width 64, for which Colab's GPU is enough.)

# %%
s10.check_assignment(
    network=MyResNet(),
    transforms=recipe,
    schedule=lambda optimizer: recipe.make_scheduler(optimizer, len(train)),
    history=result.history,
)

# %% [markdown]
# ## Go on
#
# Change one thing and train again: three seeds for each variant, on 10,000 images for 5 epochs. Switch
# on what you like, and predict the sign of the difference first. To try a network of your own, change
# `MyResNet` above (for example, make layer 2 the `ProjectionBlock` of exercise 3.5), run its cell again
# (its check will then say that the network differs, as it should), and switch on "MyResNet".

# %% jupyter={"outputs_hidden": true}
from dataclasses import asdict, replace

from s10.course.experiments import (
    NormBeforePooling,
    WithoutShortcuts,
    compare_variants,
    paired_differences,
    with_model,
)
from s10.plots import plot_schedules

variants = {
    "the assignment's network": short,
    "without its two shortcuts": WithoutShortcuts(**asdict(short)),
    "batch norm before the pooling": NormBeforePooling(**asdict(short)),
    "MyResNet": with_model(short, lambda classes: MyResNet(classes, recipe.width)),
    "no CutOut": replace(short, cutout=0),
    "peak in the middle": replace(short, peak_epoch=short.epochs / 2),
}
print("to choose from:", ", ".join(variants))
# The first is what the others are compared with.
switched_on = ["the assignment's network", "without its two shortcuts"]
my_sign = None  # "higher" or "lower"

if env.smoke:  # The tests run all of them.
    switched_on = list(variants)
env.print_estimate(3 * len(switched_on) * short.epochs, subset)
table = compare_variants({name: variants[name] for name in switched_on}, subset, device)

# %% jupyter={"outputs_hidden": true}
print("test accuracy against the first, in percentage points – you said:", my_sign)
print(paired_differences(table).round(2).to_string())
env.add_caption(plot_schedules(table, by="variant"))

# %% [markdown]
# In the stored output the seeds disagree about the shortcuts, from −3.2 to +1.8 points. That is the
# scale for all variants: and even if three seeds agree, they do so by chance in one case of four, and
# all share the same 2,000 test images. What helps in 5 epochs on 10,000 images need not help in 24 on
# 50,000: to find out, train with `recipe` in place of `short`, on `dataset` (on
# `dataset.hold_out(5000)` if it is to choose a setting).
#
# ## Recap
#
# 1. A deep stack of plain layers trained much worse than a shallow one; with shortcuts, x + F(x), about
#    as well. The usual explanation: doing nothing is then F = 0, which is easy to learn.
# 2. The loop is forward, loss, backward, step, and after each batch a step of the schedule.
# 3. While the LR is large the test accuracy jumps; it settles as the LR falls. Judge the last epoch.
# 4. One number hides much: look at classes, at pairs of classes, at single images, and at what the network
#    looks at.
# 5. Compare seed with seed, over several seeds; and never let test images choose a setting. On the
#    test images eight layers did as well without their shortcuts; in training slightly worse.
#
# ## Questions
#
# <details><summary>1. How can you tell a failure to train from overfitting?</summary>
#
# By the training loss. If it is high, the network fails to train; if it is low and the test loss is high, it
# overfits.
# </details>
#
# <details><summary>2. Why is it easy for a residual block to do nothing?</summary>
#
# Its output is x + F(x), so F = 0 is enough. Plain layers would have to learn to reproduce their input.
# </details>
#
# <details><summary>3. A block halves the image and doubles the channels. Why can x not be added to its branch, and what is done?</summary>
#
# The shapes differ. A 1×1 convolution with stride 2 and twice the channels, a projection, makes them equal.
# The assignment's residual blocks keep the shape, so that x itself can be added.
# </details>
#
# <details><summary>4. Why does a convolution before a batch norm have no bias?</summary>
#
# Batch norm subtracts the mean of each channel, and any constant with it; its own shift takes the
# bias's place.
# </details>
#
# <details><summary>5. After the first epoch the training accuracy is below the test accuracy. Is something wrong?</summary>
#
# No. It is measured during the epoch, mostly with a worse network, and on augmented images.
# </details>
#
# <details><summary>6. Of all images called "cat" 80 % are cats. Is that the class-wise accuracy of cats?</summary>
#
# No, that is the precision, a column of the confusion matrix. The class-wise accuracy asks how many of
# the cats, a row, were called cat.
# </details>
#
# <details><summary>7. What are the three steps of Grad-CAM?</summary>
#
# The gradient of the class's score with respect to each feature map; its mean over the map as the map's
# weight; the sum of the weighted maps, where it is positive.
# </details>
#
# <details><summary>8. One run with a change is 0.3 points better on 10,000 test images. What do you do?</summary>
#
# Nothing follows yet: another seed moves the accuracy by as much. Run several seeds of both and compare
# seed with seed, on held-out training images if it is to choose a setting.
# </details>
#
# **Next**: notebook 4 looks at what five published solutions did, and what each mistake costs.
