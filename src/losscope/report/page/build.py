"""Puts the sections together and fills the template.

The page is one file. Its content security policy allows nothing but its own style sheet and script, each
named by its hash; no attribute carries a style or a handler. Every text from outside (names of files,
layers, arguments, findings) is escaped by the template or by `losscope.report.charts.svg`.
"""

import base64
import hashlib
import re
from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined

from losscope.core.text import Language
from losscope.core.verdict import Verdict
from losscope.recording import signals
from losscope.recording.examination_file import read_examination
from losscope.recording.reader import Recording
from losscope.report.charts.svg import clean
from losscope.report.page.context import Context, prose
from losscope.report.page.curves import curve_figures
from losscope.report.page.findings import anchors, finding_views
from losscope.report.page.geometry import Geometry, geometry_view
from losscope.report.page.layers import layers_view
from losscope.report.page.objective import objective_view
from losscope.report.page.summary import counts, facts, hero
from losscope.report.page.timeline import timeline_view
from losscope.report.page.unseen import environment, unseen_groups
from losscope.report.view import folder_of, run_name
from losscope.rules.rule import all_rules


def page(verdict: Verdict, recording: Recording, language: Language = "en") -> str:
    """The whole HTML document."""
    context = Context(verdict, recording, language)
    style, script = asset("report.css"), asset("report.js")
    views = finding_views(context)
    verdict_json = clean(verdict.dumps(language))
    return clean(
        templates()
        .get_template("report.html.j2")
        .render(
            w=context.word,
            prose=prose,
            language={"en": "en", "zh": "zh-Hans"}[language],
            name=run_name(recording),
            version=verdict.losscope,
            policy=policy(style, script),
            style=style,
            script=script,
            hero=hero(context, anchors(views)),
            facts=facts(context),
            counts=counts(context),
            findings=views,
            timeline=timeline_view(context),
            objective=objective_view(context),
            figures=curve_figures(context),
            layers=layers_view(context),
            geometry=_geometry(context),
            passed=_passed(context),
            unseen=unseen_groups(context),
            environment=environment(context),
            verdict_json=verdict_json,
            verdict_data=for_script(verdict_json),
        )
    )


def _geometry(context: Context) -> Geometry | None:
    """The section of the examination that lies in the run folder; none for a run that was never examined."""
    rates = context.recording.labels(signals.LEARNING_RATE)
    series = context.series(signals.LEARNING_RATE, rates[0]) if rates else None
    used = float(series.values[-1]) if series is not None and len(series.values) else None
    document = read_examination(folder_of(context.recording))
    return geometry_view(document, context.language, context.identity, used)


def _passed(context: Context) -> list[tuple[str, str]]:
    """Code and title of every check that passed."""
    rules = all_rules()
    titles = {code: rule.title().render(context.language) for code, rule in rules.items()}
    return [(code, titles.get(code, "")) for code in context.verdict.passed]


def policy(style: str, script: str) -> str:
    """The content security policy: nothing from outside, and inside only these two texts."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def for_script(json_text: str) -> str:
    """JSON that may stand inside a script element: no tag can close it, no line separator break it."""
    escapes = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    return re.sub("[<>&\u2028\u2029]", lambda m: escapes[m[0]], json_text)


@cache
def asset(name: str) -> str:
    """A file of ``losscope/report/templates``, exactly as it will stand in the page."""
    path = resources.files("losscope.report") / "templates" / name
    return path.read_text(encoding="utf-8").strip()


@cache
def templates() -> Environment:
    environment = Environment(
        loader=FunctionLoader(asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clean"] = clean
    return environment
