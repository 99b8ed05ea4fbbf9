"""Faults of data and labels.

After DeepCrime (TCL labels, TUD unbalanced, TAN noise, TCO overlap, TRD less data, HDB batching) and Humbatova et al.
2020 (training data quality, missing shuffle).
"""

from edits import BATCHES, Change, chain, either, in_batch, labels, only, swap

LABELS = "DeepCrime TCL"
QUALITY = "Humbatova et al. 2020, training data quality"

CLASSES = r"argmax\(1\)"
CHANGES = (
    Change("labels shuffled", ("labels-unrelated",), LABELS, labels("{y}[torch.randperm(len({y}))]")),
    Change("labels all the same", ("labels-constant",), LABELS, labels("torch.zeros_like({y})")),
    Change(
        "labels of the neighbour", ("labels-shifted", "labels-unrelated"), LABELS, labels("{y}.roll(1, 0)")
    ),
    Change(
        "half of the labels random",
        ("label-noise",),
        LABELS,
        only(CLASSES, labels("torch.where(torch.rand({y}.shape) < 0.5, {y}[torch.randperm(len({y}))], {y})")),
    ),
    Change(
        "one class in twenty kept",
        ("class-imbalance",),
        "DeepCrime TUD",
        only(
            CLASSES,
            either(
                swap(
                    r"^(loader = )",
                    "keep = (train_y == 0) | (torch.rand(len(train_y)) < 0.01)\ntrain_x, train_y = train_x[keep], train_y[keep]\n\\1",
                ),
                swap(
                    r"^(for epoch in range\(30\):)",
                    "train = train[(y[train] == 1) | (torch.arange(len(train)) % 20 == 0)]\n\\1",
                ),
            ),
        ),
    ),
    Change(
        "the same batch again and again",
        ("same-batch-repeated",),
        "Humbatova et al. 2020, training data quality; DeepCrime HDB",
        either(
            chain(
                swap(r"^(for epoch in)", "first = next(iter(LOADER))\n\\1"),
                in_batch("{x}, {y} = first"),
                lambda t: t.replace("LOADER", "train_loader" if "in train_loader" in t else "loader"),
            ),
            swap(BATCHES, lambda m: f"{m['i']}torch.manual_seed(0)\n{m[0]}"),
        ),
    ),
    Change(
        "sorted and not shuffled",
        ("data-not-shuffled",),
        QUALITY,
        either(
            chain(
                swap(
                    r"^(loader = )",
                    "by_class = train_y.argsort()\ntrain_x, train_y = train_x[by_class], train_y[by_class]\n\\1",
                ),
                swap("shuffle=True", "shuffle=False"),
            ),
            swap(
                r"shuffled = train\[torch\.randperm\(len\(train\)\)\]", "shuffled = train[y[train].argsort()]"
            ),
            swap(
                r"permutation = torch\.randperm\(len\(X_train\)\)",
                "permutation = y_train.flatten().argsort()",
            ),
        ),
    ),
    Change("inputs blank", ("input-has-no-effect",), QUALITY, in_batch("{x} = torch.zeros_like({x})")),
    Change(
        "inputs are noise",
        ("labels-unrelated", "input-has-no-effect"),
        "DeepCrime TAN",
        in_batch("{x} = torch.randn_like({x})"),
    ),
    Change(
        "targets of ten thousand",
        ("target-scale",),
        "Humbatova et al. 2020, preprocessing",
        only(
            r"MSELoss|HuberLoss|mse_loss",
            either(
                swap(r"\(ytr - mean\) / std", "ytr * 1000", 0),
                swap(r"\(y - y\.mean\(\)\) / y\.std\(\)", "y * 1000"),
                swap(r"^rating = 3 ", "rating = 30000 "),
            ),
        ),
    ),
    Change(
        "validation from the training set",
        ("leakage",),
        "DeepCrime TCO",
        either(
            swap(r"^test_x, test_y = .*", "test_x, test_y = train_x[:300], train_y[:300]"),
            swap(r"X\[1000:\], y\[1000:\]$", "X[:200], y[:200]"),
        ),
    ),
    Change(
        "target among the inputs",
        ("leakage",),
        QUALITY,
        either(
            swap(
                r"^(model = nn\.Sequential\(nn\.Linear\(10, 32)",
                "xtr, xte = torch.cat([xtr[:, 1:], ytr], 1), torch.cat([xte[:, 1:], yte], 1)\n\\1",
            ),
            swap(r"^(X_train, y_train)", "X[:, 9:] = y\n\\1"),
        ),
    ),
    Change(
        "forty samples, many epochs",
        ("overfitting", "memorising"),
        "DeepCrime TRD/HNE",
        either(
            chain(
                swap(r"^(loader = )", "train_x, train_y = train_x[:40], train_y[:40]\n\\1"),
                swap(
                    r"range\(15\)|epochs = 12", lambda m: "range(200)" if "range" in m[0] else "epochs = 200"
                ),
            ),
            chain(
                swap(
                    r"^(train_loader = DataLoader\(TensorDataset\(xtr)", "xtr, ytr = xtr[:40], ytr[:40]\n\\1"
                ),
                swap(r"range\(12\)", "range(250)"),
            ),
        ),
    ),
)
