"""Instructions of template languages in definition files."""

import pytest

from stepwell.asl.files.definition_files import read_definition, sampled
from stepwell.asl.json_text import loads
from stepwell.asl.validate import validate
from stepwell.integrations.definitions.problems import problems

TERRAFORM = """{
  "StartAt": "Charge",
  "States": {
    %{ if var.wait ~}
    "Wait": {"Type": "Wait", "Seconds": ${var.seconds}, "Next": "Charge"},
    %{ endif ~}
    "Charge": {
      "Type": "Task",
      "Resource": "%{ if arn != null }${arn}%{ else }arn:aws:states:::sns:publish%{ endif }",
      "Retry": [%{ for i, each in errors }
        {"ErrorEquals": ["${each}"]}%{ if i < length(errors) - 1 },%{ endif }
      %{ endfor }],
      %{ if last }"End": true%{ else }"Next": "Wait"%{ endif }
    }
  }
}
"""
JINJA = """{
  "StartAt": "A",
  {# the states #}
  "States": {
    {% for table in tables %}
    "Load {{ table }}": {"Type": "Pass", "Next": "A"}{% if not loop.last %},{% endif %}
    {% endfor %}
    {%- if tables %},{% endif %}
    "A": {"Type": "Wait", "Seconds": {{ seconds | default(5) }}, "End": true}
  }
}
"""
HANDLEBARS = """{
  "StartAt": "A",
  "States": {
    {{! all of them }}
    {{#each tables}}
    "A": {"Type": "Pass", "End": true}{{#unless @last}},{{/unless}}
    {{/each}}
  }
}
"""
ERB = """{
  "StartAt": "A",
  "States": {
    <% if wait -%>
    "A": {"Type": "Wait", "Seconds": <%= seconds %>, "End": true}
    <% else -%>
    "A": {"Type": "Pass", "End": true}
    <% end -%>
  }
}
"""
YAML = """StartAt: A
States:
  {% if wait %}
  A: {Type: Wait, Seconds: "{{ seconds }}", Next: B}
  {% endif %}
  B:
    Type: Succeed
"""


@pytest.mark.parametrize(
    ("text", "name", "first", "states"),
    [
        (TERRAFORM, "a.tftpl", (4, 5), ["Wait", "Charge"]),
        (JINJA, "a.json.j2", (3, 3), ["Load {{ table }}", "A"]),
        (HANDLEBARS, "a.json.hbs", (4, 5), ["A"]),
        (ERB, "a.json.erb", (4, 5), ["A"]),
        (YAML, "a.yaml.j2", (3, 3), ["A", "B"]),
    ],
)
def test_one_branch_is_read(
    text: str, name: str, first: tuple[int, int], states: list[str]
) -> None:
    source = sampled(read_definition(text, name, unfilled=True))
    found = [each.message for each in validate(source.text).errors]
    assert [each for each in found if "not reachable" not in each] == []
    assert list(loads(source.uniform)["States"]) == states
    assert source.instructions[0][0] == first


def test_places_stay() -> None:
    source = read_definition(TERRAFORM, "a.tftpl", unfilled=True)
    assert source.locate("/States/Charge/Retry") == (10, 7)


def test_a_note_names_the_instruction_and_a_run_needs_none() -> None:
    for runs, severity in ((False, "NOTE"), (True, "ERROR")):
        _, found = problems(ERB, "a.erb", {"seconds": 5}, "STANDARD", str, runs=runs)
        assert [(each.line, each.severity, each.code) for each in found] == [
            (4, severity, "UNFILLED")
        ]
        assert "<% if wait -%> and 2 more" in found[0].message
