"""The LaTeX table: every text stands as it is, and the table is whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.results.comparison import as_latex, as_markdown, compare_methods, write_comparison
from search.results.latex import escaped
from tests.search.records import trial
from tests.search.results.test_comparison import member, run

# What a letter may become: an escape, a command that takes nothing, a group of one letter.
PIECE = re.compile(
    r"\\([{}$&%#_])|\\(text[a-z]+|ldots)\{\}|\{([\[\]*])\}|\$(\\times)\$|(---|--)|-\{\}|(~)"
    r"|([^\\{}$&%#_~^<>|`'\[\]*-])"
)
COMMANDS = {
    "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<",
    "textgreater": ">", "textbar": "|", "textasciigrave": "`", "textquotesingle": "'",
    "ldots": "…",
}  # fmt: skip


def read_back(latex: str) -> str:
    """What LaTeX sets of it; fails on anything that LaTeX would not read as text."""
    text, at = "", 0
    while at < len(latex):
        found = PIECE.match(latex, at)
        assert found, f"LaTeX reads {latex[at : at + 20]!r} as more than text"
        sign, command, single, times, dash, space, letter = found.groups()
        text += (
            sign or (COMMANDS[command] if command else "") or single or (times and "×")
            or {"---": "—", "--": "–", None: ""}[dash] or (space and "\N{NO-BREAK SPACE}")
            or letter or "-"
        )  # fmt: skip
        at = found.end()
    return text


@given(
    st.text(st.sampled_from("\\{}$&%#_~^<>|`'[]*-–—…× \N{NO-BREAK SPACE}ab1ρ") | st.characters())
)
def test_a_text_is_read_back_as_it_was(text: str) -> None:
    seen = "".join(
        letter if letter.isprintable() or letter == "\N{NO-BREAK SPACE}" else " " for letter in text
    )
    assert read_back(escaped(text)) == seen


def rows(latex: str) -> list[list[str]]:
    inside = latex.split("\\toprule")[1].split("\\bottomrule")[0]
    return [
        re.split(r"(?<!\\) & ", line.removesuffix(r" \\"))
        for line in inside.splitlines()
        if line.endswith(r" \\")
    ]


def test_the_table_is_whole_and_holds_what_the_markdown_does(tmp_path: Path) -> None:
    evil = "50%_a&b"
    runs = [
        run("rte", member(1, "lora", 0.85), member(2, evil, 0.9), model="microsoft/deberta-v3-base",
            more=(trial(9, score=0.99, settings={"method": {"lora": {}}}),)),
        run("x_1", member(4, "lora", 0.5), model="microsoft/deberta-v3-base"),
    ]  # fmt: skip
    comparison = compare_methods(runs)
    latex = as_latex(comparison)
    found = rows(latex)
    assert {len(row) for row in found} == {3 + 2}
    assert found[0][3:] == ["rte", r"x\_1"]
    assert [row[0] for row in found[2:]] == ["lora", "lora, published", r"50\%\_a\&b"]
    assert found[2][3].startswith(r"\shortstack{$0.8500$*\\")
    assert found[3][1:4] == ["1.33~M", "--", "0.8532"]
    assert found[4][4] == "--"
    assert latex.count("\\begin{") == latex.count("\\end{") == 2
    opened = re.sub(r"\\\\|\\[{}]", "", latex)
    assert opened.count("{") == opened.count("}")
    assert opened.replace("\\$", "").count("$") % 2 == 0
    caption = re.search(r"\\caption\{(.*)\}\n\\label", latex)
    assert caption
    assert "trial 9 came first" in read_back(caption.group(1))
    paths = write_comparison(comparison, tmp_path)
    assert [path.name for path in paths] == ["table.md", "table.tex", "table.csv"]
    assert (tmp_path / "table.tex").read_text() == latex
    assert (tmp_path / "table.md").read_text() == as_markdown(comparison)


@pytest.mark.parametrize("begin", ["[x", "*x"])
def test_a_row_cannot_be_read_as_an_option_of_the_one_above(begin: str) -> None:
    assert escaped(begin).startswith("{")
