"""Rows of shares: of what each of a few directions is made, as bars that add up to one."""

from collections.abc import Mapping, Sequence

from losscope.report.charts.svg import element, labelled, percent_of, text

_ROW = 26
_LEAST = 0.002  # thinner pieces are not drawn


def share_rows(
    identity: str, title: str, description: str, rows: Sequence[tuple[str, Mapping[str, float]]]
) -> tuple[str, list[str]]:
    """The drawing, and the names in the order of their shades (``q0`` … ``q6``); names beyond are not shaded."""
    totals: dict[str, float] = {}
    for _, shares in rows:
        for name, share in shares.items():
            totals[name] = totals.get(name, 0.0) + share
    order = sorted(totals, key=lambda name: -totals[name])[:7]
    shade = {name: f"q{6 - i}" for i, name in enumerate(order)}
    parts = []
    for number, (label, shares) in enumerate(rows):
        y, left = number * _ROW, 0.0
        for name in order:
            share = min(max(shares.get(name, 0.0), 0.0), 1.0 - left)
            if share >= _LEAST:
                words = element("title", text(f"{label}: {name} {100 * share:.0f} %"))
                x, width = percent_of(left), percent_of(share)
                parts.append(
                    element("rect", words, class_=shade[name], x=x, y=str(y + 12), width=width, height="10")
                )
            left += share
        parts.append(element("text", text(label), class_="tick start", x="0", y=str(y + 9)))
    drawn = labelled(
        identity, title, description, *parts, class_="plot", width="100%", height=str(len(rows) * _ROW + 4)
    )
    return drawn, order
