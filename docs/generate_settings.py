# SPDX-License-Identifier: AGPL-3.0-or-later
"""Print docs/settings.md from the settings of the program.

Usage: .venv/bin/python docs/generate_settings.py > docs/settings.md
"""

# ruff: noqa: INP001 - a script beside the documents, no package

from __future__ import annotations

import sys

from decnet_ttp.runtime.config import setting_docs

_HEAD = """\
<!-- SPDX-License-Identifier: AGPL-3.0-or-later -->
<!-- Written by docs/generate_settings.py; change services/decnet_ttp/runtime/config.py instead. -->
# Settings

Every process reads its settings once, when it starts: from the environment, and from one TOML file
that `DECNET_TTP_CONFIG` names. The environment wins over the file, and an option of the command
line over both. A variable that is set to nothing counts as not set. A key of the file is the name
of the variable in lower case without `DECNET_TTP_`:

```toml
log_level = "warning"
taggers = ["dns:///tagger-rules:50051", "dns:///tagger-email:50051"]
```

A key that is not known, or a value that cannot be used, stops the start with a line that names the
variable or the file and says what is allowed. The names of durations end in their unit.

| variable | default | meaning |
|---|---|---|
"""


def document() -> str:
    """Return the whole document."""
    rows = (
        f"| `{item.variable}` | {f'`{item.default}`' if item.default else ''} | {item.doc} |\n"
        for item in setting_docs()
    )
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(document())
