"""The code that carries 36 bits in 63: BCH(63, 36), which corrects 5 wrong bits, and more when it knows which are weak.

Hocquenghem 1959; Bose, Ray-Chaudhuri 1960. Read by ordered statistics (Fossorier, Lin 1995, "Soft-decision decoding of
linear block codes based on ordered statistics"): the most reliable 36 positions that determine a codeword are taken as
they are, then with every one, two and three of them turned; the codeword that agrees best with all 63 is the answer.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

NUM_BITS = 63
NUM_PAYLOAD_BITS = 36
NUM_CORRECTED = 5

Bits = NDArray[np.uint8]
Soft = NDArray[np.float64]


@cache
def generator_polynomial() -> int:
    """Its coefficients as bits, lowest power first: roots are α^1 ... α^10 in GF(64) of x^6 + x + 1, and conjugates."""
    powers = [1]
    for _ in range(NUM_BITS - 1):
        doubled = powers[-1] << 1
        powers.append(doubled ^ 0b1000011 if doubled & 64 else doubled)
    log_of = {value: exponent for exponent, value in enumerate(powers)}
    roots = {(root << turn) % NUM_BITS for root in range(1, 2 * NUM_CORRECTED + 1) for turn in range(6)}
    product = [1]  # coefficients in GF(64), lowest power first
    for root in roots:
        by_root = [powers[(log_of[each] + root) % NUM_BITS] if each else 0 for each in product]
        product = [high ^ low for high, low in zip([0, *product], [*by_root, 0], strict=True)]
    return sum(bit << power for power, bit in enumerate(product))


@cache
def generator_matrix() -> Bits:
    """(36, 63): the codeword of each single payload bit; the first 36 bits of a codeword are the payload itself."""
    shifts = [generator_polynomial() << shift for shift in range(NUM_PAYLOAD_BITS)]
    rows = np.array([[each >> power & 1 for power in range(NUM_BITS)] for each in shifts], dtype=np.uint8)
    return _reduced(rows)[0]


def encode(payload: int) -> Bits:
    """The codeword (63,) of a payload, whose lowest bit comes first.

    Raises:
        ValueError: the payload is not 0 .. 2**36 - 1.
    """
    if not 0 <= payload < 1 << NUM_PAYLOAD_BITS:
        raise ValueError(f"payload must be 0 .. 2**{NUM_PAYLOAD_BITS} - 1, got {payload}")
    bits = np.array([payload >> place & 1 for place in range(NUM_PAYLOAD_BITS)], dtype=np.uint8)
    codeword: Bits = (bits @ generator_matrix() % 2).astype(np.uint8)
    return codeword


def decode(soft: Soft) -> tuple[int, Bits]:
    """The most likely payload and its codeword (63,).

    Args:
        soft: (63,), positive where a bit looks like 0, negative where it looks like 1, larger where that is surer.
    """
    order = np.argsort(-np.abs(soft), kind="stable")
    rows, basis = _reduced(generator_matrix()[:, order])
    heard = soft[order]
    nearest = (heard[basis] < 0) @ rows % 2  # the codeword that has the basis as it was heard
    turns = np.vstack([np.ones(NUM_BITS), 1.0 - 2.0 * rows])  # (37, 63): nothing turned, or one bit of the basis
    two = (turns[:, None] * turns).reshape(-1, NUM_BITS)
    agreement = (two * (heard * (1.0 - 2.0 * nearest))) @ turns.T  # (37 * 37, 37): up to three turned
    pair, third = np.unravel_index(int(agreement.argmax()), agreement.shape)
    codeword = np.empty(NUM_BITS, dtype=np.uint8)
    codeword[order] = (1.0 - 2.0 * nearest) * two[pair] * turns[third] < 0
    return sum(int(bit) << place for place, bit in enumerate(codeword[:NUM_PAYLOAD_BITS])), codeword


def _reduced(matrix: Bits) -> tuple[Bits, NDArray[np.intp]]:
    """Gauss-Jordan elimination over GF(2), and the first columns that became unit vectors."""
    rows = matrix.copy()
    basis: list[int] = []
    for column in range(rows.shape[1]):
        place = len(basis)
        candidates = np.flatnonzero(rows[place:, column])
        if not len(candidates):
            continue
        pivot = place + candidates[0]
        rows[[place, pivot]] = rows[[pivot, place]]
        others = np.flatnonzero(rows[:, column])
        rows[others[others != place]] ^= rows[place]
        basis.append(column)
        if len(basis) == len(rows):
            break
    return rows, np.array(basis, dtype=np.intp)
