"""Train the judge of characters on composed pictures: `python -m genworkers.training.character_judge --help`.

It sees the same attributes as the net that draws, never its pictures, and is measured on held-out combinations.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genworkers.nets.character_judge import CharacterJudge, CharacterJudgeConfig
from genworkers.training.character_composer import Character, Composer
from genworkers.training.character_layers import DIRECTIONS, load_layers
from genworkers.training.character_steps import Learner
from genworkers.training.loop import TimedRun

NONE = "none"
BALD = "bald"
NUM_TESTED = 512


def answers_of(composer: Composer) -> dict[str, tuple[str, ...]]:
    """For each attribute all names that a character can have."""
    return {
        "direction": DIRECTIONS,
        "person": ("man", "woman"),
        "age": ("adult", "elderly"),
        "skin": (*composer.natural_skins, *composer.other_skins),
        "hair or helm": (*composer.hair_styles, *composer.helms, BALD),
        "hair colour": (*composer.hair_colours, NONE),
        "helm metal": (*composer.metals, NONE),
        "beard": (*composer.beards, NONE),
        "eyewear": (*composer.eyewear, NONE),
        "top": composer.tops,
        "top colour": composer.colours,
        "bottom": composer.bottoms,
        "bottom colour": composer.colours,
        "feet": (*composer.shoes, NONE),
        "feet colour": (*composer.colours, NONE),
        "bowtie": (*composer.colours, NONE),
        "ground": composer.grounds,
    }


def truth_of(character: Character) -> dict[str, str]:
    """The right answer for each attribute."""
    covering = character.hair or character.helm
    return {
        "direction": character.direction,
        "person": "woman" if character.is_woman else "man",
        "age": "elderly" if character.is_elderly else "adult",
        "skin": character.skin,
        "hair or helm": covering[0] if covering is not None else BALD,
        "hair colour": character.hair[1] if character.hair is not None else NONE,
        "helm metal": character.helm[1] if character.helm is not None else NONE,
        "beard": character.beard[0] if character.beard is not None else NONE,
        "eyewear": character.eyewear[0] if character.eyewear is not None else NONE,
        "top": character.top[0],
        "top colour": character.top[1],
        "bottom": character.bottom[0],
        "bottom colour": character.bottom[1],
        "feet": character.feet[0] if character.feet is not None else NONE,
        "feet colour": character.feet[1] if character.feet is not None else NONE,
        "bowtie": character.bowtie or NONE,
        "ground": character.ground,
    }


def compose_labelled(
    composer: Composer, random: np.random.Generator, num: int, *, held_out: bool = False
) -> tuple[Tensor, list[dict[str, str]]]:
    """Palette numbers (num, 64, 64) int64 of random characters, and the right answers."""
    characters = [composer.draw(random, held_out=held_out) for _ in range(num)]
    painted = torch.from_numpy(np.stack([composer.paint(character) for character in characters])).long()
    return painted, [truth_of(character) for character in characters]


def right_shares(judge: CharacterJudge, pictures: Tensor, truths: list[dict[str, str]]) -> dict[str, float]:
    """Share of pictures with the right answer, by attribute."""
    named = judge.name(pictures)
    return {
        attribute: round(float(np.mean([n[attribute] == t[attribute] for n, t in zip(named, truths, strict=True)])), 4)
        for attribute in truths[0]
    }


def load_judge(path: Path, composer: Composer) -> CharacterJudge:
    """The averaged weights of a judge run's resume.pt."""
    judge = CharacterJudge(CharacterJudgeConfig(len(composer.frames.palette), answers_of(composer)))
    judge.load_state_dict(torch.load(path, weights_only=True)["average"])
    return judge.eval()


def main() -> None:
    """Train until the budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/character-judge"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--budget-min", type=float, default=8.0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    composer = Composer(load_layers(options.corpus, options.cache))
    tested = compose_labelled(composer, np.random.default_rng(1), NUM_TESTED, held_out=True)
    config = CharacterJudgeConfig(len(composer.frames.palette), answers_of(composer))
    numbers = {name: {choice: i for i, choice in enumerate(choices)} for name, choices in config.answers.items()}
    learner = Learner(CharacterJudge(config), CharacterJudge(config), ("read.", "layers."))
    run = TimedRun(options.out, options.budget_min, learner.parts)
    random = np.random.default_rng([2, run.step])
    for spent_frac in run.steps(lambda: right_shares(learner.average, *tested)):
        pictures, truths = compose_labelled(composer, random, options.batch)
        with torch.autocast("cpu", torch.bfloat16):
            answers = learner.net(pictures)
        loss = torch.zeros(())
        for name, logits in answers.items():
            wanted = torch.tensor([numbers[name][truth[name]] for truth in truths])
            loss = loss + F.cross_entropy(logits.float(), wanted) / len(answers)
        learner.step(loss, spent_frac, run.step)
        run.note(loss=float(loss.detach()))


if __name__ == "__main__":
    main()
