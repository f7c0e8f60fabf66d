"""Images from a folder: what files look like, which are read, and where they lie."""

import shutil

import numpy as np
import pytest
from PIL import Image

from s10 import InputError, load_dataset

RAMP = np.arange(1024).reshape(32, 32) // 4  # from black to white


def load(folder, **options):
    return load_dataset(f"folder:{folder}", **options)


def load_one(folder, image, suffix=".png", **options):
    """The pixels of this image, saved in a folder of images."""
    image.save(folder / "test" / "cat" / f"0{suffix}", **options)
    if suffix != ".png":
        (folder / "test" / "cat" / "0.png").unlink()
    return load(folder).test_images[0]


def test_images_labels_and_statistics(image_folder):
    dataset = load(image_folder)
    assert dataset.classes == ("cat", "dog")
    assert dataset.train_images.shape == (8, 32, 32, 3)
    assert dataset.test_labels.tolist() == [0, 0, 1, 1]
    expected = np.asarray(Image.open(image_folder / "train" / "cat" / "0.png"))
    assert np.array_equal(dataset.train_images[0], expected)
    assert dataset.mean == pytest.approx(dataset.train_images.mean((0, 1, 2)) / 255, abs=1e-4)
    assert dataset.std == pytest.approx(dataset.train_images.std((0, 1, 2)) / 255, abs=1e-4)


def test_other_sizes_are_resized_and_reported(image_folder, capsys):
    wide = np.zeros((50, 100, 3), np.uint8)
    wide[:, 25:75] = 255  # Only the white square in the center is kept.
    Image.fromarray(wide).save(image_folder / "train" / "cat" / "wide.jpg", quality=95)
    dataset = load(image_folder)
    assert "1 of 13 images" in capsys.readouterr().err
    assert dataset.train_images.shape == (9, 32, 32, 3)
    assert dataset.train_images[4][:, 4:28].min() > 240


@pytest.mark.parametrize(
    ("dtype", "white", "suffix"),
    [
        (np.uint8, 255, ".png"),
        (np.uint16, 65_535, ".png"),
        (np.uint16, 65_535, ".tif"),
        (np.int32, 255, ".tif"),
        (np.int32, 65_535, ".tif"),
        (np.float32, 1, ".tif"),
        (np.float32, 255, ".tif"),
        (np.float32, 255, ".pfm"),
        (np.float32, 1e6, ".tif"),
    ],
)
def test_gray_of_any_depth_keeps_its_shades(image_folder, dtype, white, suffix):
    if suffix not in Image.registered_extensions():
        pytest.skip(f"this version of Pillow does not write {suffix}")
    image = Image.fromarray((RAMP / 255 * white).astype(dtype))
    pixels = load_one(image_folder, image, suffix)
    assert np.array_equal(pixels, np.stack([RAMP] * 3, -1))


def test_a_pgm_file_of_16_bits_keeps_its_shades(image_folder):
    content = b"P5 32 32 65535\n" + (RAMP * 257).astype(">u2").tobytes()
    (image_folder / "test" / "cat" / "0.pgm").write_bytes(content)
    (image_folder / "test" / "cat" / "0.png").unlink()
    assert np.array_equal(load(image_folder).test_images[0], np.stack([RAMP] * 3, -1))


def test_dark_images_stay_dark(image_folder):
    """White is that of the format, not the brightest pixel."""
    assert load_one(image_folder, Image.fromarray(RAMP.astype(np.uint16))).max() == 1
    image = Image.fromarray((RAMP * 100).astype(np.int32))
    assert load_one(image_folder, image, ".tif").max() == 99
    (image_folder / "test" / "cat" / "0.tif").unlink()
    content = b"P5 32 32 65535\n" + RAMP.astype(">u2").tobytes()
    (image_folder / "test" / "cat" / "0.pgm").write_bytes(content)
    assert load(image_folder).test_images[0].max() == 1


def test_a_transparent_gray_of_16_bits_is_shown_over_white(image_folder):
    image = Image.fromarray((RAMP * 257).astype(np.uint16))
    try:
        pixels = load_one(image_folder, image, transparency=0)
    except OSError:
        pytest.skip("this version of Pillow does not write such files")
    assert (pixels[0, :4] == 255).all()
    assert (pixels[0, 4:8] == 1).all()


def test_floats_that_are_no_numbers_are_black(image_folder):
    floats = np.full((32, 32), 0.5, np.float32)
    floats[0, :4] = np.nan, np.inf, -np.inf, -1
    pixels = load_one(image_folder, Image.fromarray(floats), ".tif")
    assert pixels[0, :5, 0].tolist() == [0, 0, 0, 0, 128]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "LA", "RGBA"])
@pytest.mark.parametrize("size", [32, 96])
def test_opaque_images_of_all_modes_show_the_same(image_folder, mode, size):
    image = Image.new("RGB", (size, size), "black")
    image.paste("white", (0, 0, size // 2, size))
    pixels = load_one(image_folder, image.convert(mode), ".tif")
    assert (pixels[:, :14] > 250).all()
    assert (pixels[:, 18:] < 5).all()


def black_square(mode):
    """A black square on a transparent background, whose hidden color is often black, too."""
    alpha = Image.new("L", (32, 32), 0)
    alpha.paste(255, (8, 8, 24, 24))
    alpha.paste(128, (0, 0, 32, 4))
    gray = Image.new("L", (32, 32), 0)
    return Image.merge(mode, [gray] * (len(mode) - 1) + [alpha])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_transparency_is_shown_over_white(image_folder, mode, suffix):
    pixels = load_one(image_folder, black_square(mode), suffix)
    assert (pixels[8:24, 8:24] == 0).all()
    assert (pixels[24:] == 255).all()
    assert (pixels[:4] == 127).all()


@pytest.mark.parametrize(
    ("mode", "suffix", "transparency"),
    [
        ("L", ".png", 0),
        ("RGB", ".png", (0, 0, 0)),
        ("P", ".png", 0),
        ("P", ".png", bytes(16) + bytes([255]) * 240),
        ("P", ".gif", 0),
    ],
)
def test_a_transparent_color_is_shown_over_white(image_folder, mode, suffix, transparency):
    image = Image.fromarray(RAMP.astype(np.uint8)).convert(mode)
    pixels = load_one(image_folder, image, suffix, transparency=transparency)
    assert (pixels[0, :4] == 255).all()
    assert (pixels[16, 0] == 128).all()


def test_resized_transparency_leaves_no_dark_edges(image_folder):
    alpha = Image.new("L", (320, 320), 0)
    alpha.paste(255, (0, 0, 160, 320))
    white = Image.new("L", (320, 320), 0)
    white.paste(255, (0, 0, 160, 320))
    pixels = load_one(image_folder, Image.merge("RGBA", [white] * 3 + [alpha]))
    assert pixels.min() > 250


SUFFIXES = "jfif jpe webp bmp gif tif tiff ppm pgm jp2 tga ico mpo JPG Png"


@pytest.mark.parametrize("suffix", SUFFIXES.split())
def test_what_pillow_reads_is_read(image_folder, suffix, capsys):
    assert (load_one(image_folder, Image.new("RGB", (32, 32), "white"), f".{suffix}") > 250).all()
    assert capsys.readouterr().err == ""


def test_the_photograph_of_a_camera_that_is_an_mpo_file(image_folder):
    photograph = Image.new("RGB", (32, 32), (200, 100, 50))
    path = image_folder / "test" / "cat" / "0.jpg"
    photograph.save(path, "MPO", save_all=True, append_images=[photograph], quality=95)
    assert Image.open(path).format == "MPO"
    expected = np.asarray(Image.open(path))
    assert np.array_equal(load(image_folder).test_images[0], expected)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_photograph_that_was_taken_sideways_is_turned(image_folder, suffix):
    image = Image.new("RGB", (96, 64), "black")
    image.paste("white", (0, 0, 48, 64))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: the left side is up
    pixels = load_one(image_folder, image, suffix, exif=exif)
    assert pixels[:14].min() > 240
    assert pixels[18:].max() < 15


def test_the_content_decides_about_the_format_not_the_name(image_folder):
    image = Image.new("RGB", (32, 32), (200, 100, 50))
    path = image_folder / "test" / "cat" / "0.png"
    image.save(path, "WEBP", lossless=True)
    assert load(image_folder).test_images[0, 0, 0].tolist() == [200, 100, 50]


def test_a_large_photograph_is_read_small(image_folder, recwarn):
    image = Image.new("RGB", (12_000, 9_000), (200, 100, 50))
    pixels = load_one(image_folder, image, ".jpg")
    assert pixels[16, 16] == pytest.approx([200, 100, 50], abs=2)
    assert not recwarn.list


def test_files_that_are_passed_over_are_counted(image_folder, capsys):
    cats = image_folder / "train" / "cat"
    for name in ("notes.txt", "a.heic", "b.HEIC", "drawing.eps", "table.h5", "README"):
        (cats / name).write_text("not an image")
    (image_folder / "test" / "dog" / "c.heic").touch()
    dataset = load(image_folder)
    assert (len(dataset.train_images), len(dataset.test_images)) == (8, 4)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"passed over in {image_folder}, because Pillow does not read such files: "
        "3 .heic, 1 without suffix, 1 .eps, 1 .txt, 1 .h5"
    ]


def test_hidden_files_are_ignored(image_folder, capsys):
    (image_folder / "train" / "cat" / "._0.png").write_text("macOS")
    (image_folder / "train" / "cat" / ".ipynb_checkpoints").mkdir()
    (image_folder / "train" / "cat" / ".ipynb_checkpoints" / "0.png").write_text("Jupyter")
    (image_folder / "train" / ".cache").mkdir()
    (image_folder / "__MACOSX" / "train").mkdir(parents=True)
    assert len(load(image_folder).train_images) == 8
    assert capsys.readouterr().err == ""


def test_all_bad_files_are_named_at_once(image_folder):
    bad = [
        image_folder / "train" / "cat" / "0.png",
        image_folder / "train" / "dog" / "2.png",
        image_folder / "test" / "dog" / "1.png",
    ]
    bad[0].write_bytes(b"no image")
    bad[1].write_bytes(bad[1].read_bytes()[:900])
    bad[2].unlink()
    bad[2].symlink_to("nowhere.png")
    with pytest.raises(InputError) as caught:
        load(image_folder)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(bad)
    for line, path in zip(lines, bad, strict=True):
        assert line.startswith(f"{path} is not a readable image (")


def test_the_fingerprint_changes_with_one_bit(image_folder):
    first = load(image_folder).fingerprint()
    assert load(image_folder).fingerprint() == first
    path = image_folder / "train" / "cat" / "0.png"
    pixels = np.array(Image.open(path))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)
    assert load(image_folder).fingerprint() != first


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "train").rename(f / "tr"), "has no folder train"),
        (lambda f: (f / "test" / "dog").rename(f / "test" / "fox"), "dog, fox only in one"),
        (lambda f: [p.unlink() for p in (f / "train" / "dog").iterdir()], "dog contains no image"),
        (lambda f: (f / "train" / "cat" / "0.png").write_bytes(b"no"), r"cat/0\.png is not a read"),
        (
            lambda f: (f / "train" / "cat" / "0.png").write_bytes(
                (f / "train" / "cat" / "1.png").read_bytes()[:900]
            ),
            r"cat/0\.png is not a readable",
        ),
    ],
    ids=["no train", "classes differ", "empty class", "not an image", "truncated"],
)
def test_a_bad_folder_is_explained(image_folder, spoil, message):
    spoil(image_folder)
    with pytest.raises(InputError, match=message) as caught:
        load(image_folder)
    assert "\n" not in str(caught.value)


def test_an_empty_or_missing_folder_is_explained(tmp_path):
    with pytest.raises(InputError, match="has 0 class folders"):
        load(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        load(tmp_path / "nowhere")
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
    with pytest.raises(InputError, match="has 0 class folders"):
        load(tmp_path)


# Layouts.


def flatten(folder):
    """Only <class>/ folders: cat and dog with 6 images each."""
    for path in sorted((folder / "test").glob("*/*")):
        path.rename(folder / "train" / path.parent.name / f"test{path.name}")
    shutil.rmtree(folder / "test")
    for path in list((folder / "train").iterdir()):
        path.rename(folder / path.name)
    (folder / "train").rmdir()


@pytest.mark.parametrize("train", ["train", "Train", "training"])
@pytest.mark.parametrize("test", ["test", "Test", "TEST", "val", "valid", "validation"])
def test_names_of_the_splits(image_folder, train, test, capsys):
    expected = load(image_folder).fingerprint()
    (image_folder / "train").rename(image_folder / "x")
    (image_folder / "x").rename(image_folder / train)
    (image_folder / "test").rename(image_folder / "y")
    (image_folder / "y").rename(image_folder / test)
    assert load(image_folder).fingerprint() == expected
    assert capsys.readouterr().err == ""


def test_of_test_and_val_the_other_is_said_to_be_unused(image_folder, capsys):
    expected = load(image_folder).fingerprint()
    shutil.copytree(image_folder / "train", image_folder / "val")
    assert load(image_folder).fingerprint() == expected
    assert capsys.readouterr().err == f"not used: {image_folder / 'val'}\n"


def test_images_one_folder_below_their_class(image_folder):
    expected = load(image_folder).fingerprint()
    cats = image_folder / "train" / "cat"
    cats.rename(image_folder / "images")
    cats.mkdir()
    (image_folder / "images").rename(cats / "images")
    assert load(image_folder).fingerprint() == expected


@pytest.mark.parametrize("flat", [False, True])
def test_an_archive_may_put_a_folder_into_a_folder(image_folder, tmp_path, flat):
    """As CIFAR-10 as PNG files on Kaggle: cifar10/cifar10/train/airplane/0001.png."""
    if flat:
        flatten(image_folder)
    expected = load(image_folder)
    outer = tmp_path / "outer"
    outer.mkdir()
    image_folder.rename(outer / "pets")
    (outer / "labels.txt").write_text("cat dog")
    (outer / "__MACOSX").mkdir()
    dataset = load(outer)
    assert dataset.fingerprint() == expected.fingerprint()
    assert (dataset.name, dataset.classes) == ("folder:outer", ("cat", "dog"))


@pytest.mark.parametrize("inside", ["", "train"])
def test_without_test_images_a_fifth_of_each_class_is_held_out(image_folder, inside, capsys):
    everything = load(image_folder)
    flatten(image_folder)
    for path in (image_folder / "cat", image_folder / "dog"):
        for number in range(4):
            shutil.copy(path / "0.png", path / f"more{number}.png")
        (image_folder / inside).mkdir(exist_ok=True)
        path.rename(image_folder / inside / path.name)
    dataset = load(image_folder)
    assert dataset.classes == everything.classes
    assert np.bincount(dataset.train_labels).tolist() == [8, 8]
    assert np.bincount(dataset.test_labels).tolist() == [2, 2]
    assert (
        f"{image_folder} has no test images: 4 of its 20 images, 20% of each class drawn with "
        "seed 0, are held out\n" == capsys.readouterr().err
    )
    assert load(image_folder).fingerprint() == dataset.fingerprint()
    # For an evaluation, too: the network was trained on the others.
    again = load(image_folder, train=False)
    assert np.array_equal(again.test_images, dataset.test_images)


def test_a_class_may_be_called_train(image_folder):
    flatten(image_folder)
    (image_folder / "cat").rename(image_folder / "train")
    (image_folder / "dog").rename(image_folder / "bus")
    assert load(image_folder).classes == ("bus", "train")


def test_the_test_images_alone(image_folder):
    expected = load(image_folder)
    (image_folder / "train" / "cat" / "0.png").write_bytes(b"is not even opened")
    load(image_folder, train=False)
    shutil.rmtree(image_folder / "train")
    dataset = load(image_folder, train=False)
    assert dataset.mean == (0, 0, 0)
    assert dataset.classes == expected.classes
    assert dataset.train_images.shape == (0, 32, 32, 3)
    assert np.array_equal(dataset.test_images, expected.test_images)
    assert np.array_equal(dataset.test_labels, expected.test_labels)
    with pytest.raises(InputError, match="has no folder train"):
        load(image_folder)
