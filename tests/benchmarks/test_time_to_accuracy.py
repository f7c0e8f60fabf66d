"""The benchmark of whole processes: the right clock, interleaved runs, nothing lost."""

import json
import sys
import time
from pathlib import Path

import draw_time_to_accuracy as drawing
import pytest
import time_to_accuracy as bench

from s10.cli.registry import RECIPES


def python(code):
    return [sys.executable, "-c", code]


def peer(name, line):
    return f"{name}={sys.executable} -c 'print(\"{line}\")'"


@pytest.mark.parametrize(
    ("line", "accuracy"),
    [("test accuracy 94.2 %", 0.942), ("tta 0.9383 acc: 0.9421", 0.9421), ("100", 1.0), ("1", 1.0)],
)
def test_a_peers_accuracy_is_the_last_number_of_its_last_line(line, accuracy):
    assert bench.accuracy_in(line, "it") == accuracy


@pytest.mark.parametrize("line", ["done", "", "12,345 images: 12345"])
def test_a_last_line_without_an_accuracy_is_named(line):
    with pytest.raises(SystemExit, match="the last line of it has no accuracy"):
        bench.accuracy_in(line, "it")


def test_the_clock_runs_from_the_start_of_the_process_to_its_last_line():
    code = "import time; time.sleep(0.5); print('0.5', flush=True); time.sleep(1)"
    start = time.perf_counter()
    seconds, last = bench.timed(python(code))
    assert 0.5 <= seconds < time.perf_counter() - start - 0.9
    assert last == "0.5"


def test_a_peer_gets_the_seed_of_its_round():
    contender = bench.Contender("it", tuple(python("print(0.5, 0.0{seed}7)")), is_peer=True)
    assert [contender.run(seed, None)["accuracy"] for seed in (0, 3)] == [0.007, 0.037]


def test_much_output_on_stderr_does_not_block_it():
    code = "import sys; sys.stderr.write('x' * 1_000_000); print('0.5')"
    assert bench.timed(python(code))[1] == "0.5"


def test_what_fails_is_named_with_the_last_line_of_its_errors():
    code = "import sys; print('first', file=sys.stderr); sys.stderr.write('last'); sys.exit(3)"
    with pytest.raises(SystemExit, match="ended with 3: last"):
        bench.timed(python(code))
    with pytest.raises(SystemExit, match="cannot start /no/such: No such file"):
        bench.timed(["/no/such"])


def test_medians_ratios_and_how_often_the_target_was_reached():
    parts = [{"training": 8.0, "Python": 1.0}, {"training": 2.0, "Python": 3.0}]
    runs = [
        {"name": "a", "seconds": 10.0, "accuracy": 0.89, "parts": parts[0]},
        {"name": "b", "seconds": 30.0, "accuracy": 0.95},
        {"name": "a", "seconds": 20.0, "accuracy": 0.91, "parts": parts[1]},
    ]
    first, second = bench.summary_of(runs, 0.9)
    assert (first["seconds"], first["accuracy"], first["reached"], first["runs"]) == (15, 0.9, 1, 2)
    assert first["deviation"] == pytest.approx(0.01414, abs=1e-5)
    assert first["parts"] == {"training": 5.0, "Python": 2.0}
    assert (first["ratio"], second["ratio"], second["deviation"]) == (1.0, 2.0, None)
    assert "90.00 ± 1.41 %, 1 of 2 reached 90 %" in bench.summary(first, 0.9)


def test_they_run_interleaved_and_a_second_start_continues(tmp_path, capsys):
    file = tmp_path / "new" / "runs.json"
    arguments = ["--target", "0.9", "--json", str(file)]
    arguments += ["--peer", peer("good", "0.95"), "--peer", peer("bad", "80 %")]
    bench.main([*arguments, "--rounds", "1"])
    capsys.readouterr()
    bench.main([*arguments, "--rounds", "2"])
    out = capsys.readouterr().out
    assert "round 1" not in out
    runs = json.loads(file.read_text())["runs"]
    assert [(run["name"], run["round"]) for run in runs] == [
        ("good", 0), ("bad", 0), ("good", 1), ("bad", 1),
    ]  # fmt: skip
    assert all({"device", "versions", "commit", "command"} <= set(run) for run in runs)
    assert "good: " in out
    assert "2 of 2 reached 90 %" in out
    assert "0 of 2 reached 90 %" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "90", "--recipe", "a"], "a fraction"),
        (["--target", "0.9"], "at least one"),
        (["--target", "0.9", "--peer", "python it.py"], "NAME=COMMAND"),
        (["--target", "0.9", "--recipe", "a", "--rounds", "0"], "at least 1"),
    ],
)
def test_bad_input(arguments, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        bench.main(arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_another_target_does_not_mix_with_the_stored_runs(tmp_path, capsys):
    file = tmp_path / "runs.json"
    bench.main(["--target", "0.9", "--json", str(file), "--rounds", "1", "--peer", peer("a", "1")])
    with pytest.raises(SystemExit):
        bench.main(["--target", "0.8", "--json", str(file), "--peer", peer("a", "1")])
    assert "for a target of 0.9" in capsys.readouterr().err


def test_old_runs_of_what_has_changed_since_are_refused(tmp_path, capsys):
    file = tmp_path / "runs.json"
    start = ["--target", "0.9", "--json", str(file), "--rounds", "1"]
    bench.main([*start, "--peer", peer("a", "1")])
    with pytest.raises(SystemExit):
        bench.main([*start, "--peer", peer("a", "0.5")])
    assert "another command for a" in capsys.readouterr().err

    run = {"name": "laptop", "command": "laptop", "round": 0, "seconds": 9.0, "accuracy": 0.9}
    run["recipe"] = RECIPES["laptop"].to_dict()
    file.write_text(json.dumps({"target": 0.9, "runs": [run]}))
    bench.main([*start, "--recipe", "laptop"])  # It is there already.
    assert "1 of 1 reached" in capsys.readouterr().out
    run["recipe"]["epochs"] = 8
    file.write_text(json.dumps({"target": 0.9, "runs": [run]}))
    with pytest.raises(SystemExit):
        bench.main([*start, "--recipe", "laptop"])
    assert "another recipe laptop: epochs is 7, was 8" in capsys.readouterr().err


def test_a_recipe_is_a_whole_run_and_its_parts_add_up(tmp_path):
    file = tmp_path / "runs.json"
    recipe = "assignment --data shapes --width 4 --epochs 2"
    bench.main(["--target", "0.3", "--recipe", recipe, "--rounds", "1", "--json", str(file)])
    (run,) = json.loads(file.read_text())["runs"]
    assert list(run["parts"]) == ["data", "training", "evaluation", "figures", "Python"]
    assert all(seconds > 0 for seconds in run["parts"].values())
    assert sum(run["parts"].values()) == pytest.approx(run["seconds"], abs=0.05)
    seconds, accuracies = zip(*run["curve"], strict=True)
    assert len(seconds) == 2
    assert run["parts"]["Python"] + run["parts"]["data"] < seconds[0]
    assert seconds[0] < seconds[1] < run["seconds"]
    assert accuracies[-1] == pytest.approx(run["accuracy"])
    assert run["recipe"]["width"] == 4
    assert run["recipe"]["seed"] == 0
    assert (run["views"], run["plain_accuracy"]) == (1, run["accuracy"])


def test_a_run_with_test_time_augmentation_has_two_accuracies(tmp_path):
    summary = {
        "test_accuracy": 0.93, "tta_test_accuracy": 0.94, "tta_views": 6, "recipe": {},
        "seconds": {"imports": 2.0, "data": 1.0, "training": 6.0},
        "parameters": 5, "precision": "fp32", "dataset": {"fingerprint": "f"},
    }  # fmt: skip
    (tmp_path / "metrics.csv").write_text("seconds,test_accuracy\n2,0.5\n4,0.93\n")

    def read(**changes):
        (tmp_path / "summary.json").write_text(json.dumps(summary | changes))
        return bench.read_run(tmp_path, 9.5)

    assert [read()[name] for name in ("accuracy", "views", "plain_accuracy")] == [0.94, 6, 0.93]
    # From the start of the process, whether or not the run measured its imports.
    assert read()["curve"] == [[5.5, 0.5], [9.5, 0.93]]
    row = read(seconds={"data": 1.0, "training": 6.0})
    assert row["curve"] == [[5.5, 0.5], [9.5, 0.93]]
    assert row["parts"] == {"data": 1.0, "training": 6.0, "Python": 2.5}


def test_runs_of_a_bare_recipe_are_kept(tmp_path, monkeypatch):
    def invented(words):
        folder = Path(words[words.index("--out") + 1])
        folder.mkdir()
        for name in bench.KEPT:
            (folder / name).write_text(f"{name} of {words[5]}")
        return 9.0, ""

    monkeypatch.setattr(bench, "timed", invented)
    row = {"accuracy": 0.9, "recipe": {"data": "shapes"}}
    monkeypatch.setattr(bench, "read_run", lambda *_: row)
    for recipe in ("laptop", "laptop --epochs 2"):
        bench.main(["--target", "0.9", "--rounds", "2", "--recipe", recipe, "--keep",
                    str(tmp_path)])  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["laptop-shapes"]
    assert sorted(path.name for path in (tmp_path / "laptop-shapes").iterdir()) == [
        "seed0", "seed1",
    ]  # fmt: skip
    kept = tmp_path / "laptop-shapes" / "seed1" / "summary.json"
    assert kept.read_text() == "summary.json of laptop"


def test_a_recipe_that_does_not_exist_is_named():
    with pytest.raises(SystemExit, match="there is no recipe 'labtop'"):
        bench.main(["--target", "0.3", "--recipe", "labtop", "--rounds", "1"])


def test_the_figure_shows_the_median_run_of_each(tmp_path, capsys):
    def run(name, seconds, accuracy, **more):
        return {"name": name, "seconds": seconds, "accuracy": accuracy, "device": "a CPU", **more}

    runs = [
        run("laptop", 50.0, 0.91, curve=[[20, 0.7], [40, 0.91]], views=6),
        run("laptop", 30.0, 0.93, curve=[[20, 0.8], [29, 0.93]], views=6),
        run("laptop", 40.0, 0.926, curve=[[20, 0.75], [35, 0.92]], views=6),
        run("airbench94", 900.0, 0.941),
    ]
    figure = drawing.plot([{"target": 0.9, "runs": runs}])
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [
        "laptop: 92.2 % in 40 s, over 6 views",
        "airbench94: 94.1 % in 900 s, as it reports",
    ]  # fmt: skip
    assert axes.lines[0].get_xydata().tolist() == [[20, 75], [35, 92]]
    assert "a CPU" in axes.get_title(loc="left")
    file = tmp_path / "runs.json"
    file.write_text(json.dumps({"target": 0.9, "runs": runs}))
    drawing.main([str(tmp_path / "it.png"), "--json", str(file)])
    assert (tmp_path / "it.png").stat().st_size > 5000


@pytest.mark.parametrize(("name", "place"), drawing.ALONE.items())
def test_the_runs_at_full_width_are_drawn_with_what_is_stored_of_them(name, place):
    row = drawing.stored_run(name, drawing.RESULTS / place)
    summary = json.loads((drawing.RESULTS / place / "summary.json").read_text())
    assert row["name"] == name
    assert row["recipe"]["width"] == 64
    assert row["seconds"] == pytest.approx(sum(summary["seconds"].values()), abs=1)
    assert len(row["curve"]) == 24
    seconds, accuracies = zip(*row["curve"], strict=True)
    assert list(seconds) == sorted(seconds)
    assert 0 < row["seconds"] - seconds[-1] < 60  # Test-time augmentation and figures.
    assert accuracies[-1] == summary["test_accuracy"]
    figure = drawing.plot([{"target": 0.9, "runs": [row]}, {"runs": [row]}])
    assert len(figure.axes[0].get_legend().get_texts()) == 1


def test_by_default_all_that_is_stored_is_drawn(tmp_path, monkeypatch):
    drawn, plot = [], drawing.plot
    monkeypatch.setattr(drawing, "plot", lambda files: drawn.extend(files) or plot(files))
    drawing.main([str(tmp_path / "it.png")])
    names = {run["name"] for file in drawn for run in file["runs"]}
    assert names >= {"laptop", "laptop-94", *drawing.ALONE}
