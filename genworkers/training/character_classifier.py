"""Train the judge of characters on composed pictures: `python -m genworkers.training.character_classifier --help`.

Characters are composed while it trains, none with a held-out pair of colours. The budget is wall-clock time; run again
with the same --out it goes on.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from genworkers.nets.judges import CharacterClassifier
from genworkers.training.character_composer import Character, Composer
from genworkers.training.character_layers import load_layers
from genworkers.training.character_reading import attributes_of
from genworkers.training.train_judges import fit

NUM_LISTED = 20_000
NUM_TESTED = 256
UNLISTED = -100  # what the loss leaves out


def values_of_attributes(composer: Composer) -> dict[str, list[str]]:
    """Every value that each attribute takes among many random characters, sorted."""
    random = np.random.default_rng(0)
    listed = [attributes_of(composer.draw(random)) for _ in range(NUM_LISTED)]
    return {name: sorted({attributes[name] for attributes in listed}) for name in listed[0]}


class CharacterJudge:
    """A classifier and the words for what it says."""

    def __init__(self, net: CharacterClassifier, values: dict[str, list[str]], num_steps: int = 0) -> None:
        self.net = net
        self.values = values
        self.num_steps = num_steps
        self._numbers = {name: {value: i for i, value in enumerate(own)} for name, own in values.items()}

    @classmethod
    def load(cls, folder: Path) -> "CharacterJudge":
        """What `main` saved."""
        facts = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
        net = CharacterClassifier(facts["num_colours"], {name: len(own) for name, own in facts["values"].items()})
        net.load_state_dict(load_file(folder / "classifier.safetensors"))
        return cls(net, facts["values"], facts["num_steps"])

    @torch.inference_mode()
    def read(self, pictures: Sequence[NDArray[np.uint8]]) -> list[dict[str, str]]:
        """Attribute to value for each picture of palette numbers (64, 64)."""
        self.net.eval()
        found = {name: logits.argmax(1).tolist() for name, logits in self.net(as_batch(pictures)).items()}
        return [{name: self.values[name][found[name][row]] for name in found} for row in range(len(pictures))]

    def targets(self, characters: Sequence[Character]) -> dict[str, Tensor]:
        """Attribute to numbers (B) of its values."""
        shown = [attributes_of(character) for character in characters]
        return {
            name: torch.tensor([numbers.get(attributes[name], UNLISTED) for attributes in shown])
            for name, numbers in self._numbers.items()
        }


def as_batch(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Pictures of palette numbers as int64 (B, 64, 64)."""
    return torch.from_numpy(np.stack(pictures).astype(np.int64))


def main() -> None:
    """Train until the budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--out", type=Path, default=Path("runs/character-classifier"))
    parser.add_argument("--budget-min", type=float, default=8.0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    composer = Composer(load_layers(options.corpus, options.cache))
    values, num_colours = values_of_attributes(composer), len(composer.frames.palette)
    judge = CharacterJudge(CharacterClassifier(num_colours, {name: len(own) for name, own in values.items()}), values)

    def loss_of(characters: Sequence[Character]) -> Tensor:
        logits = judge.net(as_batch([composer.paint(character) for character in characters]))
        targets = judge.targets(characters)
        losses = [F.cross_entropy(logits[name], target, ignore_index=UNLISTED) for name, target in targets.items()]
        return torch.stack(losses).sum()

    def loss(generator: torch.Generator) -> Tensor:
        random = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        return loss_of([composer.draw(random) for _ in range(options.batch)])

    random = np.random.default_rng(5)
    tested = [composer.draw(random, held_out=True) for _ in range(NUM_TESTED)]
    num_steps = fit(judge.net, loss, lambda _: loss_of(tested), options.out, budget_min=options.budget_min, peak=2e-3)
    tensors = {name: value.detach().contiguous() for name, value in judge.net.state_dict().items()}
    save_file(tensors, options.out / "classifier.safetensors")
    facts = {"num_colours": num_colours, "values": values, "num_steps": num_steps, "budget_min": options.budget_min}
    (options.out / "classifier.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
