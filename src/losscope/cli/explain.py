"""Explain a code of a finding: what it says, how it is measured, an example, the remedy, false alarms."""

import sys
from difflib import get_close_matches

import click

from losscope.core.errors import BadUsage
from losscope.report.stream import wants_colour


@click.command(name="explain")
@click.argument("code", required=False)
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", help="Language of the title.")
def command(code: str | None, lang: str) -> None:
    """Explain a code of a finding: what it says, how it is measured, an example, the remedy, false alarms.

    Without CODE, every code is listed with its title.

    \b
    losscope explain
    losscope explain double-softmax
    """
    from losscope.rules.rule import all_rules, documentation

    rules = all_rules()
    if code is None:
        width = max(map(len, rules))
        for name, rule in rules.items():
            click.echo(
                f"{name:<{width}}  {rule.severity:<7}  {rule.title().render('zh' if lang == 'zh' else 'en')}"
            )
        return
    if code not in rules:
        near = get_close_matches(code.lower().replace("_", "-").replace(" ", "-"), rules, n=3)
        remedy = f"did you mean {', '.join(near)}?" if near else "`losscope explain` lists every code"
        raise BadUsage("no rule has this code", seen=code, remedy=remedy)
    rule = rules[code]
    click.echo(f"{code} ({rule.severity}): {rule.title().render('zh' if lang == 'zh' else 'en')}\n")
    click.echo(_plain(documentation(code)))
    if rule.consequences:
        click.echo(f"\nExplains: {', '.join(rule.consequences)}")


def _plain(text: str) -> str:
    """The docstring without its inline markup, as the terminal shows it."""
    body = text.partition("\n")[2].strip()
    bold = "\033[1m{}\033[0m" if wants_colour(sys.stdout) else "{}"
    pieces = body.replace("``", "`").split("**")
    return "".join(bold.format(piece) if index % 2 else piece for index, piece in enumerate(pieces))
