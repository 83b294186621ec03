"""From a net's attention to words and heat: which words drew which tiles of a picture."""

import base64
import math

import torch
from torch import Tensor

from genworkers.codecs.wordpiece import Word
from genworkers.contract.image import Explanation


def explanation_of(heed: Tensor, words: tuple[Word, ...]) -> Explanation | None:
    """Heat of each word over the tiles.

    A word's heat is the attention that a tile paid to its pieces, as a share of what it paid to all words, so that
    tiles that read the caption little can be compared with those that read it much. The hottest tile of all is 255.

    Args:
        heed: (N, T) attention of N tiles, a square grid row by row, to T caption tokens; zero where a tile was kept.
        words: of the caption; those past T tokens were not read and are left out.

    Returns:
        None when no word was read.
    """
    read = [word for word in words if word.positions[-1] < heed.shape[1]]
    if not read or not bool((heed > 0).any()):
        return None
    paid = torch.stack([heed[:, list(word.positions)].sum(-1) for word in read])  # (words, N)
    shares = paid / paid.sum(0).clamp(min=1e-9)
    maps = (255.0 * shares / shares.max()).round().to(torch.uint8)
    return Explanation(
        words=[word.text for word in read],
        grid=math.isqrt(heed.shape[0]),
        maps=base64.b64encode(maps.numpy().tobytes()).decode(),
    )
