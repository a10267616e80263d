# SPDX-License-Identifier: AGPL-3.0-or-later
"""What each subject of the bus carries: whom it is about, which events it makes, and their ids."""
