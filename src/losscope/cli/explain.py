"""Explain a code of a finding: what it says, how it is measured, an example, the remedy, false alarms."""

from difflib import get_close_matches

import click

from losscope.cli.docstring import plain
from losscope.core.errors import BadUsage


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
    click.echo(plain(documentation(code).partition("\n")[2].strip()))
    if rule.consequences:
        click.echo(f"\nExplains: {', '.join(rule.consequences)}")
