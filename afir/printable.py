"""Text from outside, made safe to be shown and written.

File names, texts in files, and what libraries say in their errors may hold anything: escape codes
that drive a terminal, characters that XML does not allow, bytes of a name that are no UTF-8. All
that is printed, logged, drawn or exported goes through here.
"""

from __future__ import annotations

import re

_PRINTED = re.compile(r"[ -~]*")
_JSON = re.compile(r"[^ -~]")


def printable(text: str, keep: str = "") -> str:
    r"""The same text with everything that is no visible character written as an escape.

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
    r"""The text of a JSON value with the same characters as JSON escapes, ``\u001b``.

    Only line ends stay: in JSON text a bare one is never part of a string.
    """

    def escaped(found: re.Match[str]) -> str:
        char = found[0]
        if char.isprintable() or char == "\n":
            return char
        units = char.encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))

    return _JSON.sub(escaped, text)
