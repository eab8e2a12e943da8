"""Printing a table, for a terminal or for a Markdown file."""

from __future__ import annotations

from collections.abc import Sequence


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool) -> None:
    """Print rows of text under their columns; numbers line up on the right."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    edge = "| " if markdown else ""

    def line(cells: Sequence[str]) -> str:
        texts = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        between = " | " if markdown else "  "
        return edge + between.join(texts) + edge.strip().rjust(2 if markdown else 0)

    print(line(columns))
    if markdown:
        print("|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|")
    for row in rows:
        print(line(row))
