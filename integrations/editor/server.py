"""The language server: requests of the Language Server Protocol -> features.py.

Source: Language Server Protocol 3.17; pygls reads and writes the messages.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlparse

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer

from stepwell.asl.files.definition_files import is_yaml
from stepwell.integrations.definitions.formatter import LeftAsItIsError, format_file
from stepwell.integrations.editor import features
from stepwell.integrations.editor.diagnostics import diagnose
from stepwell.integrations.editor.features import Symbol, Text
from stepwell.integrations.editor.tree import spot
from stepwell.integrations.errors import UsageError

SOURCE: Final = "stepwell"
PAUSE_SECONDS: Final = 0.2  # in typing, before a changed document is checked
_FIELDS: Final = ("StartAt", "States")  # a definition has them; an editor opens other JSON, too
_SEVERITIES: Final = {
    "error": lsp.DiagnosticSeverity.Error,
    "warning": lsp.DiagnosticSeverity.Warning,
    "note": lsp.DiagnosticSeverity.Information,
}
_KINDS: Final = {
    features.FIELD: lsp.CompletionItemKind.Field,
    features.STATE: lsp.CompletionItemKind.Reference,
    features.WORD: lsp.CompletionItemKind.EnumMember,
}


def server() -> Any:
    """A server; start_io() runs it on standard input and output."""
    served = LanguageServer(SOURCE, "1")
    for method, handler in _HANDLERS.items():
        options = _OPTIONS.get(method)
        served.feature(method, options)(_handler(served, handler))
    served.feature(lsp.TEXT_DOCUMENT_DID_OPEN)(_handler(served, _publish))
    served.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)(partial(_publish_later, served))
    return served


async def _publish_later(served: Any, parameters: Any) -> None:
    """Publish the diagnostics of a change, unless the next one follows at once."""
    await asyncio.sleep(PAUSE_SECONDS)
    document = _Document(served, parameters.text_document.uri)
    if document.document.version == parameters.text_document.version:
        _publish(document, parameters)


def _handler(served: Any, handler: Any) -> Any:
    """A function of its own for each method: pygls reads its attributes."""

    def handle(parameters: Any) -> Any:
        return handler(_Document(served, parameters.text_document.uri), parameters)

    return handle


class _Document:
    """A document of the workspace, in the positions of the client."""

    def __init__(self, served: Any, uri: str) -> None:
        self.served, self.uri = served, uri
        self.document = served.workspace.get_text_document(uri)
        self.path = Path(unquote(urlparse(uri).path) or uri)

    @property
    def text(self) -> Text:
        return Text(self.document.source, is_yaml(self.path.name))

    def offset(self, position: Any) -> int:
        return int(self.document.offset_at_position(position))

    def range(self, where: features.Range) -> Any:
        if not self.document.source:  # pygls finds no position in it
            return lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
        first, last = map(self.document.client_position_at_offset, where)
        return lsp.Range(first, last)

    def location(self, where: features.Range) -> Any:
        return lsp.Location(self.uri, self.range(where))


def _publish(document: _Document, parameters: Any) -> None:
    source = document.document.source
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    text = document.text
    found = []
    ours = ".asl" in document.path.name or any(field in source for field in _FIELDS)
    for problem in diagnose(source, document.path) if ours else ():
        offset = min(starts[min(problem.line, len(starts)) - 1] + problem.column - 1, len(source))
        at = spot(text.root, offset).node
        where = (at.start, at.end) if at is not None else (offset, min(offset + 1, len(source)))
        found.append(
            lsp.Diagnostic(
                document.range(where),
                problem.message,
                _SEVERITIES[problem.severity.lower()],
                problem.code,
                source=SOURCE,
            )
        )
    document.served.text_document_publish_diagnostics(
        lsp.PublishDiagnosticsParams(document.uri, found)
    )


def _hover(document: _Document, parameters: Any) -> Any:
    found = document.text.hover(document.offset(parameters.position))
    if found is None:
        return None
    content = lsp.MarkupContent(lsp.MarkupKind.Markdown, found[0])
    return lsp.Hover(content, document.range(found[1]))


def _complete(document: _Document, parameters: Any) -> Any:
    return [
        lsp.CompletionItem(
            each.label,
            kind=_KINDS[each.kind],
            documentation=each.docs or None,
            filter_text=document.document.source[each.range[0] : each.range[1]][:1] + each.label
            if each.text.startswith('"')
            else each.label,
            text_edit=lsp.TextEdit(document.range(each.range), each.text),
        )
        for each in document.text.completions(document.offset(parameters.position))
    ]


def _define(document: _Document, parameters: Any) -> Any:
    found = document.text.definition(document.offset(parameters.position))
    return None if found is None else document.location(found)


def _refer(document: _Document, parameters: Any) -> Any:
    declaration = parameters.context.include_declaration
    offset = document.offset(parameters.position)
    return list(map(document.location, document.text.references(offset, declaration)))


def _rename(document: _Document, parameters: Any) -> Any:
    edits = document.text.renamed(document.offset(parameters.position), parameters.new_name)
    changes = [lsp.TextEdit(document.range(where), text) for where, text in edits]
    return lsp.WorkspaceEdit({document.uri: changes}) if changes else None


def _symbols(document: _Document, parameters: Any) -> Any:
    return list(map(partial(_symbol, document), document.text.symbols()))


def _symbol(document: _Document, symbol: Symbol) -> Any:
    return lsp.DocumentSymbol(
        symbol.name,
        lsp.SymbolKind.Class if symbol.inner else lsp.SymbolKind.Function,
        document.range(symbol.range),
        document.range(symbol.name_range),
        symbol.type,
        children=[_symbol(document, each) for each in symbol.inner],
    )


def _fold(document: _Document, parameters: Any) -> Any:
    ranges = map(document.range, document.text.foldings())
    return [lsp.FoldingRange(each.start.line, each.end.line) for each in ranges]


def _format(document: _Document, parameters: Any) -> Any:
    source = document.document.source
    try:
        text = format_file(source, document.path.name)
    except (LeftAsItIsError, UsageError):  # the diagnostics say what is wrong
        return None
    if text == source:
        return []
    return [lsp.TextEdit(document.range((0, len(source))), text)]


_HANDLERS: Final = {
    lsp.TEXT_DOCUMENT_HOVER: _hover,
    lsp.TEXT_DOCUMENT_COMPLETION: _complete,
    lsp.TEXT_DOCUMENT_DEFINITION: _define,
    lsp.TEXT_DOCUMENT_REFERENCES: _refer,
    lsp.TEXT_DOCUMENT_RENAME: _rename,
    lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL: _symbols,
    lsp.TEXT_DOCUMENT_FOLDING_RANGE: _fold,
    lsp.TEXT_DOCUMENT_FORMATTING: _format,
}
_OPTIONS: Final[dict[str, Any]] = {
    lsp.TEXT_DOCUMENT_COMPLETION: lsp.CompletionOptions(trigger_characters=['"', ":", " "])
}
