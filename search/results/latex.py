"""Tables for a paper: LaTeX with booktabs, in which every text stands as it is."""

from __future__ import annotations

from collections.abc import Sequence

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "`": r"\textasciigrave{}", "'": r"\textquotesingle{}",
    # After the \\ of a row these would be read as its options.
    "[": "{[}", "]": "{]}", "*": "{*}",
    # Two of them would make a dash, with ? or ! and ` a Spanish mark.
    "-": "-{}",
    "–": "--", "—": "---", "…": r"\ldots{}", "×": r"$\times$", "\N{NO-BREAK SPACE}": "~",
}  # fmt: skip


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is; a control character becomes a space."""
    return "".join(_SPECIAL.get(letter, letter if letter.isprintable() else " ") for letter in text)


def score_cell(mean: float, low: float, high: float, star: bool) -> str:
    """A mean above its interval, so that many columns fit a page."""
    return (
        f"\\shortstack{{${mean:.4f}${'*' if star else ''}\\\\"
        f"{{\\scriptsize (${low:.4f}$ \\ldots{{}} ${high:.4f}$)}}}}"
    )


def floating_table(
    columns: str, heads: Sequence[Sequence[str]], rows: Sequence[Sequence[str]], caption: str
) -> str:
    """A ``table`` whose cells are LaTeX already.

    Args:
        columns: how they are aligned, a letter for each.
        heads: rows above the line.
        rows: below it.
        caption: plain text.
    """
    lines = [
        "% In the preamble: \\usepackage{booktabs,textcomp}",
        "\\begin{table}",
        "\\centering",
        "\\small",
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        *map(_row, heads),
        "\\midrule",
        *map(_row, rows),
        "\\bottomrule",
        "\\end{tabular}",
        f"\\caption{{{escaped(caption)}}}",
        "\\label{tab:methods}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
