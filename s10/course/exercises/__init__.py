"""Checks for the exercises of the notebooks: each tells the learner at once how it stands."""

from s10.course.exercises import (
    blocks,
    lr_range,
    network,
    one_cycle,
    speed,
    submissions,
)
from s10.course.exercises.verdict import Verdict, compare_guess

__all__ = [
    "EXERCISES", "Verdict", "blocks", "compare_guess", "lr_range", "network", "one_cycle", "speed",
    "submissions",
]  # fmt: skip

# What a grader needs to know: the answer's name in the notebook, and the check that judges it.
# The exercise's cell has the tag "exercise-0.1".
EXERCISES = {
    "0.1": ("adam_step", blocks.adam_step),
    "0.2": ("lowest", blocks.lowest_loss),
    "0.3": ("batch_norm", blocks.batch_norm),
    "1.1": ("versions", lr_range.versions_of_one_image),
    "1.2": ("cutout", lr_range.cutout),
    "1.3": ("exponential_lr", lr_range.exponential_lr),
    "1.4": ("where_the_fall_begins", lr_range.where_the_fall_begins),
    "1.5": ("middle_of_valley", lr_range.middle_of_valley),
    "2.1": ("triangular", one_cycle.triangular),
    "2.2": ("steps", one_cycle.steps_of_the_run),
    "2.3": ("one_cycle_lr", one_cycle.one_cycle_lr),
    "2.4": ("pct_start", one_cycle.fraction_of_the_rise),
    "2.5": ("arguments", one_cycle.factors_without_annihilation),
    "3.1": ("parameters", network.parameters_of_a_block),
    "3.2": ("shape", network.shape_after_layer2),
    "3.3": ("MyResBlock", network.residual_block),
    "3.4": ("receptive_field", network.receptive_field),
    "3.5": ("ProjectionBlock", network.projection_block),
    "3.6": ("accuracy_over_batches", network.accuracy_over_batches),
    "3.7": ("class_accuracy", network.class_accuracy),
    "4.1": ("lr_of_epoch", submissions.lr_of_each_epoch),
    "4.2": ("lr_max_from", submissions.lr_max_of_a_log),
    "4.3": ("first_step", submissions.first_step_of_adam),
    "4.4": ("lowest", submissions.lowest_loss),
    "4.5": ("diagnosis", submissions.diagnose),
    "5.1": ("multiplications", speed.multiplications),
    "5.2": ("whitening", speed.whitening),
    "5.3": ("iterations", speed.iterations_above_half),
    "5.4": ("seen_both_ways", speed.seen_both_ways),
    "5.5": ("gain_in_units_of_noise", speed.gain_in_units_of_noise),
}
