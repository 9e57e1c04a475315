"""What each product of an adapted linear layer takes, and in which order it takes least.

``python -m benchmarks.products [--rows 2048] [--rank 4] [--out FILE]``

On one thread, for the three shapes of MiniLM's layers; the fastest of many, in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table

from search.provenance import provenance
from search.writing import write_atomically

SHAPES = ((384, 384), (384, 1536), (1536, 384))
TIMES = 30


def products(rows: int, inside: int, outside: int, rank: int) -> Mapping[str, Callable[[], object]]:
    """The products by what they are for: g is the gradient of the output, z = x Aᵀ."""
    x, g = torch.randn(rows, inside), torch.randn(rows, outside)
    weight, bias = torch.randn(outside, inside), torch.randn(outside)
    a, b, z = torch.randn(rank, inside), torch.randn(outside, rank), torch.randn(rows, rank)
    three = [torch.randn(outside, inside) for _ in range(3)]
    together, biases = torch.cat(three), torch.cat([bias] * 3)
    y, of_x = torch.randn(rows, outside), torch.randn(rows, inside)
    return {
        "the layer itself, x Wᵀ": lambda: F.linear(x, weight, bias),
        "its gradient, g W": lambda: g @ weight,
        "z = x Aᵀ": lambda: F.linear(x, a),
        "output: y + z Bᵀ": lambda: y + F.linear(z, b),
        "output: y += z Bᵀ in place": lambda: y.addmm_(z, b.t()),
        "gradient of B: gᵀ z": lambda: g.t() @ z,
        "gradient of B: (zᵀ g)ᵀ": lambda: (z.t() @ g).t(),
        "gradient of z: g B": lambda: g @ b,
        "gradient of z: (Bᵀ gᵀ)ᵀ": lambda: (b.t() @ g.t()).t(),
        "gradient of x: += (g B) A in place": lambda: of_x.addmm_(z, a),
        "effective weight, W + B A": lambda: torch.addmm(weight, b, a),
        "three such layers of one x": lambda: [F.linear(x, w, bias) for w in three],
        "the three in one product": lambda: F.linear(x, together, biases),
    }


def fastest(call: Callable[[], object]) -> float:
    """Milliseconds of this thread."""
    call()
    taken = []
    for _ in range(TIMES):
        began = time.thread_time()
        call()
        taken.append(time.thread_time() - began)
    return 1e3 * min(taken)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=2048, help="tokens of a batch")
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--out", type=Path, metavar="FILE", help="raw record, as JSON")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found: dict[str, dict[str, float]] = {}
    for inside, outside in SHAPES:
        for name, call in products(options.rows, inside, outside, options.rank).items():
            found.setdefault(name, {})[f"{inside} → {outside}"] = fastest(call)
    table = Table(title=f"ms, {options.rows} rows, rank {options.rank}", title_justify="left")
    table.add_column("")
    for inside, outside in SHAPES:
        table.add_column(f"{inside} → {outside}", justify="right")
    for name, row in found.items():
        table.add_row(name, *(f"{value:.2f}" for value in row.values()))
    Console(width=110).print(table)
    if options.out is not None:
        record = {"provenance": provenance(0, "", ""), "milliseconds": found}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(options.out, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
