"""Command lines with a part for each kind of thing that is measured: `python -m genworkers.evaluation.marks text`."""

import argparse
from collections.abc import Mapping
from types import ModuleType


def dispatch(description: str | None, parts: Mapping[str, ModuleType]) -> None:
    """Read which part is asked for and run it: `add_arguments` and `run` of its module, which describes itself."""
    parser = argparse.ArgumentParser(description=description)
    chosen = parser.add_subparsers(dest="part", required=True)
    for name, part in parts.items():
        part.add_arguments(chosen.add_parser(name, help=(part.__doc__ or "").partition("\n")[0]))
    options = parser.parse_args()
    parts[options.part].run(options)
