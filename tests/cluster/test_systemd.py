from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.cluster.syntax.source import Collected
from labkit.cluster.syntax.systemd import expand, merge, parse_environment, parse_unit, split
from labkit.errors import ConfigError


def words(text, **environment):
    item = parse_unit(text, "x.service", [])[-1]
    found, missing = expand(split(item), "x@one.service", "master", environment)
    return [(word.text, word.line) for word in found], [name for _, name in missing]


def test_continued_lines_keep_the_line_of_each_word():
    text = "[Service]\nExecStart=/bin/x \\\n  --a=1 \\\n# a comment inside\n  --b=2\nType=notify\n"
    items = parse_unit(text, "x.service", [])
    assert [item.key for item in items] == ["ExecStart", "Type"]
    assert [(w.text, w.line) for w in split(items[0])] == [
        ("/bin/x", 2),
        ("--a=1", 3),
        ("--b=2", 5),
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/bin/x 'a b' \"c d\"", ["/bin/x", "a b", "c d"]),
        ('/bin/x --a="b c"', ["/bin/x", "--a=b c"]),
        (r"/bin/x a\x20b\ttab\\", ["/bin/x", "a b\ttab\\"]),
        # systemd warns of an escape that it does not know, and keeps it
        (r"/bin/x --accept=^127\.0$", ["/bin/x", r"--accept=^127\.0$"]),
        ("/bin/x ''", ["/bin/x", ""]),
    ],
)
def test_command_line_quotes_and_escapes_are_resolved(value, expected):
    assert [text for text, _ in words(f"[Service]\nExecStart={value}")[0]] == expected


def test_specifiers_and_variables_are_expanded():
    text = "[Service]\nExecStart=/bin/x --name=%H %n %i %p 100%% ${IP}:1 $MANY $$HOME"
    found, missing = words(text, IP="10.0.0.1", MANY="--c --d")
    assert [text for text, _ in found] == [
        "/bin/x",
        "--name=master",
        "x@one.service",
        "one",
        "x",
        "100%",
        "10.0.0.1:1",
        "--c",
        "--d",
        "$HOME",
    ]
    assert missing == []


def test_unset_variable_is_reported():
    assert words("[Service]\nExecStart=/bin/x ${A} $B")[1] == ["${A}", "$B"]


def test_empty_assignment_resets_earlier_values():
    unit = merge(
        "x.service",
        "x.service",
        [
            parse_unit("[Service]\nExecStart=/bin/old --a\nUser=a", "x.service", []),
            parse_unit("[Service]\nExecStart=\nExecStart=/bin/new\n", "10.conf", []),
        ],
    )
    [item] = unit.all("Service", "ExecStart")
    assert (item.value, item.path, item.line) == ("/bin/new", "10.conf", 3)
    user = unit.last("Service", "User")
    assert user is not None
    assert user.value == "a"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[Service]\nExecStart=/bin/x\n  --no-backslash-before\n", 3),
        ("Type=notify\n", 1),
        ("[Service\nType=notify\n", 1),
    ],
)
def test_broken_unit_names_file_and_line(text, line):
    with pytest.raises(ConfigError, match=rf"x\.service:{line}: .*\n  next: "):
        parse_unit(text, "x.service", [])


def test_open_quote_names_its_line():
    [item] = parse_unit("[Service]\nExecStart=/bin/x \\\n 'open\n", "x.service", [])
    with pytest.raises(ConfigError, match=r"x\.service:3: a quote"):
        split(item)


def test_environment_file_is_parsed_with_lines():
    text = "# c\nA=1\n\nB=\"two words\"\nC='x'\n"
    expected = {"A": ("1", 2), "B": ("two words", 4), "C": ("x", 5)}
    assert parse_environment(text, "e", []) == expected
    with pytest.raises(ConfigError, match="e:1"):
        parse_environment("export A\n", "e", [])


# systemd's src/test/test-env-file.c and src/basic/env-file.c
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('A="--a\n--b"\nB=1\n', "--a\n--b"),
        ("A='--a\n--b'\nB=1\n", "--a\n--b"),
        ("A=--a \\\n  --b\nB=1\n", "--a   --b"),
        ('A="--a" "--b"\n', "--a--b"),
        ('A=--a="b c"\n', '--a="b c"'),
        ('A="a\\"b\\$c\\d"\n', 'a"b$c\\d'),
        ("A = b \n", "b"),
        ("A=b # c\n", "b # c"),
        ("A=\n", ""),
    ],
)
def test_values_of_environment_files_are_read_as_systemd_reads_them(text, value):
    assert parse_environment(text, "e", [])["A"] == (value, 1)


def test_lines_that_systemd_ignores_are_collected():
    unknowns = Collected()
    text = "oops\nexport A=1\nB=2\n"
    assert parse_environment(text, "e", unknowns) == {"B": ("2", 3)}
    items = parse_unit("Type=x\n[Service]\noops\nType=notify\n", "u", unknowns)
    assert [item.value for item in items] == ["notify"]
    assert [it.line for it in unknowns] == [1, 2, 1, 3]


PIECES = st.sampled_from(
    [
        "[",
        "]",
        "[Service]",
        "\n",
        "ExecStart=",
        " ",
        "\\",
        "\\\n",
        "'",
        '"',
        "%H",
        "%",
        "$A",
        "${A}",
        "--x=y",
        "#",
        ";",
        "=",
        "\\x4",
        "\\x41",
        "\\777",
        "\r\n",
        "\u2028",
        "ä",
        "\x00",
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=80))
def test_any_text_is_read_or_refused(text):
    refusal = "x.service: was read"
    try:
        for item in parse_unit(text, "x.service", []):
            assert 1 <= item.line <= text.count("\n") + 1
            assert len(item.lines) == len(item.value)
            expand(split(item), "x.service", "master", {"A": "b"})
        parse_environment(text, "x.env", [])
    except ConfigError as error:
        refusal = str(error)
    assert refusal.startswith(("x.service:", "x.env:"))
