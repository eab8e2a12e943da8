"""Shell commands for messages."""

from __future__ import annotations

import shlex


def shell_command(*words: object) -> str:
    """A command in backquotes that can be copied into a shell, whatever its words hold.

    >>> shell_command("afir", "resume", "my run.db")
    "`afir resume 'my run.db'`"
    """
    return f"`{shlex.join(str(word) for word in words)}`"
