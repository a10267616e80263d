# SPDX-License-Identifier: AGPL-3.0-or-later
"""Attribution: behavioural observations merged to one state per identity and primitive."""
