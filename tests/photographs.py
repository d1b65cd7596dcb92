"""Pictures of digits for the tests of handwriting/: drawn, and simulated photographs of MNIST."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

Points = list[tuple[float, float]]
SEVEN: Points = [(0.2, 0.15), (0.8, 0.15), (0.4, 0.9)]
TWO: Points = [(0.2, 0.3), (0.35, 0.15), (0.65, 0.15), (0.8, 0.32), (0.2, 0.88), (0.82, 0.88)]


def drawn(points: Points, size: int = 200, stroke: float = 0.1) -> Image.Image:
    """A black line through the points, in a square of `size` pixels on a white page, 400x320."""
    # Drawn four times as large, for smooth edges.
    image = Image.new("L", (1600, 1280), 255)
    line = [(4 * (60 + x * size), 4 * (40 + y * size)) for x, y in points]
    ImageDraw.Draw(image).line(line, 0, round(4 * stroke * size), "curve")
    return image.reduce(4)


def photograph(image: np.ndarray, rng: np.random.Generator) -> bytes:
    """An MNIST image, uint8 (28, 28), drawn large on paper and photographed: a JPEG file.

    Place, size, brightness, light, color and noise are random; some are light on dark.
    """
    height, width = (480, 640) if rng.random() < 0.5 else (640, 480)
    size = int(rng.integers(120, 400))
    large = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    # With the sharp edges of a pen.
    ink = np.clip((np.asarray(large, np.float32) / 255 - 0.5) * 6 + 0.5, 0, 1)
    top, left = int(rng.integers(0, height - size)), int(rng.integers(0, width - size))
    page = np.zeros((height, width), np.float32)
    page[top : top + size, left : left + size] = ink
    y, x = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    light = rng.uniform(0, 60) * (np.cos(angle) * x + np.sin(angle) * y)
    brightness = (rng.uniform(150, 235) + light) * (1 - page) + rng.uniform(10, 80) * page
    if rng.random() < 0.3:
        brightness = 255 - brightness
    noise = rng.normal(0, rng.uniform(2, 10), brightness.shape)
    pixels = brightness[..., np.newaxis] * rng.uniform(0.85, 1, 3) + noise[..., np.newaxis]
    return file_bytes(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), "JPEG", quality=85)


def file_bytes(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    """The content of a picture file."""
    content = io.BytesIO()
    image.save(content, format_, **options)
    return content.getvalue()
