"""OpenTelemetry's SDK: its sampler, its resource and its exporter for OTLP over HTTP, as OTEL_*
configures them. Only imported where traces are on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from stepwell.engine.arns import Home
from stepwell.engine.observers.trace_context import TraceContext
from stepwell.integrations.tracing.spans import Span

_OK: Final = Status(StatusCode.UNSET)
_ANY_SPAN: Final = 1  # of a parent that decided on sampling, without a span of its own


class Sdk:
    """See telemetry.Sdk."""

    def __init__(self, home: Home, version: str) -> None:
        resource = Resource.create(
            {
                "service.version": version,
                "cloud.region": home.region,
                "cloud.account.id": home.account,
            }
        )
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "stepwell"}))
        self._resource = resource
        self._sampler = TracerProvider(shutdown_on_exit=False).sampler
        self._scope = InstrumentationScope("stepwell", version)
        self._exporter = OTLPSpanExporter()
        self._shutdown: Callable[[], None] = self._exporter.shutdown  # which has no types

    def sampled(self, trace: TraceContext, name: str) -> bool:
        parent = None
        if trace.sampled is not None:
            span = int(trace.span_id or "0", 16) or _ANY_SPAN
            flags = TraceFlags(TraceFlags.SAMPLED if trace.sampled else TraceFlags.DEFAULT)
            context = SpanContext(int(trace.trace_id, 16), span, True, flags)
            parent = set_span_in_context(NonRecordingSpan(context))
        decided = self._sampler.should_sample(parent, int(trace.trace_id, 16), name)
        return decided.decision is Decision.RECORD_AND_SAMPLE

    def export(self, spans: Sequence[Span]) -> bool:
        readable = [self._readable(span) for span in spans]
        return self._exporter.export(readable) is SpanExportResult.SUCCESS

    def _readable(self, span: Span) -> ReadableSpan:
        trace, sampled = int(span.trace_id, 16), TraceFlags(TraceFlags.SAMPLED)
        parent = int(span.parent_id or "0", 16)
        return ReadableSpan(
            span.name,
            SpanContext(trace, int(span.span_id, 16), False, sampled),
            SpanContext(trace, parent, True, sampled) if parent else None,
            self._resource,
            span.attributes,
            kind=SpanKind[span.kind],
            status=_OK if span.error is None else Status(StatusCode.ERROR, span.error),
            start_time=span.start * 1_000_000,
            end_time=span.end * 1_000_000,
            instrumentation_scope=self._scope,
        )

    def shutdown(self) -> None:
        self._shutdown()
