# SPDX-License-Identifier: AGPL-3.0-or-later
"""The whole system on one machine: PostgreSQL, NATS and every service, supervised."""
