"""Train the text net's tokenizer: `python -m genworkers.training.train_bpe --out runs/text/tokenizer.json`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from genworkers.codecs.text_bpe import TextCodec, train_bpe
from genworkers.training.text_data import Story, read_stories


def bpe_of_stories(stories: Sequence[Story], vocab_size: int) -> TextCodec:
    """Learn merges from the texts and their prompts."""
    return train_bpe([text for story in stories for text in (story.text, *story.prompts)], vocab_size)


def main() -> None:
    """Learn merges from the stories and their prompts, held-out documents left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--vocab-size", type=int, default=4096)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()

    stories = [story for story in read_stories(arguments.corpus) if not story.is_held_out]
    codec = bpe_of_stories(stories, arguments.vocab_size)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    codec.save(arguments.out)
    num_chars = sum(len(story.text) for story in stories)
    num_tokens = sum(len(ids) for ids in codec.encode_many([story.text for story in stories]))
    print(f"{len(stories)} stories, {num_chars} characters, {num_tokens} tokens, {num_chars / num_tokens:.3f} a token")


if __name__ == "__main__":
    main()
