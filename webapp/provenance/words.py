"""What a verification says in plain words, for the page and the API alike."""

from typing import NamedTuple

from genworkers.contract.fingerprints import MIN_WORDS_ALIKE, MIN_WORDS_EQUAL, PICTURE, SAME, TEXT
from webapp.provenance.manifest import MADE_BY_NET, MADE_WITH_NET
from webapp.provenance.verification import Answer, Verification


class Words(NamedTuple):
    """A headline, what it means, and the colour of its tile."""

    title: str
    meaning: str
    tone: str


_OF_ANSWER = {
    Answer.OURS: Words(
        "Made by this studio, unchanged",
        "These are exactly the bytes that this studio signed when a net made them.",
        "good",
    ),
    Answer.OURS_CHANGED: Words(
        "Made by this studio, changed afterwards",
        "It comes from here, but these are not the bytes that were signed and put on record.",
        "held",
    ),
    Answer.OURS_STRIPPED: Words(
        "Made by a net of this studio, its credentials removed",
        "The file says nothing about itself, but the content still bears this studio's mark. It may have been cut, "
        "compressed or edited since.",
        "held",
    ),
    Answer.ALIKE: Words(
        "Looks like something made here",
        "No credentials and no mark, but it is so like one of our records that it is probably a copy of it.",
        "held",
    ),
    Answer.OTHERS: Words(
        "Signed by somebody else, unchanged",
        "Its credentials are whole, but the certificate is not this studio's.",
        "plain",
    ),
    Answer.BROKEN: Words(
        "Its credentials do not hold",
        "It was changed after it was signed, or the credentials were moved here from another file. Nothing else "
        "connects it with this studio.",
        "bad",
    ),
    Answer.TOO_SHORT: Words(
        "Too short to tell",
        "So few words are often written twice or much alike, so they do not show where they come from, and they are "
        "too few for a mark. Only signed credentials could tell.",
        "plain",
    ),
    Answer.UNKNOWN: Words(
        "Nothing is known about it",
        "No credentials, no mark of ours, nothing like it on record. That does not show that no machine made it.",
        "plain",
    ),
}
# The same answers for a file whose credentials are whole, but another's.
_OF_ANSWER_SIGNED_ANEW = {
    Answer.OURS_STRIPPED: Words(
        "Made by a net of this studio, signed anew by somebody else",
        "Its credentials are whole, but the certificate is not this studio's, and the content bears this studio's "
        "mark. It may have been cut, compressed or edited before it was signed anew.",
        "held",
    ),
    Answer.ALIKE: Words(
        "Looks like something made here, signed by somebody else",
        "Its credentials are whole, but the certificate is not this studio's. No mark was found, but it is so like one "
        "of our records that it is probably a copy of it, signed anew by somebody else.",
        "held",
    ),
}


def answer(found: Verification) -> Words:
    """The verdict."""
    signed_anew = _OF_ANSWER_SIGNED_ANEW.get(found.answer) if found.credentials.state == "valid" else None
    return signed_anew or _OF_ANSWER[found.answer]


def credentials(found: Verification) -> Words:
    """What the signature is worth: ours is never shown as publicly trusted."""
    report = found.credentials
    signer = report.issuer or "an unnamed certificate"
    if report.state == "none":
        return Words("None", "The file carries no signed credentials, or they were removed.", "plain")
    if report.state == "invalid":
        return Words("Broken", "; ".join(report.problems) or "The signature does not hold.", "bad")
    trust = (
        "Its certificate leads up to a root that is publicly trusted."
        if found.is_publicly_trusted
        else "Its certificate is not on a public trust list."
    )
    if report.is_ours:
        return Words("Signed by this studio", f"By {signer}. {trust}", "good")
    return Words("Signed by somebody else", f"By {signer}. {trust} This studio cannot vouch for what it says.", "plain")


def mark(found: Verification) -> Words:
    """What the watermark is worth, with how often it would be found where there is none."""
    if found.false_positive_frac is None:
        return Words("Not looked for", f"{found.problem[:1].upper()}{found.problem[1:]}.", "plain")
    rate = f"An unmarked file is called marked at most once in {1 / found.false_positive_frac:,.0f}."
    if found.mark is not None:
        others = f" {found.num_others} more of this studio's marks can be read in it." if found.num_others else ""
        return Words("Found", f"Chance would do this once in {_once_in(found.mark.p_value)}. {rate}{others}", "good")
    if found.mark_state == "too_short":
        return Words("Too short to tell", f"Only {found.num_scored} tokens could be counted. {rate}", "plain")
    part = "" if found.is_whole else " Only its beginning was looked at: send the part that you mean by itself."
    return Words("Not found", f"Heavy editing, redrawing or paraphrasing takes a mark away. {rate}{part}", "plain")


def _once_in(p_value: float) -> str:
    return "more than a billion billion" if p_value < 1e-18 else f"{1 / p_value:,.0f}"


def registry(found: Verification) -> Words:
    """What our records say."""
    if found.match is None and found.is_too_short:
        meaning = (
            f"Texts are looked up by their exact words from {MIN_WORDS_EQUAL} words on, and by their likeness from "
            f"{MIN_WORDS_ALIKE}."
        )
        return Words("Too short to tell", meaning, "plain")
    if found.match is None:
        return Words("No record", "Nothing made here has these bytes, this mark or this likeness.", "plain")
    by = {
        "bytes": "exactly these bytes",
        "manifest": "this very signature",
        "mark": "the number in its mark",
        "likeness": "its likeness",
    }[found.match.by]
    return Words("On record", f"Found by {by}.{_change(found)}", "good")


def _change(found: Verification) -> str:
    """How far it is from the original, where that is not said by how it was found."""
    if found.likeness is None or found.match is None or found.match.by not in ("manifest", "mark"):
        return ""
    is_text = found.media_type == "text/plain"
    if found.likeness < SAME[TEXT if is_text else PICTURE]:
        return " It was cut or changed a lot since."
    return f" It still {'reads' if is_text else 'looks'} much like the original."


def source(found: Verification) -> str:
    """What the credentials say that it is made of."""
    told = {MADE_BY_NET: "Made by a trained net", MADE_WITH_NET: "A person's picture, changed by a trained net"}
    return told.get(found.source_type, found.source_type.rpartition("/")[2])
