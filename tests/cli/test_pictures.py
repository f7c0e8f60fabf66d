"""Pictures of one's own: read, classified, warned of, shown; and one line for what is wrong."""

import http.server
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from s10 import CustomResNet, InputError, load_pretrained, predict
from s10.cli import pictures
from s10.cli.main import main
from s10.cli.runs import Run
from s10.datasets.pixels import as_seen


@pytest.fixture
def photo(tmp_path):
    """A picture of 100×50 pixels, its center square white."""
    pixels = np.zeros((50, 100, 3), np.uint8)
    pixels[:, 25:75] = 255
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def url(photo):
    """Of a server that has photo.png, text.png (which is none) and nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path not in ("/photo.png", "/text.png"):
                return self.send_error(404)
            self.send_response(200)
            self.end_headers()
            return self.wfile.write(photo.read_bytes() if "photo" in self.path else b"text")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def fails(capsys, *words):
    """What `s10 predict` with these words says in one line."""
    assert main(["predict", *map(str, words)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("s10: error: ")
    assert output.err.count("\n") == 1
    return output.err


def test_a_run_and_its_network_say_the_same(demo, few, photo):
    by_run = predict(demo[0], [photo])
    model, _ = Run(demo[0]).load_model()
    model.train()
    by_network = predict(model, str(photo), few)
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert by_run.names == (str(photo),)
    assert by_run.classes == few.classes
    assert np.array_equal(by_run.probabilities, by_network.probabilities)
    assert np.array_equal(by_run.distances, by_network.distances)
    assert by_run.probabilities.sum() == pytest.approx(1)


def test_the_top_classes_are_the_most_probable_ones(demo, few):
    found = predict(demo[0], few.test_images[:5])
    assert (len(found), found.names[4]) == (5, "image 4")
    for line, row in zip(repr(found).splitlines(), found.probabilities, strict=True):
        best = sorted(zip(-row, few.classes, strict=True))[:3]
        answer = ", ".join(f"{name} {-value:.1%}" for value, name in best)
        assert line.split(": ")[1].removesuffix(", unlike the training images") == answer


def test_the_center_square_is_what_the_network_sees(demo, photo):
    (image,) = predict(demo[0], photo).images
    assert image.shape == (32, 32, 3)
    assert image[:, 2:-2].min() > 240


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif", ".upload"])
def test_formats(demo, few, tmp_path, suffix):
    path = tmp_path / f"picture{suffix}"
    Image.fromarray(few.test_images[0]).save(path, "PNG" if suffix == ".upload" else None)
    seen = predict(demo[0], path).images[0]
    assert np.abs(seen.astype(int) - few.test_images[0]).mean() < 20


def test_a_folder_and_a_url(demo, photo, url):
    (photo.parent / "notes.txt").write_text("not a picture")
    found = predict(demo[0], [photo.parent, f"{url}/photo.png"])
    assert found.names == (str(photo), f"{url}/photo.png")
    assert np.array_equal(found.images[0], found.images[1])


def test_on_the_command_line(demo, photo, tmp_path, capsys):
    assert main(["predict", str(demo[0]), str(photo), "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = predict(demo[0], photo)
    assert lines[0] == repr(found)
    best = found.probabilities[0].argmax()
    assert lines[0].startswith(
        f"{photo}: {found.classes[best]} {found.probabilities[0][best]:.1%}, "
    )
    assert lines[-1].endswith(str(tmp_path / "out" / "pictures.png"))
    with Image.open(tmp_path / "out" / "pictures.png") as figure:
        assert figure.format == "PNG"


def test_the_figure_shows_what_the_network_sees(few):
    count = len(few.classes)
    probabilities = np.full((3, count), 0.1 / (count - 1))
    probabilities[:, 2] = 0.9
    found = pictures.PicturePredictions(
        ("a/b.png", "c.png", "d.png"), few.test_images[:3], probabilities, few.classes,
        np.array([0.2, 0.31, np.nan]),
    )  # fmt: skip
    assert found.unlike.tolist() == [False, True, False]
    figure = found.plot(count=2)
    titles = [axes.get_title().splitlines() for axes in figure.axes if axes.images]
    assert [title[0] for title in titles] == ["b.png", "c.png"]
    assert titles[0][1] == f"{few.classes[2]} 90.0%"
    assert [len(title) for title in titles] == [4, 5]
    assert titles[1][4] == "unlike the training images"
    assert np.array_equal(figure.axes[0].images[0].get_array(), few.test_images[0])
    assert figure.get_suptitle() == "As the network sees them, the first 2 of 3"
    name = ("Minduka_Present_Blue_Pack.png",)
    one = pictures.PicturePredictions(
        name, found.images[:1], probabilities[:1], few.classes, np.array([0.2])
    ).plot()
    assert one.get_suptitle() == "As the network sees it"
    assert one.axes[0].get_title().splitlines()[0] == name[0]  # It has room.
    assert len(one.axes) == 1
    first, second, third = repr(found).splitlines()
    assert second.endswith(", unlike the training images")
    assert "unlike" not in first + third


# The warning is worth what its docstring says.


def test_noise_and_drawn_shapes_are_warned_of_on_the_command_line(tmp_path, shapes, capsys):
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (100, 32, 32, 3), dtype=np.uint8)
    found = predict("assignment-width16", noise)
    assert found.unlike.all()
    assert predict("assignment-width16", shapes.test_images[:300]).unlike.mean() > 0.97
    Image.fromarray(noise[0]).save(tmp_path / "noise.png")
    assert main(["predict", "assignment-width16", str(tmp_path / "noise.png")]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.endswith(", unlike the training images")
    assert (
        last == "unlike the training images: other colors and textures, so do not trust the answer"
    )


def test_the_distance_is_that_of_the_running_statistics(few):
    """Of two batch norms: of its input, and of what the first one makes of it."""
    model = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3), nn.Flatten(), nn.LazyLinear(10))
    images = few.test_images[:4]
    mean, std = (np.array(values) for values in (few.mean, few.std))
    inner = (images / 255 - mean) / std
    model(torch.zeros(1, 3, 32, 32))
    for layer in model[:2]:
        layer.running_mean.fill_(0.5)
        layer.running_var.fill_(4)
    means = inner.mean((1, 2))
    first = ((means - 0.5) ** 2 / 4).mean(1)
    second = (((means - 0.5) / np.sqrt(4 + 1e-5) - 0.5) ** 2 / 4).mean(1)
    expected = np.median([first, second], axis=0)
    assert predict(model, images, few).distances == pytest.approx(expected, rel=1e-3)


def test_without_batch_norm_there_is_no_warning(few):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, len(few.classes)))
    found = predict(model, few.test_images[:2], few)
    assert np.isnan(found.distances).all()
    assert not found.unlike.any()


# Bad input.


def test_what_is_no_picture(demo, photo, url, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("text")
    for picture, part in (
        (tmp_path / "no.png", "there is no picture "),
        (
            tmp_path / "text.png",
            "text.png is not a readable image (of no format that Pillow reads)",
        ),
        (tmp_path / "empty", "empty contains no image that Pillow reads"),
        (f"{url}/no.png", "/no.png could not be downloaded: HTTP 404"),
        (f"{url}/text.png", "/text.png is not a readable image (of no format that Pillow reads)"),
        ("http://127.0.0.1:1/a.png", "http://127.0.0.1:1/a.png could not be downloaded: "),
        ("http://", "could not be downloaded: "),
        (f"file://{photo}", "there is no picture file:"),
    ):
        assert part in fails(capsys, demo[0], picture)


def test_each_bad_picture_is_named(demo, photo, tmp_path):
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(InputError) as error:
        predict(demo[0], [tmp_path / "no.png", photo, tmp_path / "text.png", tmp_path / "x.png"])
    lines = str(error.value).splitlines()
    names = ("no.png", "x.png", "text.png")
    assert all(name in line for name, line in zip(names, lines, strict=True))


def test_a_large_download_is_refused(demo, url, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="it has more than 10 bytes"):
        predict(demo[0], f"{url}/photo.png")


def test_what_is_no_run(demo, photo, tmp_path, capsys):
    assert "there is no run no-such-run" in fails(capsys, "no-such-run", photo)
    assert "recipe.json: No such file" in fails(capsys, tmp_path, photo)
    (tmp_path / "recipe.json").write_bytes((demo[0] / "recipe.json").read_bytes())
    assert "holds no trained network" in fails(capsys, tmp_path, photo)


def test_a_network_needs_its_data_set(photo, few):
    with pytest.raises(InputError, match=r"predict\(model, pictures, dataset\)"):
        predict(CustomResNet(width=4), photo)
    with pytest.raises(InputError, match="the network has 3 classes and the data set 10"):
        predict(CustomResNet(3, width=4), photo, few)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "there is no picture"),
        (None, "a NoneType is no picture"),
        (np.zeros((2, 32, 32, 3)), r"must be uint8 \(N, 32, 32, 3\)"),
        (np.zeros((32, 32, 3), np.uint8), r"must be uint8 \(N, 32, 32, 3\)"),
        (np.zeros((0, 32, 32, 3), np.uint8), r"must be uint8 \(N, 32, 32, 3\)"),
        ([Image.new("RGB", (32, 32))], "a Image is no picture"),
    ],
)
def test_other_things_are_refused(demo, given, message):
    with pytest.raises(InputError, match=message):
        predict(demo[0], given)


def test_on_cifar10_one_test_image_in_twenty_is_warned_of(cifar10_dir):
    from s10 import load_dataset

    dataset = load_dataset("cifar10", cifar10_dir).subset(1, 2000)
    found = predict(load_pretrained(), dataset.test_images, dataset)
    assert 0.03 < found.unlike.mean() < 0.08
    wrong = found.probabilities.argmax(axis=1) != dataset.test_labels
    assert found.unlike[wrong].mean() < 0.1
    assert np.array_equal(found.images[0], as_seen(Image.fromarray(dataset.test_images[0])))
