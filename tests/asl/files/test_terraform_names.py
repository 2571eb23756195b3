"""What the files of a Terraform module say of the names in its state machines."""

import pytest

from stepwell.asl.files.definition_files import (
    DefinitionFileError,
    read_definition,
    sampled,
)
from stepwell.asl.files.template_functions import FunctionCode, template_functions
from stepwell.asl.json_text import loads
from stepwell.asl.validate import validate

VARIABLES = b"""
variable "prefix" { default = "shop" }
variable "needed" { type = string }
variable "seconds" {
  type    = number
  default = 30
}
locals {
  charge = "${var.prefix}-charge"
  table  = aws_dynamodb_table.orders.name
  loop   = local.loop
  machine = jsonencode({
    StartAt = "A", States = { A = { Type = "Pass", End = true, Result = { v = local.charge } } }
  })
}
"""
BROKEN = b"resource {{{ not Terraform"
RESOURCES = """
data "aws_region" "here" {}
data "archive_file" "charge" {
  type       = "zip"
  source_dir = "${path.module}/src/charge"
}
data "archive_file" "one" {
  type        = "zip"
  source_file = "${path.module}/src/one.py"
}
resource "aws_lambda_function" "charge" {
  function_name = local.charge
  handler       = "app.handler"
  filename      = data.archive_file.charge.output_path
  timeout       = 9
  environment {
    variables = { TABLE = aws_dynamodb_table.orders.name, OTHER = var.needed }
  }
}
resource "aws_lambda_function" "one" {
  function_name = "${var.needed}-one"
  handler       = "one.handler"
  filename      = data.archive_file.one.output_path
}
resource "aws_lambda_function" "zipped" {
  handler  = "one.handler"
  filename = "build/one.zip"
}
module "notify" {
  source        = "terraform-aws-modules/lambda/aws"
  function_name = "${var.prefix}-notify"
  handler       = "index.handler"
  source_path   = ["./src/notify", { pip_requirements = true }]
  environment_variables = { A = 1 }
}
resource "aws_dynamodb_table" "orders" { name = "orders" }
resource "aws_sqs_queue" "jobs" { name_prefix = "jobs" }
resource "aws_sns_topic" "news" { name = "news" }
resource "aws_sfn_activity" "work" { name = "work" }
resource "aws_sfn_state_machine" "shop" {
  name       = "${var.prefix}-orders"
  definition = DEFINITION
}
"""
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
BESIDE = {"tf/variables.tf": VARIABLES, "tf/broken.tf": BROKEN}


def read(definition: str, **opened: bytes) -> tuple[object, list[str]]:
    text = RESOURCES.replace("DEFINITION", definition)
    source = read_definition(
        text,
        "tf/main.tf",
        unfilled=True,
        open_file=lambda path: opened.get(path.rpartition("/")[2].partition(".")[0]),
        beside=lambda path: BESIDE,
    )
    source = sampled(source)
    assert validate(source.text).errors == ()
    return loads(source.text)["States"]["A"], [each.name for each in source.unfilled]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("aws_lambda_function.charge.arn", f"{LAMBDA}shop-charge"),
        ("aws_lambda_function.charge.function_name", "shop-charge"),
        ('aws_lambda_function.charge["a"].qualified_arn', f"{LAMBDA}shop-charge:1"),
        ("aws_lambda_function.one[0].arn", f"{LAMBDA}one"),
        ("module.notify.lambda_function_arn", f"{LAMBDA}shop-notify"),
        ("module.other.queue_url", "https://sqs.us-east-1.amazonaws.com/123456789012/other"),
        ("aws_dynamodb_table.orders.arn", "arn:aws:dynamodb:us-east-1:123456789012:table/orders"),
        ("local.table", "orders"),
        ("aws_sqs_queue.jobs.id", "https://sqs.us-east-1.amazonaws.com/123456789012/jobs"),
        ("aws_sqs_queue.jobs.arn", "arn:aws:sqs:us-east-1:123456789012:jobs"),
        ("aws_sns_topic.news.id", "arn:aws:sns:us-east-1:123456789012:news"),
        ("aws_sfn_activity.work.id", "arn:aws:states:us-east-1:123456789012:activity:work"),
        ("data.aws_region.here.name", "us-east-1"),
        ("data.aws_caller_identity.any.account_id", "123456789012"),
        ("var.seconds", 30),
        ('"${var.prefix}/${local.charge}"', "shop/shop-charge"),
        ('"arn:${data.aws_partition.x.partition}:x"', "arn:aws:x"),
    ],
)
def test_what_a_module_says(written: str, value: object) -> None:
    definition = f'jsonencode({{ StartAt = "A", States = {{ A = {{ Type = "Pass", End = true, Result = {{ v = {written} }} }} }} }})'  # noqa: E501
    state, unfilled = read(definition)
    assert (state["Result"]["v"], unfilled) == (value, [])  # type: ignore[index]


@pytest.mark.parametrize(
    "name",
    ["var.needed", "var.nothing", "local.loop", "local.nothing", "aws_new_thing.a.arn",
     "aws_lambda_function.missing.arn", "module.x.color", "aws_dynamodb_table.orders.color"],
)  # fmt: skip
def test_what_a_module_does_not_say(name: str) -> None:
    definition = f'jsonencode({{ StartAt = "A", States = {{ A = {{ Type = "Pass", End = true, Result = {{ v = {name} }} }} }} }})'  # noqa: E501
    assert read(definition)[1] == [name]


def test_a_text_and_a_file() -> None:
    machine = (
        '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${%s}", '
        '"TimeoutSeconds": ${%s}, "End": true}}}'
    )
    inside = machine % ("aws_lambda_function.charge.arn", "var.seconds")
    wanted = {
        "Type": "Task", "Resource": f"{LAMBDA}shop-charge", "TimeoutSeconds": 30, "End": True
    }  # fmt: skip
    assert read(f"<<EOF\n{inside}\nEOF") == (wanted, [])
    values = "{ charge = aws_lambda_function.charge.arn, seconds = var.seconds }"
    beside = (machine % ("charge", "seconds")).encode()
    for definition in (
        f'templatefile("${{path.module}}/order.asl.json", {values})',
        'templatefile("${path.module}/order.asl.json", local.values)\n}\nlocals {\n'
        f"  values = {values}",
    ):
        assert read(definition, order=beside) == (wanted, [])


def test_the_functions_of_a_module() -> None:
    found = template_functions(
        RESOURCES.replace("DEFINITION", '""'), "tf/main.tf", {}, beside=lambda path: BESIDE
    )
    assert found == [
        FunctionCode("shop-charge", "src/charge", "app.handler", {"TABLE": "orders"}, 9, None),
        FunctionCode("one", "src", "one.handler", {}, None, None),
        FunctionCode("shop-notify", "./src/notify", "index.handler", {"A": "1"}, None, None),
    ]


def test_a_local_of_another_file() -> None:
    state, _ = read("local.machine")
    assert state["Result"] == {"v": "shop-charge"}  # type: ignore[index]
    with pytest.raises(DefinitionFileError, match=r"of shop is \$\{local.nothing\}: s"):
        read("local.nothing")


@pytest.mark.parametrize(("number", "unfilled"), [(12, []), (39, ["local.a39"])])
def test_texts_that_grow_with_a_power_of_two(number: int, unfilled: list[str]) -> None:
    doubled = (f'a{n} = "${{local.a{n - 1}}}${{local.a{n - 1}}}"' for n in range(1, 40))
    pass_state = f'{{ Type = "Pass", Result = local.a{number}, End = true }}'
    text = "\n".join(
        (
            *("locals {", 'a0 = "ab"', *doubled, "}", 'resource "aws_sfn_state_machine" "m" {'),
            f'definition = jsonencode({{ StartAt = "A", States = {{ A = {pass_state} }} }})\n}}',
        )
    )
    source = sampled(read_definition(text, "main.tf", unfilled=True))
    assert [each.name for each in source.unfilled] == unfilled
    value = loads(source.text)["States"]["A"]["Result"]  # type: ignore[index,call-overload]
    assert unfilled or value == "ab" * 2**number


def test_a_file_in_yaml() -> None:
    state, _ = read(
        'jsonencode(yamldecode(file("${path.module}/order.asl.yaml")))',
        order=b"StartAt: A\nStates: {A: {Type: Succeed}}\n",
    )
    assert state == {"Type": "Succeed"}
