"""JSONPath: Jayway's dialect, its words for a missing result, the three roots, and writing through
Reference Paths.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.asl.evaluation import MISSING, Env, StateError
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.jsonpath_grammar import parse
from stepwell.asl.limits import DEFAULT_LIMITS
from stepwell.asl.paths import compile_path, compile_reference, compile_result_path

CONTEXT = {"Execution": {"Input": {"id": 7}, "Name": "run"}, "Map": {"Item": {"Index": 0}}}
ENV = Env(
    {},
    {"order": {"lines": [{"sku": "a"}, {"sku": "b"}]}, "none": None},
    lambda: CONTEXT,
    lambda: bytes(16),
    0.0,
)
SHOP: dict[str, Any] = {
    "books": [
        {"title": "Walden", "price": 8.95, "tags": ["old", "wood"], "isbn": "1"},
        {"title": "Ulysses", "price": 12, "tags": ["old"], "author": {"name": "Joyce"}},
        {"title": "Dune", "price": "12", "tags": [], "isbn": None},
    ],
    "n": [1, 2, 3, 4, 5],
    "text": "abc",
    "null": None,
    "empty": [],
    "grün": {"blau-rot": 1, "it's": 2, "a.b": 3},
    "pairs": [[1, 2], [3, 4]],
    "escapes": {'a"b': 1, 'c\\"d': 2, 'c"d': 3},
    "tree": {"k": [{"z": 1}, {"z": 2}], "sub": {"k": [{"z": 3}]}},
}
WALDEN = SHOP["books"][0]


def read(path: str, value: Any = SHOP) -> Any:
    return compile_path(path).evaluate(value, ENV)


# Every row was checked against json-path 2.9.
RESULTS = [
    ("$", SHOP),
    ("$.text", "abc"),
    ("$['text']", "abc"),
    ('$["text"]', "abc"),
    ("$[ 'text' ]", "abc"),
    ("$['te\\u0078t']", "abc"),
    ("$.grün.blau-rot", 1),
    ("$.grün['it\\'s']", 2),
    ("$.grün['a.b']", 3),
    ("$.['grün'].['a.b']", 3),
    ("$.null", None),
    ("$.n[0]", 1),
    ("$.n[-1]", 5),
    ("$.n.[1]", 2),
    ("$.books[1].author.name", "Joyce"),
    ("$.n[0,2,9]", [1, 3]),
    ("$.n[ 0 , -1 ]", [1, 5]),
    ("$.n[1:3]", [2, 3]),
    ("$.n[-2:]", [4, 5]),
    ("$.n[:2]", [1, 2]),
    ("$.n[:-1]", [1, 2, 3, 4]),
    ("$.n[-3:-1]", [3, 4]),
    ("$.n[0:-1]", []),  # Jayway counts upwards from the one bound to the other
    ("$.n[-9:2]", [1, 2, 3, 4, 5, 1, 2]),
    ("$.n[0:4:2]", [1, 2, 3, 4]),  # the step is read and ignored
    ("$.n[7:]", []),
    ("$.n[-99999999999999:99999999999999]", [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]),
    ("$.n[9][*]", []),
    ("$.n[*]", [1, 2, 3, 4, 5]),
    ("$.n.*", [1, 2, 3, 4, 5]),
    ("$.text[*]", []),
    ("$.books[*].isbn", ["1", None]),
    ("$.books[*].author.name", ["Joyce"]),
    ("$.books[0]['title','price']", {"title": "Walden", "price": 8.95}),
    ("$.books[0]['title','none']", {"title": "Walden"}),
    ("$.books[*]['isbn','none']", [{"isbn": "1"}, {}, {"isbn": None}]),
    ("$['tree','grün'].k", [[{"z": 1}, {"z": 2}]]),
    ("$..z", [1, 2, 3]),
    ("$..k[0].z", [1, 3]),
    ("$..k[*].z", [1, 2, 3]),
    (
        "$.tree..*",
        [
            [{"z": 1}, {"z": 2}],
            {"k": [{"z": 3}]},
            {"z": 1},
            {"z": 2},
            1,
            2,
            [{"z": 3}],
            {"z": 3},
            3,
        ],
    ),
    ("$..[0]", [WALDEN, "old", "old", 1, [1, 2], 1, 3, {"z": 1}, {"z": 3}]),
    ("$..['title','isbn']", [{"title": "Walden", "isbn": "1"}, {"title": "Dune", "isbn": None}]),
    ("$..[?(@.z > 1)]", [{"z": 2}, {"z": 3}]),
    ("$..absent", []),
    ("$.n[?(@ > 3)]", [4, 5]),
    ("$.n[?(@>=2&&@<4)]", [2, 3]),
    ("$.n[?(@ == '2')]", [2]),
    ("$.n[?('2' == @)]", [2]),
    ("$.n[?(@ === '2')]", []),
    ("$.n[?(@ !== 1)]", [2, 3, 4, 5]),
    ("$.n[?(@ > '2')]", []),
    ("$.n[?(@ == $.pairs[0][1])]", [2]),
    ("$.n[?(@ in [1, 5.0, 'x'])]", [1, 5]),
    ("$.n[?(@ NIN [1,2,3])]", [4, 5]),
    ("$.n[?(@ in $.pairs[1])]", [3, 4]),
    ("$.books[?(@.isbn)].title", ["Walden", "Dune"]),
    ("$.books[?(!@.isbn)].title", ["Ulysses"]),
    ("$.books[?(!(@.isbn || @.author))]", []),
    ("$.books[?(@.isbn == null)].title", ["Dune"]),
    ("$.books[?(@.absent != 1)].title", ["Walden", "Ulysses", "Dune"]),
    ("$.books[?(@.absent == null)]", []),
    ("$.books[?(@.price == 12)].title", ["Ulysses", "Dune"]),
    ('$.books[?(@.price < 10 || @.author.name == "Joyce")].title', ["Walden", "Ulysses"]),
    ("$.books[?(@['title'] =~ /w.*/i)].title", ["Walden"]),
    ("$.books[?(@.title =~ /al/)].title", []),
    ("$.books[?(@.tags =~ /wo+d/)].title", ["Walden"]),
    ("$.books[?(@.tags contains 'wood')].title", ["Walden"]),
    ("$.books[?(@.title contains 'ss')].title", ["Ulysses"]),
    ("$.books[?(@.tags size 2)].title", ["Walden"]),
    ("$.books[?(@.tags empty true)].title", ["Dune"]),
    ("$.books[?(@.tags subsetof ['old', 'new'])].title", ["Ulysses", "Dune"]),
    ("$.books[?(@.tags anyof ['wood'])].title", ["Walden"]),
    ("$.books[?(@.tags noneof ['wood'])].title", ["Ulysses", "Dune"]),
    ("$.books[?(@.tags[0] == 'old')].title", ["Walden", "Ulysses"]),
    ("$.books[?(@.tags.length() == 1)].title", ["Ulysses"]),
    ("$.pairs[?(@ == [3,4])]", [[3, 4]]),
    ("$.pairs[?(@[?(@ == 3)] == [3])]", [[3, 4]]),
    ("$.tree.k[?(@ == {'z': 2})]", [{"z": 2}]),
    ("$.grün[?(@.blau-rot == 1)]", [SHOP["grün"]]),
    ("$.n[?(true == true)]", [1, 2, 3, 4, 5]),
    ("$.books[?(@.tags nin ['old', 'x'])].title", ["Walden", "Ulysses", "Dune"]),
    (
        "$.books[?(@.title nin @.isbn || @.price == 12)].title",
        [],
    ),  # an item does not pass where an operator does not fit
    ("$.books[?(@.tags[*])].title", ["Walden", "Ulysses", "Dune"]),
    ("$.books[?($.title)].title", ["Walden", "Ulysses", "Dune"]),
    ("$.books[?(@['title','author'])].title", ["Ulysses"]),
    ("$.books[?(@.price == '8.95')].title", ["Walden"]),
    ("$.books[?(@.absent =~ /.*/)].title", ["Walden", "Ulysses", "Dune"]),
    ("$.text ", "abc"),
    ("$.n[*]  ", [1, 2, 3, 4, 5]),
    ("$.books[?(@.title == Dune)].price", ["12"]),
    ("$.books[?(@.title==Dune || Walden == @.title)].price", [8.95, "12"]),
    ("$.books[?(@.title in [Dune, 'Walden'])].price", [8.95, "12"]),
    ("$.books[?(@.title == nullable)]", []),
    ("$.escapes['a\\\"b']", 1),  # the member a\"b, by its name as Java reads it
    ("$.escapes['c\\\"d']", 2),  # ... and as it is written
    ("$.escapes['c\"d']", 3),
    ("$.escapes['a\\\"b','c\\\"d']", {'a"b': 1, 'c\\"d': 2}),
    ("$.n.length()", 5),
    ("$.tree.length()", 2),
    ("$.text.length()", None),
    ("$..k.length()", 3),
    ("$.n.sum()", 15.0),
    ("$.n.min()", 1.0),
    ("$.n.max()", 5.0),
    ("$.n.avg()", 3.0),
    ("$.n.stddev()", 2**0.5),
    ("$.n.first()", 1),
    ("$.n.last()", 5),
    ("$.n.index(1)", 2),
    ("$.n.append(6)", [1, 2, 3, 4, 5, 6]),
    ("$.tree.keys()", ["k", "sub"]),
    ("$..z.sum()", 6.0),
    ("$.sum($.n, 7)", 22.0),
    ('$.concat($.text, "-", $.books[0].title)', "abc-Walden"),
]


@pytest.mark.parametrize(("path", "result"), RESULTS)
def test_results(path: str, result: Any) -> None:
    assert read(path) == result
    assert compile_path(path).find(SHOP, ENV) == result


@pytest.mark.parametrize(
    ("test", "result"),
    [
        ("@ == Total Amount", ["Total Amount"]),
        ("@==2024-05-01||@==12ab", ["2024-05-01", "12ab"]),
        ("Total Amount in $ && @ == -1.5e1", [-15]),
        ("@ == application/json", ["application/json"]),
        ("@ == true", [True]),
    ],
)
def test_words_without_quotes(test: str, result: Any) -> None:
    assert (
        read(f"$[?({test})]", ["Total Amount", "2024-05-01", "12ab", "application/json", -15, True])
        == result
    )


def test_descent_finds_the_items_that_jayway_loses() -> None:
    assert read("$..[*].z", SHOP["tree"]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("$.x", "No results for path: $['x']"),
        ("$.no.such.result.path", "Missing property in path $['no']"),
        ("$.tree.no.such", "Missing property in path $['tree']['no']"),
        ("$.n[9]", "No results for path: $['n'][9]"),
        ("$.n[9].z", "No results for path: $['n'][9]['z']"),
        ("$.text[0].z", "Filter: [0]['z'] can only be applied to arrays. Current context is: abc"),
        ("$.text[-1]", "Filter: [-1] can only be applied to arrays. Current context is: abc"),
        ("$.null[0]", "The path $['null'] is null"),
        ("$.text[1:5]", "Filter: [1:5] can only be applied to arrays. Current context is: abc"),
        (
            "$.grün[0,1]",
            (
                "Filter: [0,1] can only be applied to arrays. Current context is: {blau-rot=1, "
                "it's=2, a.b=3}"
            ),
        ),
        (
            "$.null[?(@.a)]",
            "Filter: [?] can not be applied to primitives. Current context is: null",
        ),
        ("$.text[?(@.a)]", "Filter: [?] can not be applied to primitives. Current context is: abc"),
        ("$.x.length()", "Missing property in path $['x']"),
        ("$$.x", "No results for path: $['x']"),
        ("$order.x", "No results for path: $['x']"),
        ("$unset.x", "The variable '$unset' has no value."),
    ],
)
def test_reasons_for_a_missing_result(path: str, reason: str) -> None:
    assert compile_path(path).find(SHOP, ENV) is MISSING
    with pytest.raises(StateError) as raised:
        read(path)
    assert (raised.value.error, raised.value.cause) == (
        "States.Runtime",
        f"Invalid path '{path}' : {reason}",
    )


@pytest.mark.parametrize(
    "path",
    [
        "$.items[*]", "$.items[1:]", "$.items[:1].itemValue", "$.item.items[1:]",
        "$.item.items[*].a.b", "$.items..a", "$.items[?(@.a)]",
        "$.items[0,1]", "$.items['a','b'].c", "$.n[9].a[*]", "$.text.a[*]", "$.null.a[1:]",
        "$.null[1:]", "$.items[*].sum()", "$.items.a.*",
    ],
)  # fmt: skip
def test_an_indefinite_path_finds_nothing_below_a_missing_member(path: str) -> None:
    assert read(path) == []


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.text.y", "java.lang.String"),
        ("$.null.y", "null"),
        ("$.n.y", "java.util.ArrayList"),
        ("$.n[0].y", "java.lang.Integer"),
    ],
)
def test_reason_for_a_property_of_a_value_that_is_not_an_object(path: str, found: str) -> None:
    with pytest.raises(
        StateError,
        match=rf"Expected to find an object with property \['y'\] in path .* but found '{found}'",
    ):
        read(path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("$.empty.sum()", "Aggregation function attempted to calculate value using empty array"),
        ("$.empty.first()", "Index 0 out of bounds for length 0"),
    ],
)
def test_find_raises_if_a_function_fails(path: str, reason: str) -> None:
    with pytest.raises(StateError) as raised:
        compile_path(path).find(SHOP, ENV)
    assert raised.value.cause == f"Invalid path '{path}' : {reason}"


def test_roots() -> None:
    assert read("$$.Execution.Input.id") == 7
    assert read("$$") == CONTEXT
    assert read("$order.lines[1].sku") == "b"
    assert read("$order.lines[?(@.sku == $.lines[0].sku)]") == [{"sku": "a"}]
    assert read("$none") is None
    assert [compile_path(path).root for path in ("$.a", "$$.a", "$a.b")] == ["$", "$$", "$a"]
    assert compile_path("$$.Map").shown(SHOP, ENV).startswith('{"Execution":{"Input":{"id":7}')


def test_definite_or_not() -> None:
    assert all(
        compile_path(path).definite
        for path in ("$", "$.a[0]", "$['a','b']", "$.a.length()", "$..a.sum()")
    )
    assert not any(
        compile_path(path).definite
        for path in ("$.*", "$..a", "$[0,1]", "$[0:1]", "$[?(@)]", "$['a','b'].c")
    )


@pytest.mark.parametrize(
    ("path", "column"),
    [
        ("", 1), ("x", 1), ("@.a", 1), ("$1", 1), ("$a-b", 3), ("$.", 3), ("$..", 4), ("$...a", 4),
        ("$. a", 3), ("$.a b", 4), (" $.a", 1),
        ("$['a", 3), ("$['a'", 6), ("$['a',]", 7), ("$[]", 3), ("$[0", 4), ("$[1,]", 5),
        ("$[-]", 3), ("$[:]", 3),
        ("$[::2]", 3), ("$[?()]", 5), ("$[?(@.a]", 8), ("$[?(@.a == )]", 12), ("$[?(@.a ~ 1)]", 8),
        ("$[?(true)]", 9), ("$[?]", 3),
        ("$[?@.a]", 3), ("$.a.foo()", 1), ("$.a.length().b", 13), ("$$$", 3),
        ("$[?(@.a =~ /(?=x)/)]", 1), ("$[?(@.a =~ /(a)\\1/)]", 1), ("$[?(@.a =~ /(/)]", 1),
    ],
)  # fmt: skip
def test_syntax_errors_have_a_column(path: str, column: int) -> None:
    with pytest.raises(ExpressionSyntaxError) as raised:
        compile_path(path)
    assert raised.value.column == column
    assert raised.value.message.startswith("Value is not a valid JSONPath: ")
    assert "\n" not in raised.value.message


def test_bounds_on_the_text() -> None:
    with pytest.raises(ExpressionSyntaxError, match="too long"):
        compile_path("$." + "a" * DEFAULT_LIMITS.jsonpath_chars)
    for path in (
        "$" + ".*" * 101,
        "$" + ".a" * 101,
        "$[?(" + "!(" * 100 + "@.a" + ")" * 100 + ")]",
        "$[?(@ == " + "[" * 5000 + ")]",
    ):
        with pytest.raises(ExpressionSyntaxError, match="too long or too deep"):
            compile_path(path)
    assert read("$" + ".*" * 100) == []


def test_no_regular_expression_is_slow() -> None:
    assert read("$[?(@ =~ /(a+)+$/)]", ["a" * 5_000 + "b"]) == []
    assert read("$[?(@ =~ /(a|aa)*/)]", ["a" * 5_000]) == ["a" * 5_000]


def test_a_document_of_any_depth_gives_a_result_or_an_error_of_the_state() -> None:
    deep: Any = [1]
    for _ in range(3_000):
        deep = [deep]
    assert len(read("$..*", deep)) == 3_001
    with pytest.raises(StateError, match="nested too deeply"):
        read("$[?(@ == $[0])]", deep)
    with pytest.raises(StateError, match="nested too deeply"):
        read("$.a[0:1]", {"a": {"b": deep}})


# --- Reference Paths ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "path", ["$.*", "$..a", "$[0,1]", "$[0:1]", "$[?(@.a)]", "$['a','b']", "$.a.length()"]
)
def test_invalid_reference_paths(path: str) -> None:
    compile_path(path)
    with pytest.raises(
        ExpressionSyntaxError,
        match=r"^Value is not a Reference Path: .* does not point to a single node$",
    ):
        compile_reference(path)


def test_a_result_path_starts_from_the_state_input() -> None:
    assert compile_result_path("$.a.b").put({"a": {"c": 1}}, 2) == {"a": {"c": 1, "b": 2}}
    for path in ("$$.a", "$a"):
        assert compile_reference(path).text == path
        with pytest.raises(ExpressionSyntaxError, match="does not start from the state input"):
            compile_result_path(path)


@pytest.mark.parametrize(
    ("path", "target", "result"),
    [
        ("$", {"a": 1}, "R"),
        ("$.a", {"a": 1, "b": 2}, {"a": "R", "b": 2}),
        ("$.a.b.c", {}, {"a": {"b": {"c": "R"}}}),
        ("$.a[1].b", {"a": [0, {"c": 1}]}, {"a": [0, {"c": 1, "b": "R"}]}),
        ("$[-1]", [1, 2], [1, "R"]),
        ("$['x y']", {}, {"x y": "R"}),
        ("$['x\\'y']", {}, {"x'y": "R"}),
        ("$['x\\'y'].z", {"x\\'y": {}}, {"x\\'y": {"z": "R"}}),
    ],
)
def test_put(path: str, target: Any, result: Any) -> None:
    before = repr(target)
    made = compile_result_path(path).put(target, "R")
    assert made == result and (isinstance(made, list) or all(type(key) is str for key in made))
    assert repr(target) == before


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("$.a", "text"),
        ("$.a", None),
        ("$.a", [1]),
        ("$.a.b", {"a": 5}),
        ("$.a.b", {"a": None}),
        ("$[0]", {}),
        ("$.a[0]", {}),
        ("$[2]", [1, 2]),
    ],
)
def test_put_where_the_path_does_not_fit(path: str, target: Any) -> None:
    with pytest.raises(StateError) as raised:
        compile_result_path(path).put(target, "R")
    assert raised.value.error == "States.ResultPathMatchFailure"
    assert raised.value.cause is not None and raised.value.cause.startswith(
        f"Unable to apply ReferencePath {path} to input "
    )


# --- properties -----------------------------------------------------------------------------------
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="'\\"), max_size=5)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=15,
)


def spelled(keys: list[Any]) -> str:
    return "$" + "".join(f"['{key}']" if isinstance(key, str) else f"[{key}]" for key in keys)


def nodes(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    pairs = (
        enumerate(value)
        if isinstance(value, list)
        else value.items()
        if isinstance(value, dict)
        else ()
    )
    return [(at, value), *(node for key, item in pairs for node in nodes(item, (*at, key)))]


@given(JSON)
def test_every_node_is_found_by_its_path(document: Any) -> None:
    for keys, node in nodes(document):
        assert compile_reference(spelled(list(keys))).evaluate(document, ENV) is node


@given(JSON)
def test_descent_reaches_every_node_once(document: Any) -> None:
    found = compile_path("$..*").evaluate(document, ENV)
    assert sorted(map(id, found)) == sorted(id(node) for _, node in nodes(document)[1:])


@given(JSON, st.lists(NAMES | st.integers(-3, 3), max_size=4), JSON)
def test_put_then_get(document: Any, keys: list[Any], result: Any) -> None:
    path = compile_result_path(spelled(keys))
    try:
        written = path.put(document, result)
    except StateError as error:
        assert error.error == "States.ResultPathMatchFailure"
        return
    assert path.evaluate(written, ENV) is result
    assert path.put(written, result) == written
    for other, node in nodes(document):  # whatever lies off the path is shared
        beside = next((n for n, (a, b) in enumerate(zip(other, keys)) if a != b), None)
        if beside is not None and isinstance(keys[beside], str):
            assert compile_reference(spelled(list(other))).evaluate(written, ENV) is node


@given(
    st.text(max_size=30).map(lambda text: "$" + text)
    | st.text("$@.[]()*'\"?!&|=~<>/:,-_ ab01", max_size=30)
)
def test_any_text_is_a_path_or_a_syntax_error(text: str) -> None:
    try:
        path = compile_path(text)
    except ExpressionSyntaxError as fault:
        assert 1 <= fault.column <= len(text) + 1
        return
    try:
        path.evaluate(SHOP, ENV)
    except StateError as error:
        assert error.error == "States.Runtime"


def test_the_parser_needs_no_python_stack() -> None:
    assert parse("$" + "['a']" * 50 + "[*]").definite is False
