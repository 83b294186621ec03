"""/verify: whether a file or a text was made here. No key and no sign-in; nothing that is sent is kept."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import File, Form, Router
from ninja.files import UploadedFile
from pydantic import BaseModel, Field

from genworkers.contract.fingerprints import PICTURE, SAME, TEXT
from webapp.errors import AppError
from webapp.provenance import rates, verification, words
from webapp.provenance.verification import Verification

router = Router(tags=["verify"])


class CredentialsFound(BaseModel):
    """The signed credentials in the file or beside it."""

    state: Literal["valid", "invalid", "none"]
    is_ours: bool = Field(description="signed by this studio; that does not make it publicly trusted")
    is_publicly_trusted: bool = Field(description="leads up to a root of the public list that the operator chose")
    issuer: str
    signed_at: datetime | None
    source_type: str = Field(description="IPTC's digital source type, as the credentials tell it")
    problems: list[str]
    meaning: str


class MarkFound(BaseModel):
    """The invisible mark in the content itself."""

    state: Literal["found", "not_found", "too_short", "not_looked_for"]
    p_value: float | None = Field(description="how likely chance would do the same, all keys and places counted")
    false_positive_frac: float | None = Field(description="how often an unmarked file is called marked, at most")
    num_scored: int = Field(description="tokens of a text that could be counted")
    meaning: str


LIKENESS = (
    "how near the fingerprints of the file and of our record are, 0 to 1, and no percentage of likeness: of pictures "
    "the share of equal bits (unlike pictures have about 0.6), of texts the estimated share of common word triples; "
    f"called the same from {SAME[PICTURE]} for pictures and {SAME[TEXT]} for texts"
)


class RecordFound(BaseModel):
    """The record that was found, without anything about a person."""

    by: Literal["bytes", "manifest", "mark", "likeness"] | None
    likeness: float | None = Field(description=LIKENESS)
    id: str | None
    kind: str | None
    system: str | None
    version: str | None
    created_at: datetime | None
    meaning: str


class Verdict(BaseModel):
    """One answer, and what each of the three witnesses says."""

    answer: verification.Answer
    title: str
    meaning: str
    media_type: str = Field(description="what the bytes are, whatever was said of them")
    num_bytes: int
    sha256: str
    credentials: CredentialsFound
    mark: MarkFound
    registry: RecordFound


@router.post(
    "/verify",
    auth=None,
    response=Verdict,
    summary="Verify a file or a text",
    openapi_extra={"x-problems": [413, 429]},
)
def verify(
    request: HttpRequest,
    file: Annotated[UploadedFile | None, File(description="a picture, film or text of at most 20 MB")] = None,
    credentials: Annotated[UploadedFile | None, File(description="a .c2pa file that came beside it")] = None,
    text: Annotated[str, Form(description="a text, instead of a file")] = "",
) -> Verdict:
    """Look for credentials, mark and likeness. Everybody may ask, some times a minute; nothing is kept."""
    rates.check(request)
    if (file is None) == (not text):
        problem = {
            "field": "file",
            "code": "file_missing",
            "message": "send one thing to look at",
            "value": "both" if text else "neither",
            "allowed": "a file, or a text",
        }
        raise AppError("file_missing", 422, "Send one thing to look at: a file, or a text.", problems=[problem])
    for name, given in (("file", file), ("credentials", credentials)):
        if given is not None:
            verification.check_num_bytes(given.size or 0, name)
    data = text.encode("utf-8", "replace") if file is None else file.read()
    sidecar = None if credentials is None else credentials.read()
    return _verdict(verification.verify(data, sidecar, is_text=file is None))


def _verdict(found: Verification) -> Verdict:
    answer, report, mark, made = words.answer(found), found.credentials, found.mark, found.made
    record: dict[str, Any] = dict.fromkeys(("id", "kind", "system", "version", "created_at"))
    if made is not None:
        record = {name: getattr(made, name) for name in record if name != "id"} | {"id": made.artifact_id}
    return Verdict(
        answer=found.answer,
        title=answer.title,
        meaning=answer.meaning,
        media_type=found.media_type,
        num_bytes=found.num_bytes,
        sha256=found.sha256,
        credentials=CredentialsFound(
            state=report.state,
            is_ours=report.is_ours,
            is_publicly_trusted=found.is_publicly_trusted,
            issuer=report.issuer,
            signed_at=report.signed_at,
            source_type=found.source_type,
            problems=report.problems,
            meaning=words.credentials(found).meaning,
        ),
        mark=MarkFound(
            state=found.mark_state,
            p_value=None if mark is None else mark.p_value,
            false_positive_frac=found.false_positive_frac,
            num_scored=found.num_scored,
            meaning=words.mark(found).meaning,
        ),
        registry=RecordFound(
            by=None if found.match is None else found.match.by,
            likeness=found.likeness,
            meaning=words.registry(found).meaning,
            **record,
        ),
    )
