"""The figures of the five submissions show all of them."""

import pytest

from s10.submissions import SUBMISSIONS
from s10.submissions.plots import (
    plot_anonymous_runs,
    plot_published_curves,
    plot_submission_schedules,
)


def test_every_schedule_is_shown_with_its_optimizer():
    top, bottom = plot_submission_schedules(steps_per_epoch=10).axes
    labels = [line.get_label() for line in top.lines]
    optimizers = ["Adam", "Adam", "SGD", "SGD", "SGD"]
    names = zip(SUBMISSIONS, optimizers, strict=True)
    assert labels == [f"{name} ({optimizer})" for name, optimizer in names]
    for line, submission in zip(top.lines, SUBMISSIONS.values(), strict=True):
        assert len(line.get_ydata()) == 240
        assert line.get_ydata()[0] == pytest.approx(submission.recipe.lr_min)
        # As its README states it, also where its log does not bear that out.
        assert max(line.get_ydata()) == pytest.approx(submission.recipe.lr_max, rel=0.01)
    assert len(bottom.lines) == 5


def test_published_curves_stand_beside_ours():
    curves = {"test_curves": [[0.2, 0.4], [0.4, 0.8]], "train_curves": [[0.1, 0.3]]}
    names = ("era1-s10-strided", "era1-s10-strided, stepped every batch", "eva6-s9", "eva8-s8")
    entries = [{"name": name, "width": 16, **curves} for name in names]
    panels = plot_published_curves(entries).axes
    # eva6-s9 has no log.
    assert [axes.get_title(loc="left") for axes in panels] == [
        "era1-s10-strided: test", "eva4-s11: test", "eva8-s8: training (no test in its log)",
    ]  # fmt: skip
    labels = [[line.get_label() for line in axes.lines] for axes in panels]
    ours = "ours, width 16"
    assert labels == [
        ["published", ours, f"{ours},\nas its README says"], ["published"], ["published", ours],
    ]  # fmt: skip
    published, mean, variant = panels[0].lines
    assert len(published.get_ydata()) == 24
    assert mean.get_ydata() == pytest.approx([30, 60])
    assert variant.get_linestyle() == "--"
    assert panels[2].lines[1].get_ydata() == pytest.approx([10, 30])


def test_anonymous_runs_stand_before_the_reference():
    run = {f"{kind}_curves": [[0.2, 0.4]] for kind in ("train", "test", "loss")}
    figure = plot_anonymous_runs({"A": run, "B": run, "C": run, "our recipe": run})
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == ["A", "B", "C"]
    assert len(figure.axes[0].lines) == 2
    assert figure.axes[3].lines[2].get_ydata() == pytest.approx([20, 40])
