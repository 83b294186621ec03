"""The audits that the catalogue shows: what was measured about safety, marks and bias, each in its own document."""

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from genworkers.contract.base import Kind


@dataclass(frozen=True, slots=True)
class Audit:
    """One document of `docs/experiments` and what it is about: screens by name, and all nets of some kinds."""

    name: str
    title: str
    summary: str
    file: str
    screens: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()

    @property
    def is_there(self) -> bool:
        """Whether its document came with this installation."""
        return (Path(settings.AUDITS_DIR) / self.file).is_file()


AUDITS = (
    Audit(
        name="text-screen",
        title="Text screen",
        summary="What the screen finds in texts, what it misses, disguises, and whether names of groups count as hate.",
        file="2026-11-21-text-screen.md",
        screens=("text",),
    ),
    Audit(
        name="picture-screen-and-bias",
        title="Picture screen and bias",
        summary='What the screen finds in pictures, and who appears where a prompt says "doctor" or "nurse".',
        file="2026-11-21-picture-screen-and-bias.md",
        screens=("picture",),
        kinds=("image", "text"),
    ),
    Audit(
        name="text-marks",
        title="Marks in texts",
        summary="How surely the mark in the choice of words is found, after edits too, and what it costs.",
        file="2026-11-21-text-marks.md",
        kinds=("text",),
    ),
    Audit(
        name="picture-marks",
        title="Marks in pictures",
        summary="How surely the mark in the pixels survives saving anew, scaling and cutting, and how little it shows.",
        file="2026-11-21-picture-marks.md",
        kinds=("image",),
    ),
)


def audit(name: str) -> Audit | None:
    """The audit of this name whose document is there, or None."""
    return next((one for one in AUDITS if one.name == name and one.is_there), None)


def audits_of_net(kind: Kind) -> list[Audit]:
    """The audits that are about every net of this kind, where their documents are there."""
    return [one for one in AUDITS if kind in one.kinds and one.is_there]


def audits_of_screen(name: str) -> list[Audit]:
    """The audits of one screen, where their documents are there."""
    return [one for one in AUDITS if name in one.screens and one.is_there]
