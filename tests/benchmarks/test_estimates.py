"""The estimated time of a run beside the measured one."""

import estimates
import pytest
from common import RESULTS, read_rows

STORED = read_rows(RESULTS / "estimates.csv")


@pytest.fixture(autouse=True)
def few_images(monkeypatch, load_few):
    monkeypatch.setattr(estimates, "load_dataset", load_few)
    monkeypatch.setattr(estimates, "predicted_minutes", lambda *_: 0.05)


def test_a_row_for_each_run_with_the_columns_of_those_stored(tmp_path, monkeypatch):
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX2")
    words = ["--data", "shapes", "--width", "2", "--csv", str(tmp_path / "rows.csv")]
    for recipe in ("assignment", "laptop"):
        estimates.main([recipe, "--epochs", "1", *words])
    rows = read_rows(tmp_path / "rows.csv")
    assert [row["recipe"] for row in rows] == ["assignment", "laptop"]
    assert list(rows[0]) == list(STORED[0])
    assert {(row["epochs"], row["width"], row["estimated"]) for row in rows} == {("1", "2", "3.0")}
    assert {row["instructions"] for row in rows} == {"AVX2"}
    assert float(rows[0]["measured"]) > 0


def test_bad_input(tmp_path, capsys):
    for words, message in ((["labtop"], "mean laptop"), (["laptop", "--epochs", "-1"], "epochs")):
        with pytest.raises(SystemExit):
            estimates.main([*words, "--csv", str(tmp_path / "rows.csv")])
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_stopped_run_makes_no_row(tmp_path, monkeypatch):
    class Stopped:
        interrupted = True

    monkeypatch.setattr(estimates, "train", lambda *_: (None, Stopped))
    with pytest.raises(SystemExit, match="makes no row"):
        estimates.main(["laptop", "--width", "2", "--csv", str(tmp_path / "rows.csv")])
    assert not list(tmp_path.iterdir())


def test_both_kinds_of_machine_were_measured():
    kinds = {(row["precision"], row["instructions"]) for row in STORED}
    assert kinds == {("bf16", "all"), ("fp32", "AVX2")}


@pytest.mark.parametrize(
    "row", STORED, ids=[f"{r['recipe']}-{r['width']}-{r['precision']}" for r in STORED]
)
def test_a_stored_estimate_is_near_the_time_that_the_run_took(row):
    """To a quarter; the runs were made one after the other, with nothing else on the machine."""
    assert float(row["estimated"]) / float(row["measured"]) == pytest.approx(1, abs=1 / 4)
    # `s10 info` makes three of them, a notebook one; on any machine it should take 15 seconds.
    assert float(row["seconds_of_the_estimate"]) < 5
