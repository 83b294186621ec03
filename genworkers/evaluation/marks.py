"""Measure the marks: `python -m genworkers.evaluation.marks text --net FOLDER`. Each kind has a module of its own."""

import argparse

from genworkers.evaluation import text_marks


def main() -> None:
    """Read what to measure and hand over."""
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(required=True)
    text = kinds.add_parser("text", description=text_marks.__doc__, help="the mark in texts")
    text_marks.add_arguments(text)
    text.set_defaults(run=text_marks.run)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
