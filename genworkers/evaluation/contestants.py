"""Who sits an exam: checkpoints drawn through the engine, as they are served, and the baselines of training runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from genworkers.checkpoints import load_manifest, sha256_of
from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.image import ImageRequest
from genworkers.engine.image_engine import ImageEngine, ImageResult
from genworkers.engine.image_loading import load_image_engine
from genworkers.evaluation.samplers import Sampler, beta_vae_sampler, dcgan_sampler

HOUSE_NETS = Path("genworkers/weights")
BASELINES: dict[str, Callable[[Path, Sequence[str]], Sampler]] = {
    "dcgan": dcgan_sampler,
    "beta-vae": beta_vae_sampler,
}
DEADLINE_S = 3600.0


@dataclass(frozen=True)
class Contestant:
    """One who can be asked for pictures.

    Attributes:
        title: for the table.
        sha256: of its weights.
        sample: draws; the caller closes with `close`.
    """

    title: str
    sha256: str
    sample: Sampler
    close: Callable[[], None]


def enter(spec: str, styles: Sequence[str], *, num_threads: int) -> Contestant:
    """Load a contestant.

    Args:
        spec: `[TITLE=]NET`: NET is the name of a house net, a checkpoint's folder, or `dcgan:FILE` or `beta-vae:FILE`
            with the resume.pt of a training run.
        styles: names of the styles in the order of the training, which a training run does not know.

    Raises:
        CheckpointError: there is no such checkpoint, or it cannot be used.
    """
    given_title, _, net = spec.rpartition("=")
    kind, _, run = net.partition(":")
    if run:
        path = Path(run)
        return Contestant(given_title or kind, sha256_of(path), BASELINES[kind](path, styles), _nothing)
    folder = checkpoint_folder(net)
    manifest = load_manifest(folder)
    folders = {manifest.name: folder}
    drawn_by = str(manifest.config.get("tokenizer_of", ""))
    if drawn_by:
        folders[drawn_by] = HOUSE_NETS / drawn_by
    engine = load_image_engine(folders, num_threads=num_threads)
    engine.start()
    sampler = _through_engine(engine, manifest.name)
    return Contestant(given_title or manifest.title, manifest.sha256, sampler, engine.close)


def checkpoint_folder(net: str) -> Path:
    """The folder of a checkpoint that is given by its path or, for a house net, by its name."""
    return Path(net) if Path(net).exists() else HOUSE_NETS / net


def _through_engine(engine: ImageEngine, net: str) -> Sampler:
    def sample(prompts: Sequence[str], seeds: Sequence[int], style: str) -> list[Pixels]:
        tickets = [
            engine.submit(ImageRequest(prompt=prompt, net=net, style=style), seed=seed, deadline_s=DEADLINE_S)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        pictures = []
        for ticket in tickets:
            while not ticket.is_done:
                pictures += [item.pixels for item in ticket.read(1.0) if isinstance(item, ImageResult)]
        return pictures

    return sample


def _nothing() -> None:
    """A baseline has no threads to end."""
