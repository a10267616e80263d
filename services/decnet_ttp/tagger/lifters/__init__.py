# SPDX-License-Identifier: AGPL-3.0-or-later
"""The lifters, one module each; found through the entry points `decnet_ttp.lifters`."""
