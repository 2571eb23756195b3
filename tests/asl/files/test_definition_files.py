"""Definition files: JSON and YAML, encodings, placeholders, and the places in the file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.asl.files import definition_files
from stepwell.asl.files.definition_files import DefinitionFileError, read_definition
from stepwell.asl.json_text import loads
from stepwell.asl.limits import Limits

MACHINE = """{
  "StartAt": "M",
  "States": {
    "M": {"Type": "Map", "Retry": [{"ErrorEquals": ["A", "B"]}],
      "ItemProcessor": {"States": {"Y": {"Type": "Pass"}}}}
  }
}"""


def error_of(data: bytes | str, filename: str = "x.asl.yaml", **parameters: str) -> str:
    with pytest.raises(DefinitionFileError) as caught:
        read_definition(data, filename, parameters)
    return str(caught.value)


def test_json_is_not_changed() -> None:
    source = read_definition(MACHINE.encode(), "m.asl.json")
    assert source.text == MACHINE
    assert source.locate("/States/M") == (4, 5)


def test_yaml_is_the_same_definition_with_its_own_places() -> None:
    text = "StartAt: M\nStates:\n  M:\n    Type: Map\n    Retry:\n      - ErrorEquals: [A, B]\n"
    source = read_definition(text, "m.asl.yml")
    assert loads(source.text) == {
        "StartAt": "M",
        "States": {"M": {"Type": "Map", "Retry": [{"ErrorEquals": ["A", "B"]}]}},
    }
    assert source.locate("/States/M") == (3, 3)
    assert source.locate("/States/M/Retry[0]/ErrorEquals[1]") == (6, 26)
    assert source.locate("/States/M/Next") == (3, 3)


def test_yaml_uses_the_core_schema() -> None:
    text = (
        "a: [yes, on, 2024-01-01, 1_000, 0o17, 012, 0x1f, 1e3, ~, null, True, '1', !!str 1, "
        "12:30]\n1: x\n"
    )
    assert loads(read_definition(text, "x.yaml").text) == {
        "a": [
            "yes",
            "on",
            "2024-01-01",
            "1_000",
            15,
            12,
            31,
            1000.0,
            None,
            None,
            True,
            "1",
            "1",
            "12:30",
        ],
        "1": "x",
    }


def test_aliases_are_copies() -> None:
    source = read_definition("a: &r [{ErrorEquals: [States.ALL]}]\nb: *r\n", "x.yaml")
    assert loads(source.text) == {
        "a": [{"ErrorEquals": ["States.ALL"]}],
        "b": [{"ErrorEquals": ["States.ALL"]}],
    }
    assert source.locate("/b[0]/ErrorEquals") == (2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "x.asl.yaml:3:1: duplicate key 'a', also at 1:1"),
        ("a: .inf", "x.asl.yaml:1:4: .inf has no JSON form"),
        ("a: !Foo x", "x.asl.yaml:1:4: the tag !Foo has no meaning in a definition"),
        (
            "a: !!timestamp 2024-01-01",
            "x.asl.yaml:1:4: the tag !!timestamp has no meaning in a definition",
        ),
        ("a: !!int x", "x.asl.yaml:1:4: 'x' is not of type int"),
        ("? [a]\n: 1", "x.asl.yaml:1:3: a key must be a string"),
        (
            "a: &x [*x]",
            "x.asl.yaml:1:8: the alias *x must follow the end of the value that it names",
        ),
        (
            "--- {}\n--- {}",
            "x.asl.yaml:2:1: a definition is one document: remove the second '---'",
        ),
        (
            "a: b: c",
            "x.asl.yaml:1:5: invalid YAML: mapping values are not allowed in this context",
        ),
        ("- " * 200, "x.asl.yaml:1:201: nested deeper than 100 levels"),
        ("a: " + "1" * 2_000, "x.asl.yaml:1:4: a number of more than 1000 characters"),
    ],
)
def test_yaml_without_a_json_form_is_rejected(text: str, message: str) -> None:
    assert error_of(text) == message


def test_merged_mappings_have_members_that_the_own_ones_override() -> None:
    text = (
        "a: &a {Type: Pass, End: true}\nb: &b {<<: *a, Comment: b}\n"
        "c: {<<: [*b, {Type: Task, Next: x}], End: false}\nd: {'<<': 1}\n"
    )
    assert loads(read_definition(text, "x.yaml").text) == {
        "a": {"Type": "Pass", "End": True},
        "b": {"Type": "Pass", "End": True, "Comment": "b"},
        "c": {"Type": "Pass", "End": False, "Comment": "b", "Next": "x"},
        "d": {"<<": 1},
    }
    assert error_of("a:\n  <<: x\n").startswith("x.asl.yaml:2:3: << merges a mapping or")


def test_aliases_of_aliases_do_not_grow_without_bounds() -> None:
    laughs = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 40):
        laughs += f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]\n"
    assert "larger than 1048576 bytes" in error_of(laughs)
    assert "larger than 200 bytes" in error_of_with(Limits(definition_bytes=100), "a: " + "x" * 300)


def error_of_with(limits: Limits, text: str) -> str:
    with pytest.raises(DefinitionFileError) as caught:
        definition_files.read_definition(text, "x.yaml", limits=limits)
    return str(caught.value)


@pytest.mark.parametrize("filename", ["a.json", "a.asl.yaml"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{}".encode("utf-16"), "1:1: the file is UTF-16: save it as UTF-8"),
        (b'{"a":\n "\xe9"}', "2:3: byte 0xe9 is not UTF-8: save the file as UTF-8"),
    ],
)
def test_other_encodings_are_named(filename: str, data: bytes, message: str) -> None:
    assert error_of(data, filename) == f"{filename}:{message}"


def test_placeholders_are_replaced_and_stay_strings() -> None:
    filled = {"Seconds": "30", "Name": 'a "b"\n'}
    text = '{"a": "${Seconds}", "b": ${Seconds}, "${Name}": "x ${Name}", "c": "${!Seconds}"}'
    want = {"a": "30", 'a "b"\n': 'x a "b"\n', "c": "${Seconds}"}
    assert loads(read_definition(text, "x.json", filled).text) == want | {"b": 30}
    yaml = 'a: ${Seconds}\n${Name}: x ${Name}\nc: "${!Seconds}"\n'
    assert loads(read_definition(yaml, "x.yaml", filled).text) == want


def test_an_expression_of_terraform_has_strings_with_escaped_quotes() -> None:
    text = r"""{"a": ["${join("\",\"", groups)}"], "b": "${replace(x, "/:\\d+$/", "")}"}"""
    source = read_definition(text, "x.json", unfilled=True)
    assert [each.name for each in source.unfilled] == [
        r"""join("","", groups)""",
        r"""replace(x, "/:\\d+$/", "")""",
    ]


def test_a_placeholder_without_a_value_is_named_with_its_flag_and_place() -> None:
    want = "no value for ${Queue}, ${Topic}: pass it with --param Queue=VALUE --param Topic=VALUE"
    assert (
        error_of('{"a": "${Ok}",\n "b": "x ${Queue}", "c": "${Topic}${Queue}"}', "x.json", Ok="1")
        == f"x.json:2:10: {want}"
    )
    assert (
        error_of("# ${Comment}\na: ${Ok}\nb: |\n  text\n  ${Queue}\nc: ${Topic}", Ok="1")
        == f"x.asl.yaml:5:3: {want}"
    )
    assert "private characters" in error_of('{"a": "\ue0007\ue001"}', "x.json")
    escapes = read_definition(r'{"a": "\ue0007\ue001", "b": "${X}"}', "x.json", unfilled=True)
    assert [each.name for each in escapes.unfilled] == ["X"]
    assert "surrogate" in error_of('"${A}"', "x.json", A="\ud800")


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_definition_or_an_error(data: bytes) -> None:
    for filename in ("x.yaml", "x.json"):
        try:
            source = read_definition(data, filename)
        except DefinitionFileError as found:
            assert found.line >= 1
        else:
            assert source.locate("/States/X")[0] >= 1
