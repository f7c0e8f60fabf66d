"""From an image of any mode and size to 32×32 RGB."""

import numpy as np
from PIL import Image, ImageOps

SIZE = 32


def as_seen(image: Image.Image) -> np.ndarray:
    """The center of an image of any mode, as RGB over white: uint8 (32, 32, 3)."""
    if image.mode[0] in "IF":
        image = _to_8_bits(image)
    transparent = "transparency" in image.info or image.mode[-1] in "Aa"
    mode = "RGBA" if transparent else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != (SIZE, SIZE):
        image = ImageOps.fit(image, (SIZE, SIZE), Image.Resampling.LANCZOS)
    if transparent:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    return np.asarray(image)


def _to_8_bits(image: Image.Image) -> Image.Image:
    """A gray image of 16 or 32 bits or of floats, scaled to 0–255; negative values are black.

    PNG and PGM files have 16 bits. 32 bits and floats have no fixed range: white is 1, 255 or
    65,535, the first that no pixel exceeds, or else the brightest pixel.
    """
    pixels = np.nan_to_num(np.array(image, np.float32), copy=False, posinf=0)
    peak = pixels.max()
    if ";16" in image.mode or (image.mode == "I" and image.format in ("PNG", "PPM")):
        white = 65_535
    else:
        white = next((value for value in (1, 255, 65_535) if peak <= value), peak)
    pixels[pixels == image.info.get("transparency")] = white
    pixels.clip(0, white, out=pixels)  # In place: a large scan several times is a lot of memory.
    pixels *= 255 / white
    return Image.fromarray(np.rint(pixels, out=pixels).astype(np.uint8))
