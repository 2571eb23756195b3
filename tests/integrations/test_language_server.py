"""The language server: a session of a real client over standard input and output."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pygls", reason="pygls is not installed: pip install 'stepwell[editor]'")

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

from stepwell.integrations.editor.features import Text

MACHINE = {
    "StartAt": "First",
    "States": {
        "First": {"Type": "Choice", "Choices": [
            {"Variable": "$.x", "IsPresent": True, "Next": "All é"}], "Default": "Last"},
        "All é": {"Type": "Map", "ItemProcessor": {
            "StartAt": "One", "States": {"One": {"Type": "Pass", "End": True}}}, "Next": "Last"},
        "Last": {"Type": "Task", "Resource": "${Fn}", "TimeoutSeconds": 5, "End": True},
    },
}  # fmt: skip
JSON = json.dumps(MACHINE, indent=2, ensure_ascii=False)
YAML = """StartAt: First
States:
  First: # why
    Type: Pass
    Next: Second
  Second:
    Type: Wait
    Seconds: 5
    End: true
"""


def at(text: str, needle: str, by: int = 0) -> int:
    return text.index(needle) + by


def position(text: str, offset: int) -> lsp.Position:
    before = text[:offset]
    return lsp.Position(before.count("\n"), offset - (before.rfind("\n") + 1))


def names(text: str, offset: int, is_yaml: bool = False) -> list[str]:
    return [each.label for each in Text(text, is_yaml).completions(offset)]


def test_a_session_over_stdio(tmp_path: Path) -> None:
    file = tmp_path / "order.asl.json"
    uri = file.as_uri()
    document = lsp.TextDocumentIdentifier(uri)

    async def session() -> None:
        client = LanguageClient("test", "1")
        published: asyncio.Queue[Any] = asyncio.Queue()

        @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def publish(parameters: Any) -> None:
            published.put_nowait(parameters)

        program = [sys.executable, "-m", "stepwell.integrations.cli.main", "language-server"]
        await client.start_io(*program)
        await client.initialize_async(lsp.InitializeParams(lsp.ClientCapabilities()))
        client.initialized(lsp.InitializedParams())
        item = lsp.TextDocumentItem(uri, "json", 1, JSON.replace('"Last"\n', '"Lost"\n'))
        client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        found = (await asyncio.wait_for(published.get(), 60)).diagnostics
        errors = [each for each in found if each.severity == lsp.DiagnosticSeverity.Error]
        assert errors[0].message == "Missing 'Default' target: Lost"
        assert errors[0].range.start == position(JSON, at(JSON, '"Default"'))
        change = lsp.TextDocumentContentChangeWholeDocument(JSON)
        version = lsp.VersionedTextDocumentIdentifier(2, uri)
        client.text_document_did_change(lsp.DidChangeTextDocumentParams(version, [change]))
        found = (await asyncio.wait_for(published.get(), 60)).diagnostics
        assert "UNFILLED" in [each.code for each in found]
        assert not [each for each in found if each.severity == lsp.DiagnosticSeverity.Error]
        here = position(JSON, at(JSON, '"Next": "All', 10))
        place = await client.text_document_definition_async(lsp.DefinitionParams(document, here))
        assert place.range.start == position(JSON, at(JSON, '"All é": {'))
        edit = await client.text_document_rename_async(lsp.RenameParams(document, here, 'A "b"'))
        assert [each.new_text for each in edit.changes[uri]] == ['"A \\"b\\""'] * 2
        hover = await client.text_document_hover_async(lsp.HoverParams(document, here))
        assert hover.contents.value.startswith("**All é**: Map")
        context = lsp.ReferenceContext(True)
        last = position(JSON, at(JSON, '"Last": {', 3))
        uses = await client.text_document_references_async(
            lsp.ReferenceParams(context, document, last)
        )
        assert len(uses) == 3
        symbols = await client.text_document_document_symbol_async(
            lsp.DocumentSymbolParams(document)
        )
        assert [each.name for each in symbols] == ["First", "All é", "Last"]
        assert [each.name for each in symbols[1].children] == ["One"]
        items = await client.text_document_completion_async(lsp.CompletionParams(document, here))
        assert [each.label for each in items] == ["First", "All é", "Last"]
        options = lsp.FormattingOptions(2, True)
        edits = await client.text_document_formatting_async(
            lsp.DocumentFormattingParams(document, options)
        )
        assert len(edits) == 1
        folds = await client.text_document_folding_range_async(lsp.FoldingRangeParams(document))
        assert folds[0].start_line == 0
        await client.shutdown_async(None)
        client.exit(None)
        await client.stop()

    asyncio.run(session())


def test_completion_of_json_that_is_not_complete() -> None:
    text = '{"StartAt": "A", "States": {"A": {"Type": "Wait", "Sec'
    found = names(text, len(text))
    assert {"Seconds", "Timestamp", "Next"} <= set(found)
    assert "Type" not in found and "Resource" not in found
    text = '{"StartAt": "A", "States": {"B": {}, "A": {"Type": "Pass", "Next": }}}'
    assert names(text, at(text, "}}}")) == ["B"]
    text = '{"StartAt": "A", "States": {"A": {"Type": ""}}}'
    assert "Parallel" in names(text, at(text, '""', 1))
    text = '{"States": {"A": {"Type": "Task", "Retry": [{"JitterStrategy": ""}]}}}'
    assert names(text, at(text, '""', 1)) == ["FULL", "NONE"]
    text = '{"States": {"A": {"Type": "Task", "Parameters": {""}}}}'
    assert names(text, at(text, '""', 1)) == []


def test_completion_of_yaml() -> None:
    text = YAML.replace("    Type: Wait\n", "    Type: Wait\n    Time\n")
    assert "Timestamp" in names(text, at(text, "Time\n", 4), is_yaml=True)
    text = YAML.replace("Next: Second", "Next: ")
    assert names(text, at(text, "Next: ", 6), is_yaml=True) == ["Second"]
    text = YAML.replace("Type: Pass", "Type: P")
    assert "Pass" in names(text, at(text, "Type: P", 7), is_yaml=True)


def test_states_of_yaml() -> None:
    text = Text(YAML, is_yaml=True)
    offset = at(YAML, "Next: Second", 8)
    assert text.definition(offset) == (at(YAML, "  Second:", 2), at(YAML, "  Second:", 8))
    assert [new for _, new in text.renamed(offset, "a: b")] == ['"a: b"'] * 2
    assert [new for _, new in text.renamed(offset, "Third one")] == ["Third one"] * 2
    assert [each.name for each in text.symbols()] == ["First", "Second"]
    hover = text.hover(at(YAML, "Seconds", 2))
    assert hover is not None and hover[0] == "**Seconds**: The time to wait, in seconds."


@pytest.mark.parametrize("is_yaml", [True, False])
@pytest.mark.parametrize("text", [JSON, YAML, "", "{", "[[[", "a: b: c", '{"a"', "]}{:,"])
def test_no_text_is_an_error(text: str, is_yaml: bool) -> None:
    for end in range(0, len(text) + 1, 7):
        part = Text(text[:end], is_yaml)
        for offset in (0, end // 2, end):
            part.completions(offset)
            part.hover(offset)
            part.references(offset)
        part.symbols()
        list(part.foldings())
