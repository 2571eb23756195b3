"""Expressions and template files of Terraform whose values are known."""

import json
from collections.abc import Mapping

import pytest

from stepwell.asl.evaluation import Json
from stepwell.asl.files.definition_files import read_definition, sampled
from stepwell.asl.files.placeholders import Known
from stepwell.asl.files.templates.hcl_expressions import Scope, evaluate
from stepwell.asl.files.templates.hcl_functions import FUNCTIONS
from stepwell.asl.files.templates.hcl_templates import rendered
from stepwell.asl.json_text import loads

NAMES: Mapping[str, Json] = {
    "var.env": "dev",
    "var.flag": False,
    "var.topics": [{"name": "a"}, {"name": "b"}],
    "local.sizes": {"small": 1, "large": 2},
    "aws_sqs_queue.q[0].url": "https://queue",
    "list": ["x", "y"],
}


def find(name: str) -> Known | None:
    return Known(NAMES[name]) if name in NAMES else None


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("60 * 60", 3600),
        ("7 / 2 - 1", 2.5),
        ("10 / 5 % 2", 0),
        ("-(2 + 3) * 4", -20),
        ('var.env == "dev" ? 10 : var.unknown', 10),
        ('var.env != "dev" || !var.flag && 2 >= 1', True),
        ("true == 1", False),
        ("var.topics[1].name", "b"),
        ('local.sizes["large"]', 2),
        ("local.sizes.small + 1", 2),
        ("local.sizes[lower(\"LARGE\")]", 2),
        ("[for each in var.topics : upper(each.name)]", ["A", "B"]),
        ("[for i, each in var.topics : i if each.name == \"b\"]", [1]),
        ("{ for key, value in local.sizes : value => key if value > 1 }", {"2": "large"}),
        ("concat([1], var.flag ? [2] : [], [3])", [1, 3]),
        ('merge(local.sizes, { small = 3 "other" : 4 })', {"small": 3, "large": 2, "other": 4}),
        ('"${var.env}-$${x}-${upper("y")}"', "dev-${x}-Y"),
        ('"${length(var.topics)}"', 2),
        (r'"a\"b"', 'a"b'),
        ('try(var.topics[7].name, "none")', "none"),
        ("can(local.sizes.none)", False),
        ('format("%s-%03d%%", var.env, 7)', "dev-007%"),
        ('replace("a-b", "-", "_")', "a_b"),
        ('coalesce("", null, "c")', "c"),
        ('lookup(local.sizes, "none", 9)', 9),
        ("try(aws_sqs_queue.q[0].url, \"\")", "https://queue"),
        ('jsonencode({ a = [1, "b"] })', '{"a":[1,"b"]}'),
        ("reverse(sort(keys(local.sizes)))", ["small", "large"]),
        ("flatten([[1], [2, [3]]])", [1, 2, 3]),
    ],
)  # fmt: skip
def test_values(written: str, value: Json) -> None:
    known = evaluate(written, Scope.of(find))
    assert known is not None and not known.fixed
    assert known.value == value and type(known.value) is type(value)


@pytest.mark.parametrize(
    "written",
    [
        "var.none",
        'try(var.none, "")',  # it may have a value in a deployment
        "can(module.x.y)",
        "concat([var.none], [])",
        "var.env.name",
        "var.topics[2]",
        "1 +",
        "1 2",
        "unheard_of(1)",
        "1 / 0",
        "upper(1)",
        'replace("a", "/a/", "b")',
        "range(0, 10000000000)",
        '"${var.topics}-x"',
        '"open',
        "(" * 5000,
        "!" * 5000,
        "aws_subnet.a[*].id",
        "coalesce(null)",
    ],
)
def test_what_has_no_value(written: str) -> None:
    assert evaluate(written, Scope.of(find)) is None


def test_functions_refuse_wrong_arguments_without_a_crash() -> None:
    for name in FUNCTIONS:
        for arguments in ("", "null", "1", '"a"', "[1], [2]", "{ a = 1 }, 2", '"a", "b", "c"'):
            evaluate(f"{name}({arguments})", Scope.of(find))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('%{ if var.flag }a%{ else }b${keep}%{ endif }', "b${keep}"),
        ('%{ if !var.flag ~}  a%{ endif }', "a"),
        ("[%{ for each in list ~}\n  \"${each}\",\n%{ endfor ~}\n0]", '[\n  "x",\n   "y", \n0]'),
        ("%{ for i, each in list }${i}${each}${other}%{ if i < 1 },%{ endif }%{ endfor }",
         "0x${other},1y${other}"),
        ("%{ for each in [] }\n\n%{ endfor }.", "\n\n."),
        ("%{ if var.none }a%{ endif }", None),
        ("%{ for each in var.none }a%{ endfor }", None),
        ("%{ if var.flag }a", None),
        ("%{ endif }", None),
        ("%{ if true }" * 5000 + "%{ endif }" * 5000, None),
        ("plain ${a}", None),
    ],
)  # fmt: skip
def test_instructions(text: str, value: str | None) -> None:
    found = rendered(text, Scope.of(find))
    assert found == value
    if found is not None and "for" in text:
        assert found.count("\n") == text.count("\n")


MAIN = """variable "env" { default = "dev" }
variable "limit" {}
locals {
  common = { wait = 2 * 30, names = ["a", "b"] }
}
resource "aws_sfn_state_machine" "this" {
  definition = templatefile("${path.module}/flow.json.tftpl", merge(local.common, {
    prod = var.env == "prod"
  }))
}
"""
FLOW = b"""{
  "StartAt": "W",
  "States": {
    "W": { "Type": "Wait", "Seconds": ${wait + 1}, "Next": "P" },
%{ if prod ~}
    "Only": { "Type": "Fail", "Seconds": 1 },
%{ endif ~}
    "P": {
      "Type": "Parallel",
      "Branches": [
%{ for i, name in names ~}
        { "StartAt": "${upper(name)}", "States": { "${upper(name)}": { "Type": "Succeed" } } }
        %{ if i < length(names) - 1 },%{ endif }
%{ endfor ~}
      ],
      "Next": "Last"
    },
    "Last": { "Type": "Succeed" }
  }
}
"""


def test_a_template_file_has_its_text() -> None:
    source = sampled(read_definition(MAIN, "main.tf", open_file={"flow.json.tftpl": FLOW}.get))
    assert source.instructions == ()
    definition = loads(source.text)
    assert list(definition["States"]) == ["W", "P", "Last"]
    source = sampled(source, runs=True)
    branches = definition["States"]["P"]["Branches"]
    assert [each["StartAt"] for each in branches] == ["A", "B"]
    assert source.locate("/States/Last") == (18, 5)
    given = {"var.env": "prod"}
    source = read_definition(MAIN, "main.tf", given, open_file={"flow.json.tftpl": FLOW}.get)
    assert "Only" in loads(source.text)["States"]
    assert source.locate("/States/Last") == (18, 5)


def test_a_template_file_whose_instructions_have_no_value() -> None:
    text = MAIN.replace('var.env == "prod"', "var.limit")
    opened = {"flow.json.tftpl": FLOW}
    source = read_definition(text, "main.tf", unfilled=True, open_file=opened.get)
    assert source.instructions
    read_definition(text, "main.tf", {"var.limit": True}, open_file=opened.get)


def test_instructions_and_json_in_a_heredoc() -> None:
    text = """locals {
  retry = [{ ErrorEquals = ["States.ALL"] }]
}
variable "seconds" { default = "30" }
resource "aws_sfn_state_machine" "this" {
  definition = <<-EOT
    {
      "StartAt": "A",
      "States": {
        "A": {
          "Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:listBuckets",
          %{ if length(local.retry) > 0 ~}
          "Retry": ${jsonencode(local.retry)},
          %{ endif ~}
          "TimeoutSeconds": ${var.seconds},
          "Comment": "${jsonencode(local.retry)}",
          "End": true
        }
      }
    }
  EOT
}
"""
    source = sampled(read_definition(text, "main.tf"), runs=True)
    state = loads(source.text)["States"]["A"]
    assert state["Retry"] == [{"ErrorEquals": ["States.ALL"]}]
    assert state["TimeoutSeconds"] == 30
    assert state["Comment"] == '[{"ErrorEquals":["States.ALL"]}]'
    assert source.locate("/States/A/Comment")[0] == 16


def test_expressions_in_jsonencode_and_names() -> None:
    text = """variable "env" { default = "dev" }
resource "aws_sfn_state_machine" "this" {
  definition = jsonencode({
    StartAt        = "A"
    TimeoutSeconds = var.env == "dev" ? 2 * 60 : 3600
    States = {
      A = {
        Type = "Pass", End = true
        Result = {
          q = local.queues["b"], e = [for x in ["a"] : upper(x)]
          j = jsonencode({ a = local.queues.b })
        }
      }
    }
  })
}
locals {
  queues = { b = "B" }
}
"""
    source = sampled(read_definition(text, "main.tf"), runs=True)
    definition = json.loads(source.text)
    assert definition["TimeoutSeconds"] == 120
    assert definition["States"]["A"]["Result"] == {"q": "B", "e": ["A"], "j": '{"a":"B"}'}


# --- what would not end ---------------------------------------------------------------------------


@pytest.mark.parametrize("variables", ["a", "a, b"])
def test_loops_have_a_limit(variables: str) -> None:
    inner = f"[for {variables} in range(1000) : 1]"
    assert evaluate(f"length({inner})", Scope.of(find)) == Known(1000, fixed=False)
    for _ in range(3):
        inner = f"[for {variables} in range(1000) : {inner}]"
        assert evaluate(inner, Scope.of(find)) is None
    text = f"%{{ for {variables} in range(1000) }}x%{{ endfor }}"
    assert rendered(text, Scope.of(find)) == "x" * 1000
    for _ in range(3):
        text = f"%{{ for {variables} in range(1000) }}{text}%{{ endfor }}"
        assert rendered(text, Scope.of(find)) is None
