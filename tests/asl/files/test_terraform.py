"""State machines in files of Terraform."""

import pytest

from stepwell.asl.files.definition_files import (
    DefinitionFileError,
    Source,
    read_definition,
    sampled,
)
from stepwell.asl.files.templates.machines import machines_of_template
from stepwell.asl.json_text import dumps, loads
from stepwell.asl.validate import validate

MAIN = r"""
# the machines of orders
terraform {
  required_version = ">= 1.0"
}

locals {
  name = "orders-${var.stage}" // a comment
  tags = merge({ a = 1 }, var.tags)
  refunds = jsonencode({
    StartAt = "Refund"
    States = {
      "Refund" = { Type = "Succeed" }
    }
  })
}

data "template_file" "old" {
  template = file("${path.module}/old.asl.json")
  vars = { arn = aws_lambda_function.old.arn }
}

resource "aws_sfn_state_machine" "heredoc" {
  name     = local.name
  role_arn = aws_iam_role.sfn["a"].arn
  definition = <<-EOF
    {
      "StartAt": "Charge",
      "States": {
        "Charge": {
          "Type": "Task",
          "Resource": "${aws_lambda_function.charge["x"].arn}",
          "TimeoutSeconds": ${var.timeout},
          "End": true
        }
      }
    }
  EOF

  dynamic "logging" {
    for_each = [for x in var.logs : x.name]
    content { level = "ALL" }
  }
}

resource "aws_sfn_state_machine" "encoded" {
  definition = jsonencode({
    Comment = "It's \"the\" machine"
    StartAt = "Charge",
    States = {
      Charge = {
        Type       = "Task"
        Resource   = var.arn != null ? var.arn : aws_lambda_function.charge.arn
        Parameters = merge(local.defaults, { x = "}" })
        Retry = [{
          ErrorEquals = ["States.ALL"], MaxAttempts = 2, BackoffRate = 1.5
        }]
        TimeoutSeconds = var.timeout * 60 # seconds
        Next = "Done"
      }
      "Done" : { Type : "Succeed" }
    }
  })
}

resource "aws_sfn_state_machine" "file" {
  definition = templatefile("${path.module}/order.asl.json", {
    charge  = aws_lambda_function.charge.arn
    seconds = 30
  })
}

resource "aws_sfn_state_machine" "old" {
  definition = data.template_file.old.rendered
}

module "step_function" {
  source     = "terraform-aws-modules/step-functions/aws"
  definition = local.refunds
}
"""
ORDER = (
    b'{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${charge}", '
    b'"TimeoutSeconds": ${seconds}, "End": true}}}'
)
OLD = b'{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${arn}", "End": true}}}'
FILES = {"tf/order.asl.json": ORDER, "tf/old.asl.json": OLD}


def machine(name: str) -> Source:
    source = read_definition(MAIN, f"tf/main.tf#{name}", unfilled=True, open_file=FILES.get)
    source = sampled(source)
    assert validate(source.text).diagnostics == ()
    return source


def test_the_machines_of_a_file() -> None:
    names = ("heredoc", "encoded", "file", "old", "step_function")
    found = machines_of_template(MAIN, "main.tf") or ()
    assert tuple(each.name for each in found) == names
    with pytest.raises(DefinitionFileError, match=r"name main\.tf#heredoc or main\.tf#encoded or"):
        read_definition(MAIN, "main.tf")


def test_a_text() -> None:
    source = machine("heredoc")
    assert [(each.name, each.place) for each in source.unfilled] == [
        ('aws_lambda_function.charge["x"].arn', (32, 24)),
        ("var.timeout", (33, 29)),
    ]
    assert source.locate("/States/Charge/TimeoutSeconds") == (33, 11)


def test_jsonencode() -> None:
    source = machine("encoded")
    assert [each.name for each in source.unfilled] == [
        "var.arn != null ? var.arn : aws_lambda_function.charge.arn",
        'merge(local.defaults, { x = "}" })',
        "var.timeout * 60",
    ]
    value = loads(source.written)
    assert value["Comment"] == 'It\'s "the" machine'
    assert value["States"]["Charge"]["Retry"] == [
        {"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "BackoffRate": 1.5}
    ]
    assert source.locate("/States/Charge/Retry[0]/MaxAttempts") == (56, 41)
    assert source.locate("/States/Done") == (61, 7)


def test_files_and_locals() -> None:
    source = machine("file")
    assert (source.filename, [each.name for each in source.unfilled]) == (
        "tf/order.asl.json",
        ["charge"],
    )
    assert loads(source.text)["States"]["A"]["TimeoutSeconds"] == 30
    assert [each.name for each in machine("old").unfilled] == ["arn"]
    assert loads(machine("step_function").text)["StartAt"] == "Refund"


def test_values() -> None:
    given = {"var.timeout": 7, 'aws_lambda_function.charge["x"].arn': "arn:aws:x"}
    source = read_definition(MAIN, "main.tf#heredoc", given)
    assert loads(source.text)["States"]["Charge"]["TimeoutSeconds"] == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('resource "x" "y" {}', "1:1: the file is a template with no state machine"),
        ('resource "x" "y" {\n a = "b', "2:6: invalid Terraform: the string is not closed"),
        ('resource "x" "y" {\n a = 1', "2:7: invalid Terraform: the block resource is not closed"),
        (
            'resource "aws_sfn_state_machine" "m" {\n definition = <<EOF\n{"a": }\nEOF\n}',
            "3:8: the definition is not JSON: Unexpected character ('}' (code 125))",
        ),
        (
            'resource "aws_sfn_state_machine" "m" {\n definition = var.text\n}',
            "2:2: the definition of m is ${var.text}: save it in a file of its own, or write",
        ),
        (
            'resource "aws_sfn_state_machine" "m" {\n definition = file("x.json")\n}',
            "2:2: the definition of m is in x.json, which is not there",
        ),
        ("a = " + 200 * "[", "1:105: invalid Terraform: more than 100 values inside of each other"),
    ],
)
def test_problems(text: str, message: str) -> None:
    with pytest.raises(DefinitionFileError) as caught:
        read_definition(text, "main.tf", unfilled=True)
    assert str(caught.value).startswith(f"main.tf:{message}")


@pytest.mark.parametrize(
    ("written", "name"),
    [('"orders"', "orders"), ('"${var.stage}-orders"', "this"), ("null", "this")],
)
def test_the_name_of_a_machine(written: str, name: str) -> None:
    text = (
        f'resource "aws_sfn_state_machine" "this" {{\n  name = {written}\n'
        '  definition = jsonencode({ StartAt = "A" })\n}\n'
    )
    [machine] = machines_of_template(text, "main.tf") or ()
    assert machine.called == name


@pytest.mark.parametrize(
    ("call", "content", "words"),
    [
        ('templatefile("a.json", { one = 1 })', "${one} ${two}", ["in main.tf have no two"]),
        ('templatefile("a.json", { one = 1 })', "${upper(one)}", []),
        ('templatefile("a.json", { one = [1] })', "%{ for x in one }${x}%{ endfor }", []),
        ('templatefile("a.json", { one = 1 })', "", ["have one, which its definition"]),
        ('templatefile("a.json", merge(local.a, local.b))', "${one}", []),
        ('file("a.json")', "${one}", []),
    ],
)
def test_variables_of_a_templatefile(call: str, content: str, words: list[str]) -> None:
    text = f'resource "aws_sfn_state_machine" "this" {{\n  definition = {call}\n}}\n'
    state = {"Type": "Pass", "Comment": content, "End": True}
    opened = {"a.json": dumps({"StartAt": "A", "States": {"A": state}}).encode()}
    source = read_definition(text, "main.tf", unfilled=True, open_file=opened.get)
    found = [each for _, _, each in source.unmatched]
    assert [each.partition("of this ")[2].partition(" does")[0] for each in found] == words
