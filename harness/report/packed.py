"""Text that the page's scripts unpack when they first need it."""

from __future__ import annotations

import base64
import gzip


def packed(text: str) -> str:
    """Returns the text compressed, in characters that need no escaping in HTML."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
