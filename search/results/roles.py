"""The order in which roles of a transformer block are listed: as data flows through it."""

from __future__ import annotations

from collections.abc import Iterable

_ROLES = ("qkv", "query", "key", "value", "attention_output", "ffn_in", "ffn_gate", "ffn_out")


def in_order(roles: Iterable[str]) -> list[str]:
    """Roles as they follow one another; encoder before decoder, unknown ones last by their name."""
    return sorted(roles, key=_place)


def row_order(row: tuple[str, str]) -> tuple[bool, int, str, str]:
    """Sorting key of role and matrix."""
    role, matrix = row
    return (*_place(role), matrix)


def _place(role: str) -> tuple[bool, int, str]:
    stack, _, plain = role.rpartition(" ")  # "decoder cross query"
    known = _ROLES.index(plain) if plain in _ROLES else len(_ROLES)
    return (stack.startswith("decoder"), known, role)
