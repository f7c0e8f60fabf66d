# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. The one-cycle policy
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/s10-course/s10/blob/main/notebooks/02_one_cycle.ipynb)
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/s10-course/s10/blob/main/notebooks/02_one_cycle.ipynb)
#
# **You will learn** how the learning rate (LR) moves during the 24 epochs and why: the triangular
# cyclic LR, the one-cycle policy for LR and momentum, the arithmetic of its peak, what
# "annihilation" is, and what the cycle buys over a constant LR.
#
# **You need** notebook 1, or to know what LRMIN and LRMAX are.
#
# **Time** to run all cells: about 2 minutes on 2 CPU cores (measured, with a quarter of the
# network's width), with drawn shapes about 1; on Colab's T4 GPU about 2, at full width
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
# ## A learning rate that goes up and down
#
# The old way was a constant LR, divided by ten now and then.
# [Smith (2015)](https://arxiv.org/abs/1506.01186) let it swing between two bounds instead: up in a
# straight line for a *half-cycle*, down for as long, again and again. Going up does harm for a
# moment and good in the long run: large steps carry the weights out of poor regions, and the LR
# passes through its best value in each cycle, whatever that is.

# %%
show(s10.triangular)
half_cycle = 4 * 98  # 4 epochs of 98 batches


def make_triangular(optimizer):
    return s10.triangular(optimizer, lr_min=0.001, lr_max=0.01, half_cycle=half_cycle)


rates, _ = s10.simulate_schedule(make_triangular, steps=24 * 98)
s10.plot_schedule(rates, None, 98, title="The triangular cyclic LR: three cycles in 24 epochs")

# %% [markdown]
# ## One cycle
#
# [Smith & Topin (2017)](https://arxiv.org/abs/1708.07120) found that *one* such triangle over the
# whole run is enough, with a peak so high that it could not have been used from the start;
# they call what follows "super-convergence". The assignment's cycle rises from LRMIN to LRMAX in
# the first 5 of 24 epochs and falls back in the other 19. The momentum, β1 of Adam, moves the other
# way: least where the LR is largest, because momentum makes steps longer, too
# ([Smith 2018](https://arxiv.org/abs/1803.09820), section 4.3).
#
# **Your prediction first**: the network needs 98 steps for an epoch. At which of the 2,352 steps is
# the LR largest, counted from 0?

# %%
my_peak = None

# %%
assignment = s10.Recipe()
steps_per_epoch = 98
rates, momenta = s10.simulate_schedule(
    lambda optimizer: assignment.make_scheduler(optimizer, steps_per_epoch),
    assignment.epochs * steps_per_epoch,
)
print(exercises.compare_guess("step of the peak", my_peak, rates.index(max(rates))))
s10.plot_schedule(rates, momenta, steps_per_epoch)

# %% [markdown]
# It is PyTorch's own `OneCycleLR`, told where to peak and where to end. The subclass only does the
# arithmetic and stops at the end of the schedule:

# %%
# NBVAL_CHECK_OUTPUT
show(s10.OneCycle)

# %% [markdown]
# ## The arithmetic, by hand
#
# 50,000 images in batches of 512 are 97.66, so 98 batches: 97 full ones and one of 336. Each batch
# is one step. Epoch 5 ends with the 490th step, and since steps are counted from 0, that is step
# 489. Between step 0 and step 489 the LR rises in 489 equal steps; between 489 and 2351 it falls in
# 1,862.

# %%
# NBVAL_CHECK_OUTPUT
import math

batches = math.ceil(50_000 / 512)
peak, last = 5 * batches - 1, 24 * batches - 1
up = (assignment.lr_max - assignment.lr_min) / peak
down = (assignment.lr_max - assignment.lr_min) / (last - peak)
print(f"batches an epoch  {batches}, the last of {50_000 - 97 * 512} images")
print(f"peak              step {peak}, LR {rates[peak]:g}")
print(f"last              step {last}, LR {rates[last]:g}")
print(f"a step up         {up:.3e}, a step down {down:.3e}")
for step in (0, 1, 244, peak, peak + 1, 1420, last):
    by_hand = (
        assignment.lr_min + up * step if step <= peak else assignment.lr_max - down * (step - peak)
    )
    assert math.isclose(by_hand, rates[step], rel_tol=1e-9)
    print(f"step {step:4d}  by hand {by_hand:.8f}  PyTorch {rates[step]:.8f}")

# %%
figures.one_cycle_arithmetic()

# %% [markdown]
# ### Exercise 2.1
# Fill in: steps per epoch, step of the peak, last step (counted from 0).

# %%
steps = (None, None, None)
exercises.one_cycle.steps_of_the_run(steps)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# steps = (98, 489, 2351)
# ```
# </details>

# %% [markdown]
# ### Exercise 2.2
# PyTorch's `OneCycleLR` wants the peak as `pct_start`, the fraction of the run that is spent
# rising. Which number puts it at the end of epoch 5 of 24?

# %%
pct_start = None
exercises.one_cycle.fraction_of_the_rise(pct_start)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# pct_start = 5 / 24
# ```
# (One published solution of the assignment used 0.2, and so peaked 19 steps early.)
# </details>

# %% [markdown]
# ### Exercise 2.3
# Write the triangular LR. It rises from `low` (step 0) to `high` (step `half_cycle`), falls back in
# as many steps, and starts again.

# %%
def triangular(step, half_cycle, low, high):
    ...


exercises.one_cycle.triangular(triangular)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def triangular(step, half_cycle, low, high):
#     position = step % (2 * half_cycle) / half_cycle  # 0 … 2
#     return low + (high - low) * (1 - abs(position - 1))
# ```
# </details>

# %% [markdown]
# ### Exercise 2.4
# Now one cycle: 24 epochs of 98 steps, in straight lines from 0.001 (step 0) to 0.01 (the last
# step of epoch 5) and back to 0.001 (the last step of epoch 24).

# %%
def one_cycle_lr(step):
    ...


exercises.one_cycle.one_cycle_lr(one_cycle_lr)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def one_cycle_lr(step):
#     peak, last = 5 * 98 - 1, 24 * 98 - 1
#     if step <= peak:
#         return 0.001 + (0.01 - 0.001) * step / peak
#     return 0.01 - (0.01 - 0.001) * (step - peak) / (last - peak)
# ```
# </details>

# %% [markdown]
# ## Annihilation, and its absence
#
# In Smith & Topin's policy the last part of training lets the LR fall far below LRMIN; their
# followers call this the annihilation phase. PyTorch's `OneCycleLR` does it by default: it ends
# at the starting LR divided by 10,000. The assignment forbids it: the LR ends *at* LRMIN.
# (That says little as long as LRMIN is free: ours, 1e-5, is so small that the steps at the end
# hardly move the weights.)

# %%
figures.triangular_and_annihilation()

# %% [markdown]
# ### Exercise 2.5
# What must PyTorch's `OneCycleLR` be told so that the LR goes 0.001 → 0.01 → 0.001? Look up what
# `div_factor` and `final_div_factor` mean:
# [the documentation](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html).

# %%
arguments = dict(max_lr=None, div_factor=None, final_div_factor=None)
exercises.one_cycle.factors_without_annihilation(arguments)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# arguments = dict(max_lr=0.01, div_factor=10, final_div_factor=1)
# ```
# </details>

# %% [markdown]
# ## Move it yourself
#
# LRMIN is LRMAX / div. Where the sliders cannot run (on GitHub, for example) you see the
# assignment's choice.

# %%
from s10.course.explorer import explore_one_cycle

explore_one_cycle()

# %% [markdown]
# ## What the cycle buys: an experiment
#
# A small run: 10,000 images, 8 epochs, three times. Once with one cycle, once with a constant
# LR of LRMAX, once with a tenth of that. Same initial weights, same batches; β1 of the constant ones
# is the mean of the cycle's.
#
# **Your prediction first.** Which will be best on the test images, and by how many percentage
# points before the second best?

# %%
my_best = None  # "one cycle", "large constant" or "small constant"
my_lead = None  # percentage points

# %%
from s10.course.experiments import compare_schedules, final_accuracy, train_each, with_constant_lr

show(with_constant_lr, compare_schedules, train_each)

# %%
subset = env.subset(10_000, 2_000)
short = recipe.with_epochs(env.size(8, smoke=2))
env.print_estimate(3 * short.epochs, subset)
table = compare_schedules(subset, short, device)

# %%
from s10.plots import plot_schedules

final = final_accuracy(table)
ranked = sorted(final, key=final.get, reverse=True)
lead = 100 * (final[ranked[0]] - final[ranked[1]])
print("best:", ranked[0], "– you said:", my_best)
print(exercises.compare_guess("lead in points", my_lead, lead))
env.add_caption(plot_schedules(table))

# %% [markdown]
# **Is my number normal?** The same experiment over three seeds is kept in the repository:

# %%
print(reference.compare_experiment("schedules", final, short, dataset.name))

# %% [markdown]
# With a constant LRMAX the network learns little and its test accuracy jumps about: the steps
# are too large to settle anywhere. With the small LR it learns from the start, but slowly. The
# cycle begins small, so that the first, wild gradients do little harm; moves fast in the middle;
# and settles at the end.
#
# ## Why a large LR regularizes
#
# Smith & Topin's observation: while the LR is large, the training loss is *worse* than with a small
# LR, and yet the final test result is better. A large step cannot stay in a narrow valley of the
# loss, only in a wide one, and wide valleys tend to generalize better
# ([Keskar et al. 2016](https://arxiv.org/abs/1609.04836) measured this for small batches, which
# have the same effect as large LRs: more noise in each step). So other regularization, such as
# weight decay, has to be set together with the LR, not on its own. What the experiment above shows
# of this: the gap between training and test loss, in the last epoch.

# %%
last_epoch = table.groupby("schedule", sort=False).last()
last_epoch["gap"] = last_epoch["test_loss"] - last_epoch["train_loss"]
print(last_epoch[["train_loss", "test_loss", "gap"]].round(3).to_string())

# %% [markdown]
# (Eight epochs of 10,000 images are a small experiment, and the training loss is measured while the
# network still learns and on augmented images, so the gap says little by itself; the next notebook
# has the whole run.)
#
# **Next**: notebook 3 builds the network and trains it for 24 epochs.
