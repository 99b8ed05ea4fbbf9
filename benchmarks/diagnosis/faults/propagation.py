"""Faults of initialisation, activations and inputs.

After AutoTrainer (vanishing and exploding gradient, dying ReLU), DeepCrime (WCI initialisation, WRB bias, ACH
activation) and Humbatova et al. 2020 (missing preprocessing).
"""

from edits import Change, before_optimizer, chain, either, swap, unless

INIT = "DeepCrime WCI"
PREPROCESSING = "Humbatova et al. 2020, preprocessing of training data"


def _each(line: str, condition: str = "p.dim() > 1"):
    return before_optimizer(f"for p in {{model}}.parameters():\n    if {condition}:\n        {line}")


CHANGES = (
    Change("all weights zero", ("bad-initialisation",), INIT, _each("torch.nn.init.zeros_(p)", "True")),
    Change("all weights equal", ("bad-initialisation",), INIT, _each("torch.nn.init.constant_(p, 0.05)")),
    Change(
        "weights too large",
        ("bad-initialisation", "saturated-units", "exploding-gradient"),
        INIT,
        _each("torch.nn.init.normal_(p, std=3.0)"),
    ),
    Change(
        "weights too small",
        ("bad-initialisation", "vanishing-gradient"),
        INIT,
        _each("torch.nn.init.normal_(p, std=1e-4)"),
    ),
    Change(
        "units dead from the start",
        ("dead-units",),
        "AutoTrainer (dying ReLU)",
        unless(
            r"LSTM|GRU|LayerNorm|Tanh|tanh|sigmoid\(",
            _each("torch.nn.init.constant_(p, -20.0)", "p.dim() == 1 and len(p) > 12"),
        ),
    ),
    Change(
        "deep sigmoid network",
        ("vanishing-gradient",),
        "AutoTrainer (vanishing gradient); DeepCrime ACH",
        either(
            chain(
                swap(r"nn\.ReLU\(\)", "nn.Sigmoid()", 0),
                swap(
                    r"nn\.Linear\(64, 64\), nn\.Sigmoid\(\)",
                    "*[m for _ in range(8) for m in (nn.Linear(64, 64), nn.Sigmoid())]",
                ),
            ),
            chain(
                swap(r"nn\.ReLU\(\)", "nn.Sigmoid()", 0),
                swap(
                    r"nn\.Linear\(10, 32\), nn\.Sigmoid\(\)",
                    "nn.Linear(10, 32), nn.Sigmoid(), *[m for _ in range(8) for m in (nn.Linear(32, 32), nn.Sigmoid())]",
                ),
            ),
            chain(
                swap(
                    r"torch\.tanh\(self\.fc2\(x\)\)",
                    "torch.sigmoid(self.fc2(torch.sigmoid(self.fc2(torch.sigmoid(self.fc2(torch.sigmoid(self.fc2(torch.sigmoid(self.fc2(torch.sigmoid(self.fc2(x))))))))))))",
                )
            ),
        ),
    ),
    Change(
        "inputs of a thousand",
        ("unnormalised-input",),
        PREPROCESSING,
        either(
            swap(r"dtype=torch\.float32\) / 16", "dtype=torch.float32) * 100", 0),
            swap(r"view\(-1, 1, side, side\) / 255", "view(-1, 1, side, side) * 20"),
            swap(
                r"^X = torch\.tensor\(X, dtype=torch\.float32\) \* 2 - 1",
                "X = torch.tensor(X, dtype=torch.float32) * 1000",
            ),
        ),
    ),
    Change(
        "inputs far from zero",
        ("unnormalised-input",),
        PREPROCESSING,
        either(
            swap(r"dtype=torch\.float32\) / 16", "dtype=torch.float32) / 16 + 300", 0),
            swap(r"images = \(images - images\.mean\(\)\) / images\.std\(\)", "images = images + 1000"),
        ),
    ),
    Change(
        "features not standardised",
        ("unnormalised-input",),
        PREPROCESSING,
        either(
            swap(r"^        x = \(x - x\.mean\(0\)\) / x\.std\(0\)\n", ""),
            swap(r"\(X - X\.mean\(0\)\) / X\.std\(0\)", "X"),
            swap(r"scaler\.transform\((\w+)\)", r"(\1 * 3000 + 500)", 0),
        ),
    ),
)
