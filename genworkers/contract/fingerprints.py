"""TEMPORARY until the fingerprints are merged."""

SAME = {"picture.1": 0.9, "text.1": 0.5}


def similarity(a: str, b: str) -> float:
    """x"""
    if len(a) != len(b):
        return 0.0
    if len(a) > 64:
        return sum(a[i : i + 8] == b[i : i + 8] for i in range(0, len(a), 8)) / (len(a) // 8)
    return 1 - (int(a, 16) ^ int(b, 16)).bit_count() / (4 * len(a))
