"""What `pipelines search` makes of its arguments, before anything is asked for."""

import json

import pytest
from typer.testing import CliRunner

from pipelines_persistence.cli import app
from pipelines_persistence.cli.indexes import _condition
from pipelines_persistence.errors import ConfigurationError


@pytest.fixture
def complaint(tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def complaint(*arguments):
        result = CliRunner().invoke(app, ["search", *arguments, "--json"])
        assert result.exit_code == 2, result.output
        error = json.loads(result.stdout.splitlines()[-1])["error"]
        assert error["type"] == "ConfigurationError"
        return error["message"]

    return complaint


@pytest.mark.parametrize("question", ["", "   ", "\t\n"])
def test_an_empty_question_is_refused(complaint, question):
    assert "the question is empty" in complaint(question)


@pytest.mark.parametrize("levels", [60, 300, 3000])
def test_a_filter_that_nests_too_deep_is_refused_whoever_would_have_walked_over_it(complaint, levels):
    text = '{"must":[' * levels + "]}" * levels
    assert "deeper than 24 levels" in complaint("x", "--filter", text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--where", "a[=x"], "--where a[=x: 'a[' is no key"),
        (["--where", "a..b=x"], "'a..b' is no key"),
        (["--where", 'a b "q" ü=1'], "'a b \"q\" ü' is no key"),
        (
            ["--filter", '{"must":[{"key":"a b \\"q\\"","is_null":true}]}'],
            "--filter: must[0].key: 'a b \"q\"' is no key",
        ),
        (["--where", "ok=True"], "write ok=true for the truth, or ok='\"True\"' for the text"),
        (["--where", "ok= FALSE"], "write ok=false for the truth"),
        (["--where", "ok=None"], '"is_null": {"key": "ok"}'),
        (["--where", "ok=null"], '"is_null": {"key": "ok"}'),
    ],
)
def test_what_would_find_nothing_without_a_word_is_refused(complaint, arguments, words):
    assert words in complaint("question", *arguments)


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("a=true", True),
        ('a="True"', "True"),
        ("a=truth", "truth"),
        ("a=3", 3),
        ("a=1.5", 1.5),
        ("a=", ""),
        ("a=x=y", "x=y"),
        ("a=" + "[" * 5000, "[" * 5000),
    ],
)
def test_values_are_typed(item, value):
    assert _condition(item) == ("a", value)
    assert type(_condition(item)[1]) is type(value)


def test_an_integer_that_no_store_holds_is_refused():
    with pytest.raises(ConfigurationError, match="64 bits"):
        _condition(f"a={2**63}")
