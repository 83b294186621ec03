"""Measure the marks: `python -m genworkers.evaluation.marks text|pictures --help`. Each has a module of its own."""

from genworkers.evaluation import picture_marks, text_marks
from genworkers.evaluation.parts import dispatch

if __name__ == "__main__":
    dispatch(__doc__, {"text": text_marks, "pictures": picture_marks})
