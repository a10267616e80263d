# SPDX-License-Identifier: AGPL-3.0-or-later
"""Messages and stubs of the gRPC services, generated from protos/; `./dev proto` writes them."""
