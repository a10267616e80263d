# SPDX-License-Identifier: AGPL-3.0-or-later
"""The tagger: evaluates the rules of one or several lifters on batches of events."""
