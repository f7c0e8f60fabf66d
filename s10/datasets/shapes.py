"""`shapes`: ten classes of 32×32 color images, drawn on demand.

The built-in dataset for machines with no CIFAR-10 and no network. Each image
shows one filled shape with random position, size and angle, in random colors and
textures, over a textured background with clutter and noise, so that no single
pixel reveals the class.

The images are the same on every machine. So nothing here calls a function
whose last digit depends on the math library (sin, exp, log): angles are
points on the unit circle, waves are triangle waves, noise is a sum of uniform
random numbers, and what remains (+ − × ÷ √ and comparisons) is exact under IEEE 754.
The random numbers come from NumPy's `RandomState`, whose stream is frozen.
"""

import numpy as np

CLASSES = (
    "circle", "ring", "moon", "square", "triangle", "star", "cross", "heart", "arrow", "bolt",
)  # fmt: skip
SIZE = 32
TRAIN_IMAGES, TEST_IMAGES = 5_000, 1_000

# Vertices (x to the right, y down) of the shapes that are polygons, all within
# about the unit circle, placed by eye.
_POLYGONS = {
    "square": [(-0.75, -0.75), (0.75, -0.75), (0.75, 0.75), (-0.75, 0.75)],
    "triangle": [(0.0, -1.0), (0.87, 0.6), (-0.87, 0.6)],
    "star": [
        (0.0, -1.0), (0.22, -0.31), (0.95, -0.31), (0.36, 0.12), (0.59, 0.81),
        (0.0, 0.38), (-0.59, 0.81), (-0.36, 0.12), (-0.95, -0.31), (-0.22, -0.31),
    ],
    "cross": [
        (-0.3, -0.95), (0.3, -0.95), (0.3, -0.3), (0.95, -0.3), (0.95, 0.3), (0.3, 0.3),
        (0.3, 0.95), (-0.3, 0.95), (-0.3, 0.3), (-0.95, 0.3), (-0.95, -0.3), (-0.3, -0.3),
    ],
    "heart": [
        (0.0, -0.35), (0.2, -0.68), (0.5, -0.8), (0.8, -0.68), (0.92, -0.35), (0.78, 0.05),
        (0.0, 0.95), (-0.78, 0.05), (-0.92, -0.35), (-0.8, -0.68), (-0.5, -0.8), (-0.2, -0.68),
    ],
    "arrow": [
        (0.0, -1.0), (0.75, -0.15), (0.28, -0.15), (0.28, 0.95),
        (-0.28, 0.95), (-0.28, -0.15), (-0.75, -0.15),
    ],
    "bolt": [(0.3, -1.0), (-0.65, 0.2), (-0.08, 0.2), (-0.3, 1.0), (0.65, -0.25), (0.1, -0.25)],
}  # fmt: skip


def draw_shapes(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw the dataset: 5,000 training and 1,000 test images, equally many of each class.

    Returns:
        Training images, training labels, test images, test labels. Images are
        uint8 (N, 32, 32, 3), RGB, 0–255; labels int64 (N,), 0–9.
    """
    random = np.random.RandomState(seed)
    train = _draw_split(random, TRAIN_IMAGES)
    test = _draw_split(random, TEST_IMAGES)
    return (*train, *test)


def _draw_split(random: np.random.RandomState, count: int) -> tuple[np.ndarray, np.ndarray]:
    per_class = count // len(CLASSES)
    images = np.concatenate([_draw_class(random, name, per_class) for name in CLASSES])
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    order = np.argsort(random.random_sample(count), kind="stable")
    return images[order], labels[order].astype(np.int64)


def _draw_class(random: np.random.RandomState, name: str, count: int) -> np.ndarray:
    """`count` images of one class, uint8 (count, 32, 32, 3)."""
    x, y = _pixel_grid()
    center_x, center_y = _uniform(random, count, -4.5, 4.5), _uniform(random, count, -4.5, 4.5)
    radius = _uniform(random, count, 8.5, 12.5)
    cos, sin = _directions(random, count)

    shape_x, shape_y = _rotated(x - center_x, y - center_y, cos, sin)
    distance = _signed_distance(name, shape_x / radius, shape_y / radius) * radius
    # Anti-aliasing: within half a pixel of the edge, coverage falls linearly from 1 to 0.
    inside = np.clip(0.5 - distance, 0, 1)[..., None]

    background, foreground = _contrasting_colors(random, count)
    canvas = background[:, None] + _texture(random, count, strength=0.35)
    canvas = _clutter(random, canvas, count)
    filled = foreground[:, None] + _texture(random, count, strength=0.2)
    canvas = canvas * (1 - inside) + filled * inside
    # The sum of three uniform random numbers is close enough to a normal distribution.
    noise = random.random_sample((3, count, SIZE * SIZE, 3)).astype(np.float32)
    canvas = canvas + np.float32(0.16) * ((noise[0] + noise[1] + noise[2]) - np.float32(1.5))
    pixels = np.floor(np.clip(canvas, 0, 1) * np.float32(255) + np.float32(0.5))
    return pixels.astype(np.uint8).reshape(count, SIZE, SIZE, 3)


def _pixel_grid() -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixel centers, from −15.5 to 15.5, float32 (1, 1024) each."""
    middle = np.arange(SIZE, dtype=np.float32) - np.float32((SIZE - 1) / 2)
    y, x = np.meshgrid(middle, middle, indexing="ij")
    return x.reshape(1, -1), y.reshape(1, -1)


def _uniform(random: np.random.RandomState, count: int, low: float, high: float) -> np.ndarray:
    return (low + (high - low) * random.random_sample((count, 1))).astype(np.float32)


def _directions(random: np.random.RandomState, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of `count` random angles: points in a ring, scaled to length 1."""
    points = np.empty((0, 2))
    while len(points) < count:
        candidates = 2 * random.random_sample((2 * count, 2)) - 1
        length = candidates[:, 0] * candidates[:, 0] + candidates[:, 1] * candidates[:, 1]
        points = np.concatenate([points, candidates[(length > 0.01) & (length < 1)]])
    points = points[:count]
    points = points / np.sqrt(points[:, :1] * points[:, :1] + points[:, 1:] * points[:, 1:])
    return points[:, :1].astype(np.float32), points[:, 1:].astype(np.float32)


def _rotated(x, y, cos, sin):
    return x * cos + y * sin, y * cos - x * sin


def _signed_distance(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance to the edge of a shape of radius 1, negative inside."""
    from_center = np.sqrt(x * x + y * y)
    if name == "circle":
        return from_center - np.float32(0.85)
    if name == "ring":
        return np.abs(from_center - np.float32(0.72)) - np.float32(0.2)
    if name == "moon":
        offset = x - np.float32(0.5)
        hole = np.float32(0.75) - np.sqrt(offset * offset + y * y)
        return np.maximum(from_center - np.float32(0.95), hole)
    return _polygon_distance(_POLYGONS[name], x, y)


def _polygon_distance(corners: list[tuple[float, float]], x, y) -> np.ndarray:
    """Signed distance to a polygon: the nearest edge; its sign by the even–odd rule."""
    nearest = np.full_like(x, np.inf)
    inside = np.zeros(x.shape, bool)
    corners = [(np.float32(a), np.float32(b)) for a, b in corners]
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        edge_x, edge_y = bx - ax, by - ay
        to_x, to_y = x - ax, y - ay
        along = (to_x * edge_x + to_y * edge_y) / (edge_x * edge_x + edge_y * edge_y)
        along = np.clip(along, 0, 1)
        off_x, off_y = to_x - along * edge_x, to_y - along * edge_y
        nearest = np.minimum(nearest, off_x * off_x + off_y * off_y)
        crosses = (y >= min(ay, by)) & (y < max(ay, by))
        if ay != by:
            inside ^= crosses & (to_x < to_y * (edge_x / edge_y))
    return np.where(inside, -1, 1).astype(np.float32) * np.sqrt(nearest)


def _contrasting_colors(random: np.random.RandomState, count: int):
    """Background and foreground colors, float32 (count, 3) each, 0–1.

    Their luminance differs by more than 0.25; which one is brighter is random.
    """
    weights = np.array([0.299, 0.587, 0.114])
    pairs = np.empty((0, 2, 3))
    while len(pairs) < count:
        candidates = random.random_sample((4 * count, 2, 3))
        weighted = candidates * weights
        luminance = weighted[..., 0] + weighted[..., 1] + weighted[..., 2]
        keep = np.abs(luminance[:, 0] - luminance[:, 1]) > 0.25
        pairs = np.concatenate([pairs, candidates[keep]])
    pairs = pairs[:count].astype(np.float32)
    return pairs[:, 0], pairs[:, 1]


def _texture(random: np.random.RandomState, count: int, strength: float) -> np.ndarray:
    """Stripes, checks or a gradient, each in a random direction: float32 (count, 1024, 3)."""
    x, y = _pixel_grid()
    u, v = _rotated(x, y, *_directions(random, count))
    period = _uniform(random, count, 4, 14)
    waves_u = _triangle_wave(u / period + _uniform(random, count, 0, 1))
    waves_v = _triangle_wave(v / period + _uniform(random, count, 0, 1))
    kind = random.randint(0, 3, (count, 1))
    pattern = np.where(kind == 0, waves_u, np.where(kind == 1, waves_u * waves_v, u / SIZE))
    tint = 2 * random.random_sample((count, 1, 3)).astype(np.float32) - 1
    return np.float32(strength) * pattern.astype(np.float32)[..., None] * tint


def _triangle_wave(position: np.ndarray) -> np.ndarray:
    """A wave of period 1 between −1 and 1."""
    fraction = position - np.floor(position)
    return np.float32(4) * np.abs(fraction - np.float32(0.5)) - np.float32(1)


def _clutter(random: np.random.RandomState, canvas: np.ndarray, count: int) -> np.ndarray:
    """Paint two dots and two bars of random colors, to stand behind the shape."""
    x, y = _pixel_grid()
    for half_length in (0, 0, 7, 7):
        along_x, along_y = _directions(random, count)
        center_x, center_y = _uniform(random, count, -16, 16), _uniform(random, count, -16, 16)
        u, v = _rotated(x - center_x, y - center_y, along_x, along_y)
        beyond = np.maximum(np.abs(u) - np.float32(half_length), 0)
        distance = np.sqrt(beyond * beyond + v * v) - _uniform(random, count, 0.8, 2.2)
        covered = np.clip(0.5 - distance, 0, 1)[..., None]
        color = random.random_sample((count, 1, 3)).astype(np.float32)
        canvas = canvas * (1 - covered) + color * covered
    return canvas
