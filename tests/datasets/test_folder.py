"""Images from a folder."""

import numpy as np
import pytest
from PIL import Image

from s10 import InputError, load_dataset


def load(folder):
    return load_dataset(f"folder:{folder}")


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


def test_gray_transparent_and_palette_images_become_rgb(image_folder):
    image = Image.new("RGB", (32, 32), (255, 0, 0))
    for mode in ("L", "RGBA", "P", "LA", "1", "I;16"):
        converted = Image.new(mode, (32, 32)) if mode == "I;16" else image.convert(mode)
        converted.save(image_folder / "test" / "dog" / f"mode-{mode.replace(';', '')}.png")
    assert load(image_folder).test_images.shape == (10, 32, 32, 3)


def test_other_and_hidden_files_are_ignored(image_folder):
    (image_folder / "train" / "cat" / "notes.txt").write_text("not an image")
    (image_folder / "train" / "cat" / "._0.png").write_text("macOS")
    (image_folder / "train" / ".cache").mkdir()
    assert len(load(image_folder).train_images) == 8


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
        (lambda f: (f / "test").rename(f / "val"), "has no folder test"),
        (lambda f: (f / "train").rename(f / "tr"), "has no folder train"),
        (lambda f: (f / "test" / "dog").rename(f / "test" / "fox"), "dog, fox only in one"),
        (lambda f: [p.unlink() for p in (f / "train" / "dog").iterdir()], "dog contains no PNG"),
        (lambda f: (f / "train" / "cat" / "0.png").write_bytes(b"no"), r"cat/0\.png is not a read"),
        (
            lambda f: (f / "train" / "cat" / "0.png").write_bytes(
                (f / "train" / "cat" / "1.png").read_bytes()[:900]
            ),
            r"cat/0\.png is not a readable",
        ),
    ],
    ids=["no test", "no train", "classes differ", "empty class", "not an image", "truncated"],
)
def test_a_bad_folder_is_explained(image_folder, spoil, message):
    spoil(image_folder)
    with pytest.raises(InputError, match=message) as caught:
        load(image_folder)
    assert "\n" not in str(caught.value)


def test_an_empty_or_missing_folder_is_explained(tmp_path):
    with pytest.raises(InputError, match="has no folder train"):
        load(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        load(tmp_path / "nowhere")
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
    with pytest.raises(InputError, match="has 0 class folders"):
        load(tmp_path)
