# SPDX-License-Identifier: AGPL-3.0-or-later
"""Values and rules of the domain. Imports nothing else of the project."""
