"""Measure the screens: `python -m genworkers.evaluation.safety text|pictures --help`. Each has a module of its own."""

from genworkers.evaluation import picture_safety, text_safety
from genworkers.evaluation.parts import dispatch

if __name__ == "__main__":
    dispatch(__doc__, {"text": text_safety, "pictures": picture_safety})
