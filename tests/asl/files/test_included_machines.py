"""State machines in files that a serverless.yml includes."""

from collections.abc import Mapping

import pytest

from stepwell.asl.files.definition_files import DefinitionFileError, read_definition
from stepwell.asl.files.templates.machines import machines_of_template
from stepwell.asl.json_text import loads

HEAD = """service: shop
provider: {name: aws, stage: "${opt:stage, 'dev'}"}
custom: ${file(config/${self:provider.stage}.yml)}
functions: {charge: {handler: a.b}}
"""
STATE = "{Type: Task, Resource: !GetAtt charge.Arn, Comment: '${self:custom.queue}', End: true}"
DEFINITION = f"definition: {{StartAt: A, States: {{A: {STATE}}}}}"
MACHINE = f"name: ${{self:service}}-orders\ntype: EXPRESS\n{DEFINITION}\n"
FILES = {
    "a/config/dev.yml": b"queue: q-dev",
    "a/config/prod.yml": b"queue: q-prod",
    "a/sm/orders.yml": f"orders: {{name: 'orders-${{sls:stage}}', {DEFINITION}}}".encode(),
    "a/sm/others.yml": f"first: {{{DEFINITION}}}\nsecond: {{{DEFINITION}}}".encode(),
    "a/sm/one.yml": MACHINE.encode(),
    "a/sm/all.yml": f"stateMachines: {{alone: {{{DEFINITION}}}}}".encode(),
}


@pytest.mark.parametrize(
    ("written", "machines"),
    [
        (
            "\n  stateMachines:\n    - ${file(sm/orders.yml)}\n    - ${file(./sm/others.yml)}",
            {"orders": "orders-dev", "first": "first", "second": "second"},
        ),
        ("\n  stateMachines: ${file(sm/orders.yml)}", {"orders": "orders-dev"}),
        (
            "\n  stateMachines:\n    mine: ${file(sm/one.yml)}\n"
            "    other: ${file(sm/others.yml):second}",
            {"mine": "shop-orders", "other": "other"},
        ),
        (" ${file(sm/all.yml)}", {"alone": "alone"}),
    ],
)
def test_machines_of_other_files(written: str, machines: Mapping[str, str]) -> None:
    text = f"{HEAD}stepFunctions:{written}\n"
    found = machines_of_template(text, "a/serverless.yml", open_file=FILES.get) or ()
    assert {each.name: each.called for each in found} == machines
    for name in machines:
        source = read_definition(text, f"a/serverless.yml#{name}", open_file=FILES.get)
        assert source.filename.startswith("a/sm/")
        state = loads(source.text)["States"]["A"]
        assert state["Resource"].endswith(":function:shop-dev-charge")
        assert state["Comment"] == "q-dev"
    given = {"opt:stage": "prod"}
    changed = read_definition(text, f"a/serverless.yml#{name}", given, open_file=FILES.get)
    assert loads(changed.text)["States"]["A"]["Comment"] == "q-prod"


def test_the_type_of_an_included_machine_and_its_places() -> None:
    text = f"{HEAD}stepFunctions: {{stateMachines: {{mine: '${{file(sm/one.yml)}}'}}}}\n"
    [machine] = machines_of_template(text, "a/serverless.yml", open_file=FILES.get) or ()
    assert machine.type == "EXPRESS"
    source = read_definition(text, "a/serverless.yml", open_file=FILES.get)
    assert source.locate("/States/A")[0] == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"serverless\.yml:5:17: the definition of x is in a/x\.yml, which is not there"),
        (b"x: {definition: [", r"a/x\.yml:2:1: invalid YAML"),
    ],
)
def test_an_included_file_that_cannot_be_read(content: bytes | None, message: str) -> None:
    text = f"{HEAD}stepFunctions: {{stateMachines: '${{file(x.yml)}}'}}\n"
    files = {"a/x.yml": content}
    [machine] = machines_of_template(text, "a/serverless.yml", open_file=files.get) or ()
    assert machine.name == "x"
    with pytest.raises(DefinitionFileError, match=message):
        read_definition(text, "a/serverless.yml", open_file=files.get)


def test_the_name_of_a_definition_file_without_a_value() -> None:
    text = (
        'resource "aws_sfn_state_machine" "all" {\n  for_each = local.files\n'
        '  definition = templatefile("${path.module}/sm/${each.value}", {})\n}\n'
    )
    message = r"is in sm/\$\{each.value\}, and \$\{each.value\} has no value: name the file"
    with pytest.raises(DefinitionFileError, match=message):
        read_definition(text, "main.tf", unfilled=True)


@pytest.mark.parametrize(
    ("filename", "text", "message"),
    [
        (
            "serverless.yml",
            "stepFunctions: {stateMachines: {m: '${file(b.yml)}', n: '${file(b.yml):n}'}}",
            "the definition of [mn] is in serverless.yml, which names this file again",
        ),
        (
            "b.yml",
            "stepFunctions: {stateMachines: {m: '${file(b.yml)}'}}",
            "the definition of m is in b.yml, which names this file again",
        ),
        (
            "template.yml",
            "Resources: {M: {Type: 'AWS::Serverless::StateMachine', "
            "Properties: {DefinitionUri: template.yml}}}",
            "the definition of M is in template.yml, which names this file again",
        ),
    ],
)
def test_files_that_name_one_another_without_end(filename: str, text: str, message: str) -> None:
    head = "service: s\nprovider: {name: aws}\n"
    again = "stepFunctions: {stateMachines: {n: '${file(serverless.yml):n}'}}"
    files = {"b.yml": (head + again).encode(), filename: (head + text).encode()}
    files.setdefault("serverless.yml", files["b.yml"])
    found = machines_of_template(files[filename], filename, open_file=files.get) or ()
    assert found
    for each in found:
        with pytest.raises(DefinitionFileError, match=message):
            read_definition(files[filename], f"{filename}#{each.name}", open_file=files.get)
