"""``report.html``: one self-contained file, in the order of the design: verdict, facts, findings, curves …"""

from losscope.report.format import Format
from losscope.report.page.build import page

FORMAT = Format("html", ".html", page, filename="report.html")
