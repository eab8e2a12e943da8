"""Damage: well-formed bytes, text and values made wrong at random."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from functools import cache
from random import Random

PAGE = 4096
"""Bytes of a page of SQLite."""

NUMBERS = (
    "0", "-1", "1", "2", "0.5", "1e3", "1e400", "-1e308", "1e-320", "nan", "-inf", "1_000", "0x10",
    "99999999999999999999", "-9223372036854775809", "1" * 5000, "٣", "²", "𝟙", "½", "1,5", "+-1",
    "1e", "--", "1 2",
)  # fmt: skip
WORDS = (
    "", " ", "none", "None", "true", "null", "H", "h", "Xx", "X", "é", "水", "\N{PILE OF POO}",
    "\x00", "\x1b[31mred", "\x07", "\r", "\u202e", "\ufeff", "\udcff", "%s", "{}", "{0}", "[red]",
    "[/]", "'", '"', "\\", "=", "a=b", "../..", ".", "~", "a" * 3000, "[" * 3000, '{"a":' * 3000,
    "#", "-", "--", "|", "0|", "|1", "0,1|2,3", "EQ0", "TS99", "DC٣", "energy", "Q",
)  # fmt: skip
ENCODINGS = ("utf-16", "utf-32", "latin-1", "utf-8-sig", "cp037")


def nasty(rng: Random) -> str:
    """A number or a word that hardly fits anywhere."""
    return rng.choice(NUMBERS if rng.random() < 0.5 else WORDS)


def damaged(data: bytes, rng: Random) -> bytes:
    """Bytes after one to four accidents."""
    if rng.random() < 0.03:
        return rng.randbytes(rng.choice((0, 1, 100, 5000)))
    for _ in range(rng.randint(1, 4)):
        if data:
            data = rng.choice(_ACCIDENTS)(data, rng)
    return data


def _place(data: bytes, rng: Random) -> int:
    # Headers lie in front and directories at the end: look there more often.
    near = min(len(data), 200)
    return rng.choice((rng.randrange(len(data)), rng.randrange(near), len(data) - near))


def _flip(data: bytes, rng: Random) -> bytes:
    result = bytearray(data)
    for _ in range(rng.choice((1, 3, 30))):
        result[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(result)


def _cut(data: bytes, rng: Random) -> bytes:
    return data[: _place(data, rng)]


def _zero(data: bytes, rng: Random) -> bytes:
    size = rng.choice((1, 64, PAGE))
    start = _place(data, rng) // size * size
    return data[:start] + bytes(min(size, len(data) - start)) + data[start + size :]


def _swap(data: bytes, rng: Random) -> bytes:
    size = PAGE if len(data) > 3 * PAGE else 16
    one, other = sorted(rng.randrange(1 + len(data) // size) * size for _ in range(2))
    if one == other:
        return data
    first, second = data[one : one + size], data[other : other + size]
    return data[:one] + second + data[one + size : other] + first + data[other + size :]


def _insert(data: bytes, rng: Random) -> bytes:
    start = _place(data, rng)
    return data[:start] + rng.randbytes(rng.choice((1, 8, PAGE))) + data[start:]


def _repeat(data: bytes, rng: Random) -> bytes:
    start = _place(data, rng)
    return data[: start + rng.choice((10, PAGE))] + data[start:]


_ACCIDENTS: tuple[Callable[[bytes, Random], bytes], ...] = (
    _flip, _flip, _cut, _zero, _swap, _insert, _repeat,
)  # fmt: skip


def mangled(text: str, rng: Random) -> bytes:
    """Text with some words and lines made wrong, in some encoding."""
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 5))):
        _mangle_line(lines, rng)
    ending = rng.choice(("\n",) * 8 + ("\r\n", "\r", "\n\n", "\x0c\n", "\x85"))
    data = ending.join(lines).encode("utf-8", "surrogatepass")
    draw = rng.random()
    if draw < 0.05:
        return "\n".join(lines).encode(rng.choice(ENCODINGS), "replace")
    return damaged(data, rng) if draw < 0.2 else data


def _mangle_line(lines: list[str], rng: Random) -> None:
    index = rng.randrange(len(lines))
    draw = rng.random()
    if draw < 0.05 and len(lines) > 1:
        del lines[index]
    elif draw < 0.1:
        lines[index:index] = [lines[index]] * rng.choice((1, 2, 20))
    elif draw < 0.15:
        lines.insert(index, nasty(rng))
    elif draw < 0.2:
        other = rng.randrange(len(lines))
        lines[index], lines[other] = lines[other], lines[index]
    elif draw < 0.25:
        lines[index] = lines[index][: rng.randrange(len(lines[index]) + 1)]
    else:
        words = re.split(r"(\s+)", lines[index])
        place = rng.randrange(len(words)) // 2 * 2  # others are the spaces between
        words[place] = _mangled_word(words[place], rng)
        lines[index] = "".join(words)


def _mangled_word(word: str, rng: Random) -> str:
    before, equals, after = word.partition("=")
    if (rng.random() < 0.5 and after) or not word:
        return before + equals + nasty(rng)
    if rng.random() < 0.5:
        return nasty(rng)
    place = rng.randrange(len(word))
    return word[:place] + rng.choice("0123456789-+.eE,;:\"'{}[]()=HCOQX\t ") + word[place + 1 :]


@cache
def bomb(head: bytes, size: int) -> bytes:
    """A deflated stream of these bytes and so many zeros, a thousandth of them long."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1 << 20)
    parts = [packer.compress(head), *(packer.compress(block) for _ in range(size >> 20))]
    return b"".join([*parts, packer.flush()])
