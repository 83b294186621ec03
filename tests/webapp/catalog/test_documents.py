"""Markdown of strangers becomes harmless HTML: no foreign element, link, id or style gets through."""

import os
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pytest_django import Settings

from webapp.catalog.documents import CARD, MAX_BYTES, Document, document, text_of

HOSTILE = """\
# Nice net

<script>alert(1)</script>

<img src=x onerror="alert(1)"> and <b onclick=alert(1)>bold</b>

[js](javascript:alert(1)) [JS](JaVaScRiPt:alert(1)) [entity](&#106;avascript:alert(1)) [vb](vbscript:x)
[data](data:text/html;base64,PHNjcmlwdD4=) [file](file:///etc/passwd) [mail](mailto:a@b.c) [root](/accounts/logout/)
[protocol](//evil.example/x) [up](../../accounts/) [broken](http://[) <javascript:alert(1)> [](https://empty.example)
[out](https://fine.example/?b=1&c="onclick=alert(1) "title") <https://auto.example>

![spy](https://spy.example/pixel.png) [![spy](https://spy.example/2.png)](https://spy.example)

[ref]: javascript:alert(1)
[a reference][ref] and [to a part](#Deep%20part)

###### Deep part
###
# Other
### Other

| | b | c |
|:-:|--:|---|
| <svg onload=alert(1)> | [x](javascript:1) | `</code><script>` |

```js" onload="alert(1)
</pre><script>alert(1)</script>
```
"""
ALLOWED = {
    "a": {"href", "rel"}, "blockquote": set(), "br": set(), "code": set(),
    "div": {"class", "role", "aria-label", "tabindex"},
    "em": set(), "h2": {"id"}, "h3": {"id"}, "h4": {"id"}, "h5": {"id"}, "h6": {"id"}, "hr": set(), "li": set(),
    "ol": {"start"}, "p": set(), "pre": {"class", "role", "aria-label", "tabindex"}, "strong": set(), "table": set(),
    "tbody": set(), "td": {"class"}, "th": {"class"}, "thead": set(), "tr": set(), "ul": set(),
}  # fmt: skip


class Elements(HTMLParser):
    """Every element with its attributes, as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remembers it."""
        self.found.append((tag, dict(attrs)))

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        """The attributes of the elements of these names."""
        return [attributes for tag, attributes in self.found if tag in tags]


def shown(folder: Path, text: str, title: str = "") -> Document:
    (folder / CARD).write_text(text, encoding="utf-8")
    found = document(folder, CARD, title)
    assert found is not None
    return found


def assert_harmless(html: str) -> Elements:
    elements = Elements(html)
    for tag, attributes in elements.found:
        assert tag in ALLOWED, tag
        assert set(attributes) <= ALLOWED[tag], (tag, attributes)
    return elements


def test_a_hostile_card_keeps_its_words_and_loses_its_teeth(tmp_path: Path) -> None:
    found = shown(tmp_path, HOSTILE, title="Nice net")
    elements = assert_harmless(found.html)
    outside = {"rel": "noreferrer nofollow"}
    assert elements.of("a") == [
        {"href": "http://%5B"} | outside,
        {"href": "https://fine.example/?b=1&c=%22onclick=alert(1)"} | outside,
        {"href": "https://auto.example"} | outside,
        {"href": "#part-deep-part"},
    ]
    assert "spy" not in found.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in found.html
    assert "a reference" in found.html


def test_headings_begin_below_the_pages_own_and_leave_no_gap(tmp_path: Path) -> None:
    html = shown(tmp_path, "# Title\n\n### Far below\n\n# Next\n\n###### Lowest\n\n## Next\n\n#\n", title="Title").html
    headings = [(tag, attributes["id"]) for tag, attributes in Elements(html).found if tag.startswith("h")]
    assert headings == [("h2", "part-far-below"), ("h2", "part-next"), ("h3", "part-lowest"), ("h3", "part-next--2")]
    assert ">Title<" not in html
    assert ">Title<" in shown(tmp_path, "# Title\n", title="Another").html


def test_tables_and_code_scroll_in_boxes_that_the_keyboard_reaches(tmp_path: Path) -> None:
    html = shown(tmp_path, "| | b |\n|---|--:|\n| 1 | 2 |\n\n```\ncode\n```\n\n    more\n").html
    boxes = assert_harmless(html).of("div", "pre")
    assert [box["aria-label"] for box in boxes] == ["Table, box 1", "Code, box 2", "Code, box 3"]
    assert {(box["tabindex"], box["role"]) for box in boxes} == {("0", "group")}
    assert "style=" not in html
    assert Elements(html).of("th") == [{"class": "document__right"}]  # the empty corner is none


def test_comments_and_lone_pictures_leave_nothing_behind(tmp_path: Path) -> None:
    html = shown(tmp_path, "<!-- evaluation -->\n## Evaluation\n\n![x](y.webp)\n<!-- /evaluation -->\n").html
    assert html.strip() == '<h2 id="part-evaluation">Evaluation</h2>'


def test_the_lead_is_the_first_paragraph_in_plain_words(tmp_path: Path) -> None:
    assert shown(tmp_path, "# A\n\n- item\n\nWrites **short** `texts`\n& more.\n").lead == "Writes short texts & more."
    assert shown(tmp_path, "").lead == ""


def test_links_lead_to_an_audit_that_is_there(tmp_path: Path, settings: Settings) -> None:
    settings.AUDITS_DIR = tmp_path
    name = "2026-11-21-text-screen.md"
    assert Elements(shown(tmp_path, f"[now](../../docs/experiments/{name}) is absent").html).of("a") == []
    (tmp_path / name).write_text("# Text screen\n")
    here = shown(tmp_path, f"[now](../../docs/experiments/{name}) is there").html
    assert Elements(here).of("a") == [{"href": "/audits/text-screen/"}]


def test_a_long_document_is_cut_and_says_so(tmp_path: Path) -> None:
    found = shown(tmp_path, "ä" * MAX_BYTES)
    assert found.is_cut
    assert len(found.html) < MAX_BYTES
    assert not shown(tmp_path, "a" * MAX_BYTES).is_cut


def test_bytes_that_are_no_text_are_shown_as_such(tmp_path: Path) -> None:
    (tmp_path / CARD).write_bytes(b"\xff\xfe\x00 [x](\x00javascript:1)")
    found = document(tmp_path, CARD, "")
    assert found is not None
    assert Elements(found.html).of("a") == []
    assert "�" in found.html


@pytest.mark.parametrize("name", ["", ".", "..", "absent.md", "../secret.md", "link.md", "folder.md", "inner/card.md"])
def test_only_files_of_the_folder_itself_are_read(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "net"
    (folder / "inner").mkdir(parents=True)
    (folder / "folder.md").mkdir()
    for path in (tmp_path / "secret.md", folder / "inner" / "card.md"):
        path.write_text("secret")
    (folder / "link.md").symlink_to(tmp_path / "secret.md")
    assert text_of(folder, name) is None


def test_a_pipe_does_not_hold_the_page_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / CARD)
    assert document(tmp_path, CARD, "") is None


@pytest.mark.parametrize("piece", ["[", "![", "*a_", "> ", "- a\n", "<!--", "a|b\n-|-\n", "[a](", "#"])
def test_patterns_that_choke_parsers_are_read_in_seconds(tmp_path: Path, piece: str) -> None:
    assert_harmless(shown(tmp_path, piece * (4096 // len(piece))).html)
