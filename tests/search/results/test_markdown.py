"""Text in Markdown stays text."""

from __future__ import annotations

import pytest

from search.results.markdown import code, fenced, plain, table


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("aflora r4", "aflora r4"),
        ("<b>&amp;</b>", "&lt;b&gt;&amp;amp;&lt;/b&gt;"),
        ("[a](javascript:x) | *b* `c` ~d~ __e__", r"\[a\](javascript:x) \| \*b\* \`c\` \~d\~ \_\_e\_\_"),
        ("# one\n\n- two", r"\# one - two"),
        ("\\<", "\\\\&lt;"),
    ],
)  # fmt: skip
def test_nothing_in_a_sentence_is_markup(text: str, written: str) -> None:
    assert plain(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [("a", "`a`"), ("", "` `"), ("a`b``c", "``` a`b``c ```"), ("a|b\nc", "`a\\|b c`")],
)
def test_code_ends_where_it_should(text: str, written: str) -> None:
    assert code(text) == written


def test_no_backtick_in_a_block_ends_it() -> None:
    assert fenced("python", ["a = 1"]) == ["```python", "a = 1", "```"]
    assert fenced("python", ["a = '````'", "b = '`'"])[::3] == ["`````python", "`````"]


def test_a_table_has_a_line_below_its_head() -> None:
    assert table(["a", "b"], [["1", "2"]]) == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]
