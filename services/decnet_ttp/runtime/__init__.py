# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every service needs to run: settings, logs, gRPC server and clients, bus, database."""
