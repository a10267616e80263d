# SPDX-License-Identifier: AGPL-3.0-or-later
import sys
from pathlib import Path

# The log writer beside these tests is imported by name; test folders are no packages.
sys.path.insert(0, str(Path(__file__).parent))
