"""Pictures to measure on, kept as files: those that our nets draw, once, and stickers of the corpus."""

import json
import lzma
import random
import tarfile
from itertools import islice
from pathlib import Path

from genworkers.codecs.image_bytes import to_png
from genworkers.evaluation.contestants import enter
from genworkers.training.sticker_data import read_captions

NUM_OF_NET = {"mosaic": 400, "spark": 700, "drift": 400, "characters": 300}
STYLES_OF_NET = {"characters": ("sprite",)}
STICKER_STYLES = ("flat", "bold", "3d")
SEEDS_A_PROMPT = 2  # so that there are variations of one prompt
NUM_CHARACTERS = 1200
STICKER_TARS = ("px256-fluent-3d.tar", "px256-fluent-flat.tar", "px128-noto.tar")


def draw_ours(folder: Path, corpus: Path, num_threads: int = 1) -> list[Path]:
    """The files of all pictures, 512 px PNG named NET-NUMBER; what a folder has already is not drawn again."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted({caption.name for caption in read_captions(corpus).values()})
    random.Random(0).shuffle(names)
    with lzma.open(corpus / "characters" / "captions.jsonl.xz", "rt", encoding="utf-8") as lines:
        characters = [json.loads(line)["caption"] for line in islice(lines, NUM_CHARACTERS)]
    files = []
    for net, num in NUM_OF_NET.items():
        styles = STYLES_OF_NET.get(net, STICKER_STYLES)
        prompts = characters if net in STYLES_OF_NET else names
        missing = [index for index in range(num) if not (folder / f"{net}-{index:04d}.png").exists()]
        contestant = enter(net, (), num_threads=num_threads) if missing else None
        for index in missing:
            assert contestant is not None
            prompt = prompts[index // (SEEDS_A_PROMPT * len(styles)) % len(prompts)]
            for drawn in contestant.sample([prompt], [index // len(styles)], styles[index % len(styles)]):
                (folder / f"{net}-{index:04d}.png").write_bytes(to_png(drawn))
        if contestant is not None:
            contestant.close()
        files += sorted(folder.glob(f"{net}-*.png"))
    return files


def stickers(corpus: Path, folder: Path, num: int) -> list[Path]:
    """Files of so many stickers of the corpus, which nobody marked."""
    folder.mkdir(parents=True, exist_ok=True)
    each = -(-num // len(STICKER_TARS))
    for name in STICKER_TARS:
        with tarfile.open(corpus / "stickers" / name) as tar:
            for member in tar.getmembers()[:each]:
                data = tar.extractfile(member)
                path = folder / f"{Path(name).stem}-{Path(member.name).name}"
                if data is not None and not path.exists():
                    path.write_bytes(data.read())
    return sorted(folder.iterdir())[:num]
