# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rule definitions, their operational state, and the stream of changes to both."""
