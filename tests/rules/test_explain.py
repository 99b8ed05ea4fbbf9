"""``losscope explain``: every code, unknown codes, languages."""

import pytest
from click.testing import CliRunner

from losscope.cli.explain import command
from losscope.core.errors import BadUsage
from losscope.rules.rule import SECTIONS, all_rules


def run(*arguments):
    return CliRunner().invoke(command, list(arguments))


@pytest.mark.parametrize("code", sorted(all_rules()))
def test_every_code_has_a_page(code):
    told = run(code)
    assert told.exit_code == 0
    assert told.output.startswith(f"{code} (")
    assert all(f"{name}." in told.output for name in SECTIONS)
    assert "**" not in told.output and "``" not in told.output


def test_without_a_code_every_rule_is_listed():
    told = run("--lang", "zh")
    assert len(told.output.splitlines()) == len(all_rules())
    assert "损失发散" in told.output


def test_an_unknown_code_is_one_line_with_a_suggestion():
    told = run("double-sofmax")
    assert isinstance(told.exception, BadUsage)
    assert "did you mean double-softmax" in str(told.exception)
    assert "\n" not in str(told.exception)
