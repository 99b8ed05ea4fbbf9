"""``same-batch-repeated`` on real scripts: iterators that begin again, stale variables, and one batch on purpose."""

import textwrap

import pytest
from script_verdicts import complaints, verdict_of

SCRIPT = """
from torch.utils.data import DataLoader, TensorDataset
x = torch.randn(256, 8)
y = (x[:, 0] + x[:, 1] > 0).long()
loader = DataLoader(TensorDataset(x, y), BATCH)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
def update(a, b):
    loss = F.cross_entropy(model(a), b)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
BROKEN = {
    "an iterator made anew": """
        for step in range(100):
            update(*next(iter(loader)))
        """,
    "only the first batch of each pass": """
        for epoch in range(100):
            for a, b in loader:
                update(a, b)
                break
        """,
    "inputs from before the loop": """
        first, _ = next(iter(loader))
        for epoch in range(13):
            for a, b in loader:
                update(first, b)
        """,
    "targets from before the loop": """
        _, first = next(iter(loader))
        for epoch in range(13):
            for a, b in DataLoader(TensorDataset(torch.randn(256, 8), y), BATCH):
                update(a, first)
        """,
}
HEALTHY = {
    "iterated": """
        for epoch in range(15):
            for a, b in loader:
                update(a, b)
        """,
    "one batch as a check": """
        batch = next(iter(loader))
        for step in range(100):
            update(*batch)
        """,
    "the whole data at once": """
        for step in range(100):
            update(x, y)
        """,
    "a loader of one batch": """
        for epoch in range(100):
            for a, b in DataLoader(TensorDataset(x, y), 256, shuffle=True):
                update(a, b)
        """,
}


@pytest.mark.parametrize("case", BROKEN)
def test_the_same_batch_again_and_again(case, tmp_path):
    verdict = verdict_of(tmp_path, _script(case, BROKEN))
    assert complaints(verdict)[0] == "same-batch-repeated"
    assert verdict.findings[0].where is not None


@pytest.mark.parametrize("case", HEALTHY)
def test_batches_that_are_meant(case, tmp_path):
    assert complaints(verdict_of(tmp_path, _script(case, HEALTHY))) == []


def _script(case, cases):
    return SCRIPT.replace("BATCH", "32") + textwrap.dedent(cases[case]).replace("BATCH", "32")
