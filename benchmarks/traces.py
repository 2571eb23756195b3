"""python -m benchmarks.traces: the CPU that traces take, against that of the executions themselves.

Executions of ten Pass in an in-memory database, without traces and with, three times in turn; the
spans go over HTTP to a receiver in a process of its own.
"""

import asyncio
import multiprocessing
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection

from stepwell.engine.arns import Home
from stepwell.engine.engine import Engine
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.tracing.telemetry import Telemetry
from stepwell.integrations.tracing.traces import Traces

EXECUTIONS, CLIENTS, STATES = 1_500, 50, 10
SPANS = EXECUTIONS * (STATES + 1)
MACHINE = {
    "StartAt": "S0",
    "States": {
        f"S{number}": {
            "Type": "Pass",
            **({"Next": f"S{number + 1}"} if number + 1 < STATES else {"End": True}),
        }
        for number in range(STATES)
    },
}
QUEUE = {"OTEL_BSP_MAX_QUEUE_SIZE": str(40 * EXECUTIONS), "OTEL_BSP_SCHEDULE_DELAY": "100"}


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def receive(port: Connection) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        port.send(server.server_port)
        server.serve_forever()


async def seconds(traced: bool) -> tuple[float, float]:
    """CPU of the thread of the event loop, and of all other threads, for all executions."""
    from stepwell.integrations.tracing.sdk import Sdk

    telemetry = Telemetry(Sdk(Home(), "0"), QUEUE) if traced else None
    traces = Traces(telemetry) if telemetry else None
    engine = Engine(trace_sink=traces, limits=DEFAULT_LIMITS)
    if traces:
        traces.connect(engine.store.history, engine.supervisor)
    async with engine:
        arn = (await engine.create_state_machine("ten-pass", MACHINE))["stateMachineArn"]

        async def client() -> None:
            for _ in range(EXECUTIONS // CLIENTS):
                await engine.wait((await engine.start_execution(arn))["executionArn"])

        process, thread = time.process_time(), time.thread_time()
        await asyncio.gather(*(client() for _ in range(CLIENTS)))
    if telemetry:
        telemetry.close(60)
        assert telemetry.exported == SPANS
    loop = time.thread_time() - thread
    return loop, time.process_time() - process - loop


def main() -> None:
    mine, other = multiprocessing.Pipe()
    receiver = multiprocessing.get_context("spawn").Process(target=receive, args=(other,))
    receiver.start()
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{mine.recv()}"
    try:
        for _ in range(3):
            off, on = asyncio.run(seconds(False)), asyncio.run(seconds(True))
            state = off[0] / EXECUTIONS / STATES
            print(
                f"a Pass state: {state * 1e6:.1f} us; a span, of that: on the event loop"
                f" {(on[0] - off[0]) / SPANS / state:.1f}, in the exporter's thread"
                f" {(on[1] - off[1]) / SPANS / state:.1f}"
            )
    finally:
        receiver.terminate()


if __name__ == "__main__":
    main()
