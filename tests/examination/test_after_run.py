"""The examination at the end of a run: of which parameters it speaks, what counts, and what is seen of it meanwhile."""

import io
import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope
from losscope.watching.progress_line import progress_line
from losscope.watching.voice import Voice


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch):
    """Other tests of this process may have compiled something."""
    monkeypatch.setattr("losscope.watching.keeper.compiled", lambda: False)


def examined(folder, kind="SGD", *, elsewhere=False, **settings):
    """The document of a run whose model is gone at its end, and the loss there over all data."""
    torch.manual_seed(0)
    x, y = torch.randn(32, 3), torch.randint(2, (32,))

    def main():
        model = nn.Linear(3, 2)
        optimizer = getattr(torch.optim, kind)(model.parameters(), lr=0.3, **settings)
        for step in range(60):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if elsewhere and step > 20:
                for p in model.parameters():
                    p.data = p.data.clone()
        with torch.no_grad():
            return float(F.cross_entropy(model(x), y))

    with losscope.watch(out=folder, examine=3, budget=100):
        loss = main()
        float(
            torch.linalg.norm(torch.randn(900, 900), 2)
        )  # an examination takes no longer than the script did
    return json.loads((folder / "examination.json").read_text()), loss


def said(document):
    return " ".join(text["en"] for text in document["objective"])


def value(document):
    return next(f["value"] for f in document["facts"] if f["look"] == "value")


def test_a_model_that_is_gone_is_examined_at_its_end(tmp_path):
    document, loss = examined(tmp_path / "run")
    assert "those at the end of the run" in said(document)
    assert value(document) == pytest.approx(loss, rel=1e-5)
    assert "At update" not in document["sentence"]


def test_an_earlier_update_is_named_in_the_first_sentence(tmp_path):
    document, _ = examined(tmp_path / "run", elsewhere=True)
    for language, words in {"en": "At update {} of 60", "zh": "（共 60 次），并非结束时"}.items():
        sentence = document["words"][language]["sentence"]
        assert words.partition("{}")[2] in sentence and words.partition("{}")[0] in sentence


def test_decay_counts_where_it_is_part_of_the_gradient(tmp_path):
    coupled, _ = examined(tmp_path / "adam", "Adam", weight_decay=0.02)
    assert "0.02 counts as a penalty" in said(coupled) and "left out" not in said(coupled)
    decoupled, loss = examined(tmp_path / "adamw", "AdamW", weight_decay=0.02)
    assert "0.02 is left out" in said(decoupled) and "counts" not in said(decoupled)
    assert value(decoupled) == pytest.approx(loss, rel=1e-5)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_terminal_shows_what_is_under_way_and_then_nothing(language):
    stream = Terminal()
    with progress_line(stream, 5, language) as progress:
        assert progress is not None
        progress(2, 11, "flatness")
    shown = stream.getvalue()
    assert "2/11" in shown and ("flatness" in shown) == (language == "en")
    assert shown.endswith("\r\x1b[K") and "\n" not in shown


@pytest.mark.parametrize(
    ("tty", "term", "quiet"), [(False, "xterm", ""), (True, "dumb", ""), (True, "xterm", "1")]
)
def test_what_is_no_terminal_is_left_alone(tty, term, quiet, monkeypatch):
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("LOSSCOPE_QUIET", quiet)
    monkeypatch.setattr("sys.stderr", Terminal() if tty else io.StringIO())
    assert Voice().terminal() is None
    with progress_line(None, 5, "en") as progress:
        assert progress is None
