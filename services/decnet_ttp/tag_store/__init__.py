# SPDX-License-Identifier: AGPL-3.0-or-later
"""The tag store: tags written once and announced once, the directory, the questions."""
