"""Our mosaic against `diffusers`' AmusedPipeline of the same size, both with random weights, in one run.

`python -m benchmarks.bench_image_amused` needs the packages of requirements/bench.in. Both draw the same number of
pictures of 128 px from 64 codes with guidance, in the same steps and on as many threads; ours also paints previews.
They take turns, and the medians are compared.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import torch

from benchmarks.image_amused import Amused
from genworkers.codecs.wordpiece import WordPiece
from genworkers.contract.image import ImageRequest
from genworkers.engine.canvas import Canvas, fast_precision
from genworkers.engine.image_engine import ImageEngine, ImageResult
from genworkers.engine.mosaic import MosaicPainter, Sampling
from genworkers.engine.prompt_reader import PromptReader
from genworkers.nets.encoder import load_minilm, minilm_folder
from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.nets.masked_transformer import MaskedTransformer, MosaicConfig

CPU = torch.device("cpu")
PROMPT = "a red apple left of a blue cat"


def our_engine(mosaic: MosaicConfig, tokenizer: TokenizerConfig, num_threads: int) -> ImageEngine:
    """An engine with random weights; the text encoder is the one that is always used."""
    torch.manual_seed(0)
    transformer = MaskedTransformer(mosaic)
    torch.nn.init.normal_(transformer.head.weight, std=0.02)
    reader = PromptReader(load_minilm(minilm_folder()), WordPiece(minilm_folder() / "tokenizer.json"), CPU)
    canvas = Canvas(FsqTokenizer(tokenizer), device=CPU)
    sampling = Sampling(max_redraws=0)  # random weights draw nothing, which is no reason here to draw it four times
    painter = MosaicPainter(transformer, canvas, reader, styles=("flat",), sampling=sampling)
    return ImageEngine({"mosaic": painter}, num_threads=num_threads)


def draw(engine: ImageEngine, num_images: int, num_steps: int, seed: int) -> None:
    """Guided pictures of 128 px. Every prompt is new, so that it must be read."""
    request = ImageRequest(prompt=f"{PROMPT} {seed}", num_images=num_images, num_steps=num_steps, is_draft=True)
    ticket = engine.submit(request, seed=seed, deadline_s=600)
    num_drawn = 0
    while not ticket.is_done:
        num_drawn += sum(isinstance(item, ImageResult) for item in ticket.read(1.0))
    if num_drawn != num_images:
        raise RuntimeError(f"{num_drawn} of {num_images} pictures came")


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--steps", type=int, default=ImageRequest(prompt=PROMPT).steps)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = TokenizerConfig()
    mosaic = MosaicConfig(num_codes=tokenizer.num_codes)
    theirs = {str(dtype): Amused(mosaic, tokenizer, dtype) for dtype in {torch.float32, fast_precision(CPU)}}
    engine = our_engine(mosaic, tokenizer, options.threads)
    engine.start()
    seconds: dict[str, list[float]] = {"ours": [], **{name: [] for name in theirs}}
    for number in range(options.rounds + 1):
        took = {"ours": timed(partial(draw, engine, options.pictures, options.steps, number))}
        for name, pipeline in theirs.items():
            torch.set_num_threads(options.threads)
            took[name] = timed(partial(pipeline.draw, f"{PROMPT} {number}", options.pictures, options.steps, number))
        if number:  # the first round warms up
            for name, each in took.items():
                seconds[name].append(each)
    engine.close()
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    print(
        json.dumps(
            vars(options)
            | {
                "median_s": {name: round(median, 3) for name, median in medians.items()},
                "best_s": {name: round(min(each), 3) for name, each in seconds.items()},
                "ratio": {name: round(median / medians["ours"], 2) for name, median in medians.items()},
                "ratio_of_pairs": {
                    name: round(statistics.median(its / own for its, own in zip(each, seconds["ours"], strict=True)), 2)
                    for name, each in seconds.items()
                },
                "their_parameters": next(iter(theirs.values())).num_parameters,
                "our_parameters": {
                    "transformer": sum(p.numel() for p in MaskedTransformer(mosaic).parameters()),
                    "tokenizer": sum(p.numel() for p in FsqTokenizer(tokenizer).parameters()),
                },
                "our_sizes": {"mosaic": asdict(mosaic), "tokenizer": asdict(tokenizer)},
            }
        )
    )


if __name__ == "__main__":
    main()
