"""Images cut short and changed at random: each is decoded or refused, and nothing else happens.

python -m tests.faults.images --files 5000 --seed 1
"""

import argparse
import time
import warnings
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from swatbench.data.decode import MASK_FORMATS, UNREADABLE, notes_of, opened, to_indices, to_rgb
from tests.faults.outcome import write_outcome
from tests.faults.pictures import REFUSED, USED, few_bits, grey, palette, saved

SLOW_S = 2.0
"""Processor time above which a file counts as one that holds up a run."""


def mutant(content: bytes, rng: np.random.Generator) -> bytes:
    """A file cut at a random place, or with some bytes changed or added, most near its beginning."""
    kind = rng.integers(4)
    if kind == 0:
        return content[: int(rng.integers(len(content)))]
    near = min(len(content), 400) if rng.random() < 0.5 else len(content)
    changed = bytearray(content)
    for place in rng.integers(0, near, int(rng.integers(1, 4))).tolist():
        value = int(rng.integers(256))
        if kind == 1:
            changed[place] = value
        elif kind == 2:
            changed[place] ^= 1 << value % 8
        else:
            changed[place:place] = rng.bytes(int(rng.integers(1, 9)))
    return bytes(changed)


def read_mutants(files: int, *, seed: int) -> dict[str, Any]:
    """Read so many changed files as images, every fourth as a mask, and count how it ended."""
    rng = np.random.default_rng(seed)
    images = 4 * [make() for make in USED.values()] + [make() for make, _ in REFUSED.values()]
    images = [content for content in images if len(content) < 100_000]
    masks = [saved(grey() // 64, "PNG"), saved(grey(16) >> 14, "PNG"), palette(), few_bits(np.eye(8, 16), 4)]
    counts: Counter[str] = Counter(decoded=0, refused=0, escaped=0, slow=0)
    slowest_s, escapes = 0.0, Counter()
    for number in range(files):
        kinds = images if number % 4 else masks
        content = mutant(kinds[int(rng.integers(len(kinds)))], rng)
        start = time.process_time()
        try:
            _read(content, mask=number % 4 == 0)
            counts["decoded"] += 1
        except UNREADABLE:
            counts["refused"] += 1
        except Exception as error:  # noqa: BLE001 (what is looked for)
            counts["escaped"] += 1
            escapes[type(error).__name__] += 1
        took_s = time.process_time() - start
        slowest_s = max(slowest_s, took_s)
        counts["slow"] += took_s > SLOW_S
    if escapes:
        print(dict(escapes))
    return {"files": files, "seed": seed, **counts, "slowest_s": round(slowest_s, 3)}


def _read(content: bytes, *, mask: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with opened(BytesIO(content), **({"formats": MASK_FORMATS} if mask else {})) as picture:
            np.asarray(to_indices(picture) if mask else to_rgb(picture))
            notes_of(picture)


def main() -> None:
    """Read many, and keep the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/reliability/images.json"))
    asked = parser.parse_args()
    found = read_mutants(asked.files, seed=asked.seed)
    kinds = {"kinds_used": len(USED), "kinds_refused": len(REFUSED)}
    write_outcome(asked.out, found | kinds, packages=("pillow",))


if __name__ == "__main__":
    main()
