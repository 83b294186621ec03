"""Who a text net takes a role to be: the odds of "she" after "The nurse said that", and the pronouns of its stories."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genworkers.codecs.text_bpe import TextCodec
from genworkers.evaluation.bias_prompts import PRONOUNS, STORY_PROMPT, STORY_WORDS, TEMPLATES, TEXT_ROLES
from genworkers.evaluation.bias_statistics import binomial_p, holm, sign_flip_p
from genworkers.evaluation.screen_measures import bootstrapped_mean
from genworkers.evaluation.text_measures import words_in
from genworkers.evaluation.text_samples import write_many
from genworkers.nets.decoder import Decoder
from genworkers.sampling.logits import Sampling

SAMPLING = Sampling(temperature=0.8, top_k=50, top_p=0.95)
STORY_TOKENS = 120
NUM_STORIES = 16
Figures = dict[str, Any]
Floats = NDArray[np.float64]


@torch.inference_mode()
def pronoun_logs(net: Decoder, codec: TextCodec, prompt: str, sentence: str) -> dict[str, float]:
    """Natural logarithm of the chance that the sentence, begun as the answer to a prompt, goes on with each pronoun."""
    begun = codec.encode_prompt(prompt) + codec.encode(sentence)
    found = {}
    for pronoun, (words,) in PRONOUNS.items():
        ids = codec.encode(words)
        logits = net(torch.tensor([begun + ids]))[0, len(begun) - 1 : -1].float()
        found[pronoun] = float(logits.log_softmax(-1)[range(len(ids)), ids].sum())
    return found


def odds_figures(net: Decoder, codec: TextCodec, roles: Sequence[str] = TEXT_ROLES) -> Figures:
    """For each role the log odds of "she" against "he" over all templates, as they are and against the mean role.

    Interval and p are over templates; p is of being 0, corrected for the number of roles after Holm.
    """
    logs = [
        [pronoun_logs(net, codec, STORY_PROMPT.format(role=role), template.format(role=role)) for template in TEMPLATES]
        for role in roles
    ]
    she_he = np.array([[one["she"] - one["he"] for one in row] for row in logs])
    they = np.array(
        [[np.exp(one["they"]) / sum(np.exp(value) for value in one.values()) for one in row] for row in logs]
    )
    against_mean = she_he - she_he.mean(0)
    figures = {
        role: {
            "num": len(TEMPLATES),
            "log_odds_she_he": asdict(bootstrapped_mean(she_he[place])),
            "against_mean_role": asdict(bootstrapped_mean(against_mean[place])),
            "they_frac": float(they[place].mean()),
            "p": sign_flip_p(she_he[place]),
        }
        for place, role in enumerate(roles)
    }
    return _corrected(figures)


def story_figures(net: Decoder, codec: TextCodec, roles: Sequence[str] = TEXT_ROLES, num: int = NUM_STORIES) -> Figures:
    """For each role the stories in which most pronouns are she, he or they; p of she against he being even."""
    prompts = [STORY_PROMPT.format(role=role) for role in roles]
    mains: dict[str, list[str]] = {role: [] for role in roles}
    for seed in range(num):
        texts = write_many(net, codec, prompts, seed=seed, max_tokens=STORY_TOKENS, sampling=SAMPLING)
        for role, text in zip(roles, texts, strict=True):
            mains[role].append(main_pronoun(text))
    return story_counts(mains)


def story_counts(main_of: Mapping[str, Sequence[str]]) -> Figures:
    """Figures of the main pronouns of each role's stories.

    Args:
        main_of: role to `main_pronoun` of each story.
    """
    figures: Figures = {}
    for role, mains in main_of.items():
        he, she = mains.count("he"), mains.count("she")
        gap = np.array([(main == "she") - (main == "he") for main in mains], dtype=np.float64)
        figures[role] = {
            "num": len(mains),
            "he": he,
            "she": she,
            "they": mains.count("they"),
            "she_minus_he": asdict(bootstrapped_mean(gap)),
            "p": binomial_p(she, she + he) if she + he else 1.0,
        }
    return _corrected(figures)


def main_pronoun(text: str) -> str:
    """The pronoun that a text uses most, "" for none or a tie."""
    words = words_in(text)
    counts = sorted(((sum(word in own for word in words), name) for name, own in STORY_WORDS.items()), reverse=True)
    return counts[0][1] if counts[0][0] > counts[1][0] else ""


def odds_table(figures: Figures) -> str:
    """Markdown: one row a role, those that lean most to "he" first."""
    lines = [
        "| role | n | ln P(she) / P(he) (95 %) | against the mean role | they | p (Holm) |",
        "|---|---|---|---|---|---|",
    ]
    for role, own in sorted(figures.items(), key=lambda item: item[1]["log_odds_she_he"]["value"]):
        odds, relative = own["log_odds_she_he"], own["against_mean_role"]
        lines.append(
            f"| {role} | {own['num']} | {odds['value']:+.2f} ({odds['low']:+.2f} to {odds['high']:+.2f}) | "
            f"{relative['value']:+.2f} | {own['they_frac']:.2f} | {own['p_holm']:.3g} |"
        )
    return "\n".join(lines)


def story_table(figures: Figures) -> str:
    """Markdown: one row a role."""
    lines = ["| role | n | he | she | they | she - he (95 %) | p (Holm) |", "|---|---|---|---|---|---|---|"]
    for role, own in sorted(figures.items(), key=lambda item: item[1]["she_minus_he"]["value"]):
        gap = own["she_minus_he"]
        lines.append(
            f"| {role} | {own['num']} | {own['he']} | {own['she']} | {own['they']} | "
            f"{gap['value']:+.2f} ({gap['low']:+.2f} to {gap['high']:+.2f}) | {own['p_holm']:.3g} |"
        )
    return "\n".join(lines)


def _corrected(figures: Figures) -> Figures:
    corrected = holm({name: own["p"] for name, own in figures.items()})
    return {name: own | {"p_holm": corrected[name]} for name, own in figures.items()}
