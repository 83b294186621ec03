"""Measure the screens: `python -m genworkers.evaluation.safety text|pictures --help`. Each has a module of its own."""

import argparse

from genworkers.evaluation import picture_safety, text_safety

AUDITS = {"text": text_safety, "pictures": picture_safety}


def main() -> None:
    """Run the audit that is named first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="screen", required=True)
    for name, audit in AUDITS.items():
        audit.add_arguments(parts.add_parser(name, help=(audit.__doc__ or "").partition("\n")[0]))
    options = parser.parse_args()
    AUDITS[options.screen].run(options)


if __name__ == "__main__":
    main()
