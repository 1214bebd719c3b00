"""Read JSON documents that follow one another, as the answers to several requests of one curl.

The text of this module replaces its import when a program is sent. So it must not import from
``__future__``, and a program gets all its names.
"""

import json
from typing import Any


def documents(text: str) -> list[Any]:
    """Return the JSON documents of a text."""
    found, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found
