# SPDX-License-Identifier: AGPL-3.0-or-later
"""A tiny real gRPC server with the health service, standing in for a service of ours.

FAKE_DELAY_S delays SERVING; FAKE_EXIT ends at once with that code; FAKE_DRAIN_S takes that long
to end on SIGTERM and then writes the moment of its end into FAKE_STOP_LOG.
"""

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if code := os.environ.get("FAKE_EXIT"):
    sys.exit(f"cannot work, code {code}")

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(os.environ["DECNET_TTP_LISTEN"])
    server.start()
    stop.wait(float(os.environ.get("FAKE_DELAY_S", "0")))
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    stop.wait()
    time.sleep(float(os.environ.get("FAKE_DRAIN_S", "0")))
    if log := os.environ.get("FAKE_STOP_LOG"):
        with Path(log).open("a") as file:
            file.write(f"{os.environ['DECNET_TTP_LISTEN']}\n")
    server.stop(0).wait()


if __name__ == "__main__":
    main()
