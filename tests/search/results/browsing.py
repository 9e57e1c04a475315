"""An open report, and what a browser saw of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

EVIL = "<img src=x onerror=alert(1)>"


@dataclass
class Seen:
    """An open report and everything it did that it should not."""

    page: Any
    address: str
    trouble: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def plots(self) -> int:
        return int(self.page.evaluate("document.querySelectorAll('.plot:has(.main-svg)').length"))

    def column(self, table: str, index: int) -> list[str]:
        cells = f"table.{table} tbody td:nth-child({index + 1})"
        texts: list[str] = self.page.locator(cells).all_text_contents()
        return [text.replace("\N{NO-BREAK SPACE}", " ").strip() for text in texts]

    def is_clean(self) -> bool:
        return not self.trouble and not self.dialogs and self.requests == [self.address]


def point_at(page: Any, figure: str, index: int) -> int:
    """Move the pointer onto a point of a plot; the number of the trial that it stands for."""
    place = page.locator(f"[data-figure={figure}]")
    place.scroll_into_view_if_needed()
    box = place.locator(".point").nth(index).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(".pointer:not([hidden])")
    told = page.locator(".pointer strong").text_content()
    return int(told.split(" ")[1])


Opener = Callable[..., Seen]
