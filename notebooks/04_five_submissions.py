# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. Five submissions, one assignment
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/s10-course/s10/blob/main/notebooks/04_five_submissions.ipynb)
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/s10-course/s10/blob/main/notebooks/04_five_submissions.ipynb)
#
# **You will learn** to read other people's results as evidence: to reconstruct from a log what its
# README does not say, to measure what well-known mistakes cost, one at a time, and why the parts do
# not add up to the whole.
#
# **You need** notebooks 1 to 3: what the LR range test, one cycle and the network are.
#
# **Time** to run all cells: about 4 minutes on 2 CPU cores (measured, with a quarter of the
# network's width), with drawn shapes about 2; on Colab's T4 GPU about 4, at full width
# (estimated). Add half an hour for the exercises. The shapes are taken without CIFAR-10 and
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
# ## The five
#
# Five people published their solutions of this assignment. All had the same task, the same data
# and the same 24 epochs, and their READMEs state 78, 87, 91.4 and 91.5% on the test set;
# one states none. Each was rebuilt here, mistakes included, from what its README shows:

# %%
# NBVAL_CHECK_OUTPUT
from s10.course import measured
from s10.submissions import SUBMISSIONS

stated = ["submission", "parameters", "stated train", "stated test"]
print(measured.submission_table()[stated].to_string(index=False, na_rep="-"))

# %% [markdown]
# ### Networks
#
# Three name the assignment's network and show no code of it; for them we take ours. The other two
# print theirs, and they came out like this:

# %%
figures.five_networks()

# %% [markdown]
# ### Schedules
#
# Each is meant to be one cycle, and they have hardly anything else in common. LRMAX, the peak, is
# 0.0019 in one README and 0.8 in another (which explains the policy with somebody else's example,
# and does not say what it used itself). That is no contradiction, since an LR means nothing
# without its optimizer: SGD moves a weight by LR × gradient, and gradients here are small; Adam
# divides the gradient by its usual size first, so that it moves each weight by about the LR
# itself, whatever the gradient. (The flat line at the bottom is meant to be a cycle, too. We
# come to it.)

# %%
from s10.plots.costs import plot_costs
from s10.submissions.plots import plot_published_curves, plot_submission_schedules

plot_submission_schedules()

# %% [markdown]
# ### What a README leaves open
#
# No README says everything. Whoever repeats such a run has to fill in the rest, and should say how:
# what we took, and why, stands in `s10/submissions/published.py`, for example

# %%
for setting, choice in SUBMISSIONS["eva4-s11"].chosen.items():
    print(f"{setting:14s} {choice}")

# %% [markdown]
# ## Reading a log
#
# Three of the five also published what their run printed, epoch by epoch. Printed numbers
# are evidence: they can be recomputed.
#
# ### eva4-s11: to the last digit

# %%
# NBVAL_CHECK_OUTPUT
eva4 = SUBMISSIONS["eva4-s11"]
print(eva4.log()[["epoch", "lr", "momentum"]].head(6).to_string(index=False, float_format=str))

# %% [markdown]
# Where does a peak of 0.05272631578947369 come from? From its range test: 20 epochs, each at another
# LR, evenly spaced from 0.0001 to 1. The peak is the second of these 20.
#
# ### Exercise 4.1
# Write the LR of each epoch (from 1 to 24): from a tenth of LRMAX in epoch 1 in a straight line to
# LRMAX in epoch 5, and in another one back to a tenth of it in epoch 24. The check compares it with
# the log.

# %%
LR_MAX = 1e-4 + (1 - 1e-4) / 19


def lr_of_epoch(epoch):
    ...


exercises.submissions.lr_of_each_epoch(lr_of_epoch)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# LR_MAX = 1e-4 + (1 - 1e-4) / 19
#
# def lr_of_epoch(epoch):
#     low = LR_MAX / 10
#     if epoch <= 5:
#         return low + (LR_MAX - low) * (epoch - 1) / 4
#     return LR_MAX + (low - LR_MAX) * (epoch - 5) / 19
# ```
# </details>

# %% [markdown]
# So its LRs and momenta are what they claim to be. (The accuracies beside them cannot be checked in
# this way: for those somebody has to train.) And `s10 train --recipe eva4-s11` trains with these
# very numbers:

# %%
# NBVAL_CHECK_OUTPUT
rates, momenta = s10.simulate_schedule(
    lambda optimizer: eva4.recipe.make_scheduler(optimizer, 98), 24 * 98
)
log = eva4.log()
print("LRs equal to 1e-15:    ", abs(log["lr"] - rates[::98]).max() < 1e-15)
print("momenta equal to 1e-15:", abs(log["momentum"] - momenta[::98]).max() < 1e-15)

# %% [markdown]
# Here is its range test, on fewer images: 20 LRs, one epoch each, a new network for each of them.

# %%
from dataclasses import replace

subset = env.subset(10_000, 2_000)
as_eva4 = replace(eva4.recipe, width=recipe.width, batch_size=recipe.batch_size, data=dataset.name)
env.print_estimate(20, subset)
range_test = s10.range_test_per_epoch(
    lambda: as_eva4.initial_model(subset).to(device),
    lambda seeded: seeded.train_loader(subset, device),
    as_eva4,
    epochs=env.size(20, smoke=4),
)
print(range_test.summary())
env.add_caption(s10.plot_lr_range(range_test))

# %% [markdown]
# The accuracies are low because an epoch of 10,000 images has only 20 steps (chance is 10 %; the
# published test had all images, and the whole width). What matters is where they are highest.
# Half of the LRs of such an evenly spaced test lie above 0.5, and between its first two, 0.0001
# and 0.053, is nothing at all, although that is a factor of 500. "The second of 20" only says:
# somewhere below 0.1. Notebook 1 spaced its LRs by a constant *factor*.
#
# ### eva8-s8: a log against its README
#
# This README prints the call that made its schedule, `OneCycleLR` with `max_lr` 0.1552225357427048
# and `final_div_factor` 100, and also the LR after each epoch. The two do not agree:

# %%
# NBVAL_CHECK_OUTPUT
import numpy as np

from s10.submissions.fit_schedule import fit_one_cycle, printed_rates

eva8_log = SUBMISSIONS["eva8-s8"].log()["lr_after"].to_numpy()
settings = dict(epochs=24, steps_per_epoch=98, pct_start=0.2, div_factor=10)
as_stated = printed_rates(0.1552225357427048, 100, **settings)
fitted = fit_one_cycle(eva8_log)
print(f"as the README says: off by up to {np.abs(as_stated - eva8_log).max():.1g}")
print(f"max_lr {fitted.max_lr:.6f}, final_div_factor {fitted.final_div_factor:.4g}: ", end="")
print("off by less than 1e-7" if fitted.largest_error < 1e-7 else fitted.largest_error)

# %% [markdown]
# Between its corners the schedule is linear in LRMAX and in the LR of its end; so least squares
# finds both from the 24 printed numbers, and the fit leaves nothing over. The log is from another
# run than the text. This happens when a notebook is run twice and a README written once, and it
# is why `s10 train` writes recipe and log into one folder.
#
# ### Exercise 4.2
# One printed LR is enough, if you know the rest. `OneCycleLR` rises in a straight line from LRMAX /
# 10 at step 0 to LRMAX at step 0.2 · 2352 − 1 = 469.4. The log's first LR was printed after 98 steps.
# Write what LRMAX follows from it.

# %%
def lr_max_from(lr):
    ...


exercises.submissions.lr_max_of_a_log(lr_max_from)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def lr_max_from(lr):
#     return lr / (0.1 + 0.9 * 98 / 469.4)
# ```
# </details>

# %% [markdown]
# One thing more. The last LR of the log lies *below* the end of the schedule that printed it:

# %%
# NBVAL_CHECK_OUTPUT
end = fitted.max_lr / 10 / fitted.final_div_factor
print(f"end of the schedule {end:.7f}, last LR of the log {eva8_log[-1]:.7f}")

# %% [markdown]
# PyTorch's `OneCycleLR` may be stepped once past its end, and then goes on along its last line. Here
# that did no harm, since no batch was trained with it. But the smaller the final LR, the farther
# below it: with a `final_div_factor` of 200 instead of 50 that step makes the LR negative.
#
# ### era1-s10-strided: a cycle that is not there
#
# The published curves, and ours, at a quarter of the network's width (so ours should be *lower*).
# Of era1-s10-strided there are two of ours; dashed is the one that does what its README prints:

# %%
plot_published_curves(measured.stored_submissions("cifar10", 16, "submission", "variant"))

# %% [markdown]
# Look at the first panel. The published curve is smooth, from the first epoch to the last. But while an
# LR is high, test accuracy jumps up and down, as in notebook 3; the LR of this README is to peak
# in epoch 5. How far does the published accuracy ever fall from one epoch to the next?

# %%
# NBVAL_CHECK_OUTPUT
for name in ("era1-s10-strided", "eva4-s11"):
    change = SUBMISSIONS[name].log()["test_accuracy_percent"].diff()
    print(f"{name:17s} falls by {-change.min():.2f} points in epoch {change.idxmin() + 1}")

# %% [markdown]
# eva4-s11 falls where its LR is highest. Nothing in the other log shows that its LR was ever high; and
# a run that does what the README prints (dashed) jumps as much as eva4-s11's, and ends ten points
# above the published one, with a network of a quarter of the width.
#
# The README makes its `OneCycleLR` for a step after each *batch* (`steps_per_epoch=len(train_loader)`),
# and does not show the loop. If the loop steps it once an *epoch*, then 24 epochs are the first 24
# of its 2,352 steps, and the LR stays between 0.00002 and 0.00003. That is a guess; but a guess that
# can be tested. The first two epochs, trained both ways, at full width:

# %%
print(measured.first_epochs().round(2).T.to_string())

# %% [markdown]
# Stepped once an epoch, our run is within 1.4 points of the log in all four numbers; stepped after
# each batch, it is off by 3 to 11. So the LR stayed near its start. (Whether the loop steps once an
# epoch or never, two epochs cannot tell: the LRs differ by a thousandth.) It is in none of the
# lines that the README shows. The solid orange line in the panel above is that recipe for all 24
# epochs: with so small an LR the narrow network is far from trained when they end. What this costs
# in our recipe is among the measurements below.

# %% [markdown]
# ## Which difference costs how much?
#
# Now the post-mortem. A *pitfall* is one thing in which a submission differs from our recipe
# of notebook 3. Each of them can be switched on alone:

# %%
# NBVAL_CHECK_OUTPUT
from s10.submissions import PITFALLS

for name, pitfall in PITFALLS.items():
    found_in = (each + "*" * pitfall.inferred_in(each) for each in pitfall.found_in)
    print(f"{name}: {', '.join(found_in)}\n    {pitfall.summary()}")

# %% [markdown]
# A star means: the README does not say so; it follows from its log, or is our choice. An LRMAX is
# that of the submission, but in our recipe, with Adam. SGD gets the LR and the decay of Page's
# winning entry, not Adam's. "LRMIN a tenth of LRMAX" is eva4-s11's LRMIN: without annihilation the
# run ends there. The "std of single images" is the mean of the standard deviations *within* each image;
# an image has less contrast than the whole set, and so the inputs come out larger by a fifth to
# a third. "L2" is weight decay as a part of the gradient; exercise 4.4 comes to it.
#
# **Your prediction first**: which costs most, which costs nothing, and how many points of test
# accuracy does each cost? Fill in as many as you like.

# %%
my_costliest = None  # one of the names above
my_cheapest = None
my_costs = None  # such as {"ReLU before BN": 2.5, "annihilation": 1}

# %% [markdown]
# ### Three of them, switched on
#
# A small run shows how it is done: 10,000 images, 5 epochs, the recipe and three pitfalls.

# %%
from s10.course.experiments import compare_pitfalls, final_accuracy, train_each
from s10.plots import plot_schedules

show(compare_pitfalls, train_each)
names = ("std of single images", "softmax before the loss", "L2 of 1e-2 in Adam")
epochs = env.size(5, smoke=2)
env.print_estimate(4 * epochs, subset)
table = compare_pitfalls(subset, recipe, names, epochs, device)
env.add_caption(plot_schedules(table, by="pitfall"))

# %% [markdown]
# **Is my number normal?** The same experiment over three seeds is kept in the repository:

# %%
final = final_accuracy(table, by="pitfall")
print(reference.compare_experiment("pitfalls", final, recipe.with_epochs(epochs), dataset.name))

# %% [markdown]
# The softmax shows at once. The wrong std does not: the first batch norm divides by the larger
# standard deviation again. And L2? Look at its *test* curve: in the first epochs it lies far below the
# recipe's, in each of the stored seeds, although the training loss is the same. In the last one,
# when the LR has fallen, it has caught up. Who prints only the last epoch of a short run sees
# nothing; the measurement over 24 epochs below says something else. A short experiment answers short
# questions.
#
# ### Exercise 4.3
# With a softmax at its end the network gives probabilities, and cross-entropy takes the softmax of
# them once more. How small can the loss get, with ten classes? (Think of a network that is sure and
# right.)

# %%
lowest = None
exercises.submissions.lowest_loss(lowest)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# import math
#
# lowest = -math.log(math.e / (math.e + 9))
# ```
# </details>

# %% [markdown]
# A training loss that stays above 1.46 while the accuracy rises is a good sign of this mistake. Is it
# one? The task sheet does end with "SoftMax"; but PyTorch's `cross_entropy` contains it (notebook
# 3), and in `forward` it is taken twice. A *log*-softmax there, which era1-s10-strided has, changes
# nothing: the softmax of log-probabilities gives the probabilities back.
#
# ### Exercise 4.4
# Weight decay can be a term of the loss, ½ · decay · weight², whose gradient, decay · weight, is
# added to the other one (*L2*); or it can shrink the weight directly by lr · decay · its old value
# (*decoupled*, [Loshchilov & Hutter 2017](https://arxiv.org/abs/1711.05101)). In plain SGD that is
# the same. In Adam not: write its first step, which is lr · g / |g| for a gradient g, with both kinds
# of decay.

# %%
def first_step(weight, gradient, lr, decay, decoupled):
    """The weight after the step."""
    ...


exercises.submissions.first_step_of_adam(first_step)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def first_step(weight, gradient, lr, decay, decoupled):
#     if decoupled:
#         weight = weight * (1 - lr * decay)
#     else:
#         gradient = gradient + decay * weight
#     return weight - lr * np.sign(gradient)
# ```
# A weight that hardly matters for the loss has a tiny gradient; with L2 in Adam the decay then
# decides the sign, and the weight goes to zero at full speed, lr a step, however small the decay is.
# Where the gradient is large, the decay does next to nothing.
# </details>

# %% [markdown]
# ## All of them, measured
#
# Each pitfall alone in the assignment's recipe: all 50,000 images, 24 epochs, test accuracy of the last
# epoch. **These are networks of a quarter of the width**, since no GPU was at hand; at full width
# the costs may differ. Most were run once; those that came within half a point of the recipe, more
# often (column `seeds`). The raw rows, with device, versions and commit, are in
# `results/submissions-cifar10-width16`.

# %%
costs = measured.pitfall_costs("cifar10", 16)
print(costs.round(2).to_string(index=False, na_rep="-"))

# %%
base = measured.base_accuracies("cifar10", 16)
print(f"the recipe itself: {base.mean():.2f} ± {base.std(ddof=1):.2f} over {len(base)} seeds")
plot_costs(costs, base.std(ddof=1))

# %%
cheapest = costs["cost"].abs().idxmin()
print("costliest:", costs["pitfall"][0], "– you said:", my_costliest)
print("nearest to nothing:", costs["pitfall"][cheapest], "– you said:", my_cheapest)
for name, guess in (my_costs or {}).items():
    if name in set(costs["pitfall"]):
        print(exercises.compare_guess(name, guess, costs.set_index("pitfall").loc[name, "cost"]))
    else:
        print(f"there is no pitfall called {name!r}")

# %% [markdown]
# There are three groups.
#
# - **What breaks the run.** An LR that SGD would take is far too large for Adam: with 0.8 nothing is
#   learned at all. With a schedule that never gets going the run is not finished when it ends. L2 of 0.01 inside Adam costs nearly as much, and in the short
#   experiment it had hidden. A softmax too many is cheap beside these, and costly beside the rest.
#   None of them stops with an error.
# - **What costs about a point.** LRMAX five times too small or too large; two branches in place of the
#   residual; no padding; a little less, the ReLU before the batch norm and SGD in place of Adam.
# - **What cannot be told from nothing**, at this width and with so few runs: a bar that ends within the
#   gray band, or near it, to either side. The wrong std is here, the peak 19 steps earlier,
#   annihilation, half the LRMAX. And eva4-s11's LRMIN, although its run ends with an LR a
#   hundred times larger than ours: at a quarter of the width that does no harm. (After one run it
#   looked like a gain of half a point; a second run, with another seed, halved that.)
#
# ## The parts and the whole
#
# Each submission has several pitfalls at once. Do their costs add up to what it lost in all?

# %%
print(measured.parts_and_whole("cifar10", 16).round(1).to_string(index=False))

# %% [markdown]
# Hardly. In each of the five the whole is more than the sum. That is no wonder: the whole also has what
# is in our recipe and in none of theirs (label smoothing, decoupled decay, a smaller β2, so small an
# LRMIN), and what was measured with Adam only: how good *their* LR is for *their* SGD is in no
# bar. eva4-s11 shows it best, whose parts alone cost next to nothing. Parts also meet: with a schedule that
# never gets going, no other setting has much to say.
#
# So the ranking says where to look first. It is not a bill.
#
# ## The five, measured
#
# Stated and measured, side by side (`s10 submissions` prints the same):

# %%
print(measured.submission_table().to_string(index=False, na_rep="-"))

# %% [markdown]
# The last columns are from a quarter of the width, so none of the stated numbers is confirmed by them,
# and none is refuted. (What was run at full width are two epochs of era1-s10-strided, above.) The order
# is much the same: era1-s10 and eva4-s11 before eva8-s8, era1-s10-strided far behind.
#
# And eva6-s9? The last row is *not* that submission. Its README gives no LR of its own and no result. The
# row is what the example that it explains, Smith's for a ResNet-56 with an LR of 0.08 to 0.8, does
# to this network: it is the example that does not fit.

# %% [markdown]
# ## What to conclude
#
# - **A number without its recipe is not a result.** What a README leaves open can matter more than all
#   that it says: one line of a loop that is not shown costs more here than the padding, the
#   residual and the order of ReLU and batch norm together.
# - **Know your noise before you compare.** Three runs of the same recipe, which differ in nothing but their
#   seed, are up to 0.7 points apart. Nearly half of the bars above are no longer than that.
# - **Mistakes do not announce themselves.** Every one of the five trained, its loss fell, and its
#   curves look like curves. What gives a mistake away is a number that can be checked: a loss that
#   stays above 1.46 while the accuracy rises, an LR that does not move, a test curve too smooth.
# - **The last epoch counts.** Who picks the epoch with the best test accuracy has used the test
#   images to choose.
#
# ## Go on
#
# Take a submission and mend it, one thing at a time, the costliest mistake first. Here is how, on
# fewer images and in five epochs; a whole run is `s10 train --recipe era1-s10-strided --width 16`.

# %%
from s10.submissions.recipes import Era1S10Strided, Era1S10StridedPerBatch

changes = dict(width=recipe.width, batch_size=recipe.batch_size, data=dataset.name)
attempts = {
    "as published": Era1S10Strided(**changes),
    "schedule stepped after every batch": Era1S10StridedPerBatch(**changes),
    # Yours: one change more, a field (`pad=4`) or a method in a subclass.
}
attempts = {name: attempt.with_epochs(epochs) for name, attempt in attempts.items()}
table = train_each(subset, attempts, device, by="attempt")
env.add_caption(
    plot_schedules(table, by="attempt"), f"era1-s10-strided of width {recipe.width}"
)
