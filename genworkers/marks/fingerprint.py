"""TEMPORARY until the fingerprints are merged."""

import hashlib

import numpy as np
from PIL import Image


def of_picture(pixels):
    """x"""
    image = Image.fromarray(pixels).convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    y = np.asarray(Image.alpha_composite(ground, image).convert("L").resize((16, 16)), dtype=float)
    return np.packbits(y > np.median(y)).tobytes()


def of_text(text):
    """x"""
    words = text.casefold().split()
    grams = {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))}
    return b"".join(
        min(hashlib.blake2b(g.encode(), digest_size=4, salt=bytes([i])).digest() for g in grams) for i in range(64)
    )


def bands(value):
    """x"""
    return [f"{i}-{value[i : i + 2].hex()}" for i in range(0, len(value), 2)]
