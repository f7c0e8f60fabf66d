"""The sliders of the one-cycle schedule."""

import pytest

from s10.course import explorer


def test_the_sliders_curve_ends_at_lrmin():
    figure = explorer.cycle_figure(peak_epoch=8, lr_max=0.02, div=10)
    rates = figure.axes[0].lines[0].get_ydata()
    assert rates.max() == pytest.approx(0.02)
    assert rates.argmax() == 8 * 98 - 1
    assert [rates[0], rates[-1]] == pytest.approx([0.002] * 2)


def test_sliders_with_crossing_momenta_still_have_a_curve():
    figure = explorer.cycle_figure(momentum_max=0.5, momentum_min=0.9)
    assert set(figure.axes[1].lines[0].get_ydata()) == {0.5}


@pytest.mark.parametrize("static", [True, False])
def test_the_explorer_says_where_its_sliders_are(static, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *objects: shown.extend(objects))
    monkeypatch.delenv("S10_STATIC", raising=False)
    if static:
        monkeypatch.setenv("S10_STATIC", "1")
    explorer.explore_one_cycle()
    kinds = [type(each).__name__ for each in shown]
    assert ("VBox" in kinds) != static
    assert ("sliders appear" in capsys.readouterr().out) == static
