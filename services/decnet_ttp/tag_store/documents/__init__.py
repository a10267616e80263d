# SPDX-License-Identifier: AGPL-3.0-or-later
"""Documents in the formats of the field, built from what the services answer; no input or output.

The same data in whatever order gives the same bytes.
"""
