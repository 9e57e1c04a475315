"""Half characters: text that came from bytes or escapes may hold them, and no file takes them."""

from __future__ import annotations


def is_whole(text: str) -> bool:
    """Whether text holds no half character, a lone surrogate as in ``"\\ud800"``."""
    return whole(text) == text


def whole(text: str) -> str:
    """Text with a question mark in place of each half character."""
    return text.encode("utf-8", "replace").decode("utf-8")
