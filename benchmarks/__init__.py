# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the project's figures come from: each module prints one table."""
