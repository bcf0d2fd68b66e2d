"""Text from outside is shown and not obeyed, since a file name may hold anything but ``/`` and NUL.

A name with an escape sequence sets a terminal's title. A name with a newline forges a second
verdict. A name that is not UTF-8 cannot be printed, and one that turns the writing direction around
shows another name than its own.
"""

from __future__ import annotations

import json
import re
from typing import Any

# These are control characters (C0, DEL, C1), line and paragraph separators, marks that turn the
# writing direction, and the halves of surrogate pairs that stand for bytes which are not UTF-8.
_INVISIBLE = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff"
_IN_TEXT = re.compile(f"[\x00-\x1f{_INVISIBLE}]")
_IN_JSON = re.compile(f"[{_INVISIBLE}]")


def shown(text: str) -> str:
    r"""The text with what cannot be seen escaped, as Python would write it.

    >>> print(shown("part\n7\x1b[31m.png"))
    part\n7\x1b[31m.png
    """
    return _IN_TEXT.sub(lambda match: repr(match[0])[1:-1], text)


def json_text(value: Any, indent: int | None = None) -> str:
    r"""JSON of any value. It is readable where it can be, and what cannot be seen is ``\uXXXX``.

    >>> print(json_text({"path": "Prüfling\x9b.png"}))
    {"path": "Prüfling\u009b.png"}
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)  # escapes C0 itself
    return _IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
