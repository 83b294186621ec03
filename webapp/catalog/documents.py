"""Cards and audits, from Markdown to HTML. Cards of added nets are strangers' words: only harmless HTML comes out."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.token import Token

from webapp.catalog.audits import AUDITS

CARD = "card.md"
MAX_BYTES = 64 * 2**10  # the slowest text of this size that we found takes 4 s to read, once; a card of the house 0.1 s
WORDS = ("text", "code_inline")
PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")


class Text(NamedTuple):
    """What stands in a document, and whether more followed that was not read."""

    text: str
    is_cut: bool


class Document(NamedTuple):
    """A document as a page shows it; `lead` is its first paragraph in plain words."""

    html: SafeString
    lead: str
    is_cut: bool


def text_of(folder: Path, name: str) -> Text | None:
    """A text file of this very folder, at most its first MAX_BYTES; None when there is none."""
    path = (folder / name).resolve()
    if path.parent != folder.resolve() or not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError:
        return None
    return Text(content[:MAX_BYTES].decode("utf-8", "replace"), len(content) > MAX_BYTES)


def document(folder: Path, name: str, title: str) -> Document | None:
    """A Markdown file of this folder for a page whose h1 is `title`; None when there is none."""
    found = text_of(folder, name)
    return _rendered(found, title) if found is not None else None


@lru_cache(maxsize=64)
def _rendered(found: Text, title: str) -> Document:
    tokens = PARSER.parse(found.text)
    if [token.type for token in tokens[:1]] == ["heading_open"] and tokens[1].content.strip() == title:
        del tokens[:3]  # the page says it already
    tokens = list(_boxed(_worded(tokens)))
    _number_headings(tokens)
    starts = (place for place, token in enumerate(tokens) if token.type == "paragraph_open" and token.level == 0)
    lead = next((_words(tokens[place + 1]) for place in starts), "")
    html = PARSER.renderer.render(tokens, PARSER.options, {})
    return Document(mark_safe(html), lead, found.is_cut)  # every element in it is markdown-it's or ours


def _worded(tokens: Sequence[Token]) -> list[Token]:
    """Without pictures and comments, nor the paragraphs and headings of which nothing is left then."""
    dropped: set[int] = set()
    for place, token in enumerate(tokens):
        if token.type != "inline":
            continue
        token.children = list(_linked([child for child in token.children or () if not _is_left_out(child)]))
        if _words(token):
            continue
        before, after = tokens[place - 1], tokens[place + 1]
        if before.type == "th_open":
            before.tag = after.tag = "td"  # an empty corner heads nothing
        elif before.type in ("paragraph_open", "heading_open"):
            dropped |= {place - 1, place, place + 1}
    return [token for place, token in enumerate(tokens) if place not in dropped]


def _is_left_out(child: Token) -> bool:
    words = child.content.strip()
    return child.type == "image" or (child.type == "text" and words.startswith("<!--") and words.endswith("-->"))


def _words(inline: Token) -> str:
    pieces = (child.content if child.type in WORDS else " " for child in inline.children or ())
    return " ".join("".join(pieces).split())


def _linked(children: Sequence[Token]) -> Iterator[Token]:
    """Links that lead nowhere we vouch for, or have no words, lose their ends and keep their words."""
    is_link = False
    for place, child in enumerate(children):
        if child.type == "link_open":
            inside = children[place + 1 : _end_of_link(children, place)]
            attributes = _link(str(child.attrs.get("href", "")))
            is_link = bool(attributes) and any(one.content.strip() for one in inside)
            child.attrs = dict(attributes)
        if is_link or child.type not in ("link_open", "link_close"):
            yield child


def _end_of_link(children: Sequence[Token], start: int) -> int:
    return next(place for place in range(start, len(children)) if children[place].type == "link_close")


def _link(address: str) -> dict[str, str]:
    """The attributes of a link: within the page, to an audit, or out by http(s); none for every other address."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return {}
    if parts.scheme in ("http", "https") and parts.netloc:
        return {"href": address, "rel": "noreferrer nofollow"}
    if parts.scheme or parts.netloc:
        return {}
    if not parts.path:
        return {"href": f"#{_id_of(unquote(parts.fragment))}"} if parts.fragment else {}
    name = PurePosixPath(parts.path).name
    return next(
        ({"href": reverse("audit_document", args=[one.name])} for one in AUDITS if one.file == name and one.is_there),
        {},
    )


def _id_of(words: str) -> str:
    return f"part-{slugify(words)}"  # the prefix keeps it apart from the page's own


def _number_headings(tokens: Sequence[Token]) -> None:
    """Levels without gaps below the page's one h1, and an id for each."""
    above: list[int] = []
    seen: dict[str, int] = {}
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            level = int(token.tag[1:])
            above = [*(one for one in above if one < level), level]
            name = _id_of(_words(tokens[place + 1]))
            seen[name] = seen.get(name, 0) + 1
            token.attrs = {"id": name if seen[name] == 1 else f"{name}--{seen[name]}"}
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(1 + len(above), 6)}"


def _boxed(tokens: Sequence[Token]) -> Iterator[Token]:
    """Tables and code in boxes that scroll by themselves, by keyboard too; alignment by class, as the CSP asks."""
    number = count(1)
    for token in tokens:
        if token.type == "table_open":
            yield Token("box_open", "div", 1, attrs=_box(f"Table, box {next(number)}"), block=True)
        if token.type in ("fence", "code_block"):
            token.type, token.attrs = "code_block", _box(f"Code, box {next(number)}")
        if token.type in ("th_open", "td_open"):
            alignment = str(token.attrs.pop("style", "")).removeprefix("text-align:")
            token.attrs |= {"class": f"document__{alignment}"} if alignment in ("center", "right") else {}
        yield token
        if token.type == "table_close":
            yield Token("box_close", "div", -1, block=True)


def _box(label: str) -> dict[str, str | int | float]:
    return {"class": "document__box", "role": "group", "aria-label": label, "tabindex": "0"}
