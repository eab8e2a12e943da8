"""Foreign text, escaped before it is printed, logged, drawn or exported.

File names, texts in files and error messages of libraries may hold escape codes of terminals,
characters that XML does not allow, or bytes that are not UTF-8.
"""

from __future__ import annotations

import re

_PRINTED = re.compile(r"[ -~]*")
_JSON = re.compile(r"[^ -~]")


def printable(text: str, keep: str = "") -> str:
    r"""The text with all invisible characters written as escapes.

    Control characters, marks that turn the direction of writing, separators of lines and halves of
    surrogate pairs become ``\x1b``, ``\u202e``, ``\n`` …, as in the source of a program.

    Parameters
    ----------
    text
        Any text.
    keep
        Characters to leave as they are, e.g. ``"\n"`` in text of several lines.
    """
    if _PRINTED.fullmatch(text) or text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def printable_json(text: str) -> str:
    r"""JSON text with all invisible characters as JSON escapes, ``\u001b``.

    Only line ends stay: in JSON text a bare one is never part of a string.
    """

    def escaped(found: re.Match[str]) -> str:
        char = found[0]
        if char.isprintable() or char == "\n":
            return char
        units = char.encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))

    return _JSON.sub(escaped, text)
