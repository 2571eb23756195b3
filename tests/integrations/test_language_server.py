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
        empty = lsp.TextDocumentContentChangeWholeDocument("")
        version = lsp.VersionedTextDocumentIdentifier(3, uri)
        client.text_document_did_change(lsp.DidChangeTextDocumentParams(version, [empty]))
        found = (await asyncio.wait_for(published.get(), 60)).diagnostics
        assert [each.message for each in found] == ["Definition must be a valid JSON object"]
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


def test_completion_of_resources_and_errors() -> None:
    text = '{"States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::dyn"}}}'
    found = names(text, at(text, ":::dyn", 6))
    assert {"arn:aws:states:::dynamodb:putItem", "arn:aws:states:::ecs:runTask.sync"} <= set(found)
    text = '{"States": {"A": {"Type": "Task", "Retry": [{"ErrorEquals": ["Sta"]}]}}}'
    assert {"States.ALL", "States.Timeout"} <= set(names(text, at(text, '"Sta"', 4)))
    text = YAML.replace("Type: Wait\n", "Type: Task\n    Resource: arn:aws:states:::sq\n")
    found = names(text, at(text, ":::sq", 5), is_yaml=True)
    assert "arn:aws:states:::sqs:sendMessage.waitForTaskToken" in found
    task = "Type: Task\n    Catch:\n      - ErrorEquals:\n          - Sta\n        Next: First\n"
    text = YAML.replace("Type: Wait\n", task)
    assert "States.TaskFailed" in names(text, at(text, "- Sta", 5), is_yaml=True)


@pytest.mark.parametrize(
    ("needle", "by", "words"),
    [
        ("arn:aws:states:::sqs", 25, "sqs: sendMessage"),
        ("waitForTaskToken", 2, "SendTaskSuccess"),
        ("States.Format", 9, "(template, value ...): the template"),
        ("States.Timeout", 3, "TimeoutSeconds"),
        ("NumericGreaterThan", 3, "greater than"),
        ("$$.Task.Token", 6, "task token"),
    ],
)
def test_hover_over_words(needle: str, by: int, words: str) -> None:
    text = json.dumps(
        {
            "StartAt": "Ask",
            "States": {
                "Ask": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
                    "Parameters": {
                        "MessageBody": {"token.$": "$$.Task.Token"},
                        "QueueUrl.$": "States.Format('{}', $.url)",
                    },
                    "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "Large?"}],
                    "Next": "Large?",
                },
                "Large?": {
                    "Type": "Choice",
                    "Choices": [{"Variable": "$.n", "NumericGreaterThan": 3, "Next": "Ask"}],
                },
            },
        },
        indent=1,
    )
    hover = Text(text, is_yaml=False).hover(at(text, needle, by))
    assert hover is not None and words in hover[0]


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
