# SPDX-License-Identifier: AGPL-3.0-or-later
"""`./dev bench [NAME…] [OPTION…]`: run benchmarks, all or by name; options go to each."""

from __future__ import annotations

import pkgutil
import runpy
import sys
from pathlib import Path

#: Modules that others import.
_PARTS = {
    "__main__",
    "connections",
    "cowrie_logs",
    "hold_out",
    "installation",
    "mail_precision",
    "real_logs",
    "rule_plane",
    "tag_fill",
}


def main() -> int:
    """Run the benchmarks that were named, or all."""
    known = sorted(
        item.name
        for item in pkgutil.iter_modules([str(Path(__file__).parent)])
        if item.name not in _PARTS
    )
    options = next((at for at, word in enumerate(sys.argv) if word.startswith("-")), len(sys.argv))
    named = sys.argv[1:options] or known
    passed = sys.argv[options:]
    unknown = [name for name in named if name not in known]
    if unknown:
        print(f"bench: no {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    for name in named:
        print(f"== {name}", flush=True)
        sys.argv = [name, *passed]
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
