"""One verdict on a file or a text of anybody: by its credentials, its mark and our registry. Nothing is kept."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, TypeAlias

from genworkers.contract import fingerprints
from genworkers.contract.examination import (
    FALSE_POSITIVE_FRAC,
    MIN_TEXT_TOKENS,
    Examination,
    FoundMark,
    Medium,
    Question,
    Secret,
)
from webapp import processes
from webapp.errors import AppError, problem
from webapp.provenance import manifest as manifests
from webapp.provenance import mark_keys, registry, services, tokenizers
from webapp.provenance.media_types import media_type_of
from webapp.provenance.registry import Match
from webapp.provenance.services import CredentialReport

MAX_BYTES = 20_000_000
MEDIUM_OF: dict[str, Medium] = {"video/mp4": "film", "text/plain": "text"}
MEDIUM_OF |= {f"image/{name}": "picture" for name in ("png", "jpeg", "webp", "gif", "avif", "tiff")}
MarkState: TypeAlias = Literal["found", "not_found", "too_short", "not_looked_for"]


class Answer(StrEnum):
    """What can be said, most certain first."""

    OURS = "ours"
    OURS_CHANGED = "ours_changed"
    OURS_STRIPPED = "ours_stripped"
    ALIKE = "alike"
    OTHERS = "others"
    BROKEN = "broken"
    TOO_SHORT = "too_short"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Made:
    """What the record of an artifact tells anybody: nothing about who asked for it, where, or in which words."""

    artifact_id: str
    kind: str
    system: str
    version: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found, each finding by itself, and what follows.

    Args:
        media_type: what the bytes are, whatever was said of them.
        mark: the surest; None when none was found.
        num_others: further marks of ours in a picture.
        false_positive_frac: how often an unmarked file is said to be marked; None when no mark could be looked for.
        num_scored: tokens of a text that could be counted.
        is_whole: a mark was looked for in all of a text, not in its beginning only.
        match: the artifact that it is; None when the registry knows none.
        likeness: of the file and that artifact, 0..1; None where they cannot be compared.
        is_too_short: a text of so few words that likeness shows nothing, and of still fewer that equal bytes do not.
        problem: why its content could not be read, in words.
    """

    answer: Answer
    media_type: str
    sha256: str
    num_bytes: int
    credentials: CredentialReport
    is_publicly_trusted: bool
    mark: FoundMark | None
    num_others: int
    false_positive_frac: float | None
    num_scored: int
    is_whole: bool
    match: Match | None = field(repr=False)
    likeness: float | None
    is_too_short: bool
    problem: str

    @property
    def mark_state(self) -> MarkState:
        """Whether there is a mark, as far as that can be told."""
        if self.false_positive_frac is None:
            return "not_looked_for"
        if self.mark is not None:
            return "found"
        return "too_short" if self.media_type == "text/plain" and self.num_scored < MIN_TEXT_TOKENS else "not_found"

    @property
    def made(self) -> Made | None:
        """What our record says of it."""
        if self.match is not None:
            artifact = self.match.artifact
            version = artifact.versions.get("tessera", "")
            return Made(artifact.id.urn, artifact.kind, artifact.net, version, artifact.created_at)
        return None

    @property
    def source_type(self) -> str:
        """What the credentials say that it is made of, as IPTC's word; empty when they do not say."""
        return manifests.source_type_of(self.credentials.manifest, self.credentials.manifest_label)


def verify(data: bytes, sidecar: bytes | None = None, *, is_text: bool = False) -> Verification:
    """What can be said of these bytes.

    Args:
        data: a whole file, or a text in UTF-8.
        sidecar: credentials that came beside it.
        is_text: it was given as a text, whatever file it would be.

    Raises:
        AppError: file_missing, file_too_large, pictures_busy.
    """
    check_num_bytes(len(data), "file")
    if sidecar is not None:
        check_num_bytes(len(sidecar), "credentials")
    media_type = "text/plain" if is_text else media_type_of(data)
    medium = MEDIUM_OF.get(media_type)
    sha256 = hashlib.sha256(data).hexdigest()
    report = services.read(data, media_type, sidecar)
    examination = _examined(data, medium)
    mark = examination.mark
    likeness_of = bytes.fromhex(examination.fingerprint)
    num_words = fingerprints.num_words(data.decode("utf-8", "replace")) if medium == "text" else None
    may_be_equal = report.is_ours or num_words is None or num_words >= fingerprints.MIN_WORDS_EQUAL
    may_be_alike = num_words is None or num_words >= fingerprints.MIN_WORDS_ALIKE
    match = (
        (registry.by_bytes(sha256, report.manifest_label) if may_be_equal else None)
        or (registry.by_manifest(report.manifest_label) if report.is_ours else None)
        or (registry.by_mark(mark.key_id, mark.payload) if mark is not None else None)
        or (registry.by_likeness(likeness_of, examination.bands) if likeness_of and may_be_alike else None)
    )
    return Verification(
        answer=_answer(report, mark, match, is_too_short=not may_be_alike),
        media_type=media_type,
        sha256=sha256,
        num_bytes=len(data),
        credentials=report,
        is_publicly_trusted=report.state == "valid" and services.is_publicly_trusted(data, media_type, sidecar),
        mark=mark,
        num_others=len(examination.others),
        false_positive_frac=FALSE_POSITIVE_FRAC[medium] if medium is not None and not examination.problem else None,
        num_scored=examination.num_scored,
        is_whole=examination.is_whole,
        match=match,
        likeness=registry.likeness_to(match.artifact, likeness_of) if match is not None else None,
        is_too_short=not may_be_alike,
        problem=examination.problem,
    )


def check_num_bytes(num_bytes: int, field_name: str) -> None:
    """Refuse what is empty or too large by its size alone.

    Raises:
        AppError: file_missing, file_too_large.
    """
    value, allowed = f"{num_bytes:,} bytes", f"1 to {MAX_BYTES:,} bytes"
    message = f"{field_name} has {num_bytes:,} bytes; 1 to {MAX_BYTES:,} can be looked at."
    if num_bytes == 0:
        problems = [problem(field_name, "file_missing", "there is nothing in it", value, allowed)]
        raise AppError("file_missing", 422, message, problems=problems)
    if num_bytes > MAX_BYTES:
        problems = [problem(field_name, "file_too_large", "it is too large", value, allowed)]
        raise AppError("file_too_large", 413, message, problems=problems)


def _examined(data: bytes, medium: Medium | None) -> Examination:
    """What the examiner finds, in a process of its own: the bytes are a stranger's."""
    if medium is None:
        return Examination(problem="a mark can be looked for in PNG, JPEG, WebP, GIF, AVIF, TIFF, MP4 and plain text")
    question = Question(
        medium=medium,
        keys=[Secret(key_id=key.key_id, secret=key.secret.hex()) for key in mark_keys.all_keys()],
        tokenizers=[str(path) for path in tokenizers.distinct()] if medium == "text" else [],
    )
    answer = processes.answer_of(
        "genworkers.examiner", question.model_dump_json().encode() + b"\n" + data, places=processes.ANYBODY
    )
    if not answer:
        return Examination(problem="looking at it took more time or memory than one file may take")
    return Examination.model_validate_json(answer)


def _answer(report: CredentialReport, mark: FoundMark | None, match: Match | None, *, is_too_short: bool) -> Answer:
    if match is not None and match.by == "bytes":
        return Answer.OURS
    if report.is_ours:  # C2PA leaves a few bytes between its boxes unsigned; our record has every byte
        return Answer.OURS_CHANGED if match is not None and match.by == "manifest" else Answer.OURS
    if mark is not None:
        return Answer.OURS_CHANGED if report.state == "invalid" else Answer.OURS_STRIPPED
    if match is not None:  # by its likeness; broken credentials are ours only where our record has them
        named = registry.by_manifest(report.manifest_label) if report.state == "invalid" else None
        return Answer.OURS_CHANGED if named is not None and named.artifact.id == match.artifact.id else Answer.ALIKE
    if report.state != "none":
        return Answer.OTHERS if report.state == "valid" else Answer.BROKEN
    return Answer.TOO_SHORT if is_too_short else Answer.UNKNOWN
