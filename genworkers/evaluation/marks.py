"""Measure the marks: `python -m genworkers.evaluation.marks text|pictures --help`. Each has a module of its own."""

import argparse

from genworkers.evaluation import picture_marks, text_marks

KINDS = {"text": text_marks, "pictures": picture_marks}


def main() -> None:
    """Read what to measure and hand over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="kind", required=True)
    for name, kind in KINDS.items():
        kind.add_arguments(parts.add_parser(name, help=(kind.__doc__ or "").partition("\n")[0]))
    options = parser.parse_args()
    KINDS[options.kind].run(options)


if __name__ == "__main__":
    main()
