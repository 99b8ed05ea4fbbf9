"""Faults of the loss and of what stands before it.

After Humbatova et al. 2020 (taxonomy: *loss function*, *wrong type of activation function*, *wrong tensor shape*),
DeepCrime (LCH: change of the loss; ACH, ARM, AAL: activations), DeepFD (loss, activation) and DEFault.
"""

from edits import Change, around_backward, chain, either, only, scaled, swap, unless

TAXONOMY = "Humbatova et al. 2020, loss function / activation"
SHAPE = "Humbatova et al. 2020, wrong tensor shape"
CROSS_ENTROPY = r"cross_entropy\(|CrossEntropyLoss"

_last_layer = either(
    swap(r"return (self\.(?:head|fc|out|output|classifier)\(.*\))$", r"return \1ACT"),
    swap(r"^(\w*(?:model|net|encoder) = nn\.Sequential\(.*\))\)$", r"\1, MODULE)"),
)


def _ending(method: str, module: str):
    return chain(_last_layer, either(swap(r"ACT$", method), swap(r"MODULE", module)))


CHANGES = (
    Change(
        "softmax before cross-entropy",
        ("double-softmax",),
        "DeepCrime AAL; Humbatova et al. 2020",
        only(
            CROSS_ENTROPY, unless(r"temperature|binary_cross", _ending(".softmax(-1)", "nn.Softmax(dim=-1)"))
        ),
    ),
    Change(
        "sigmoid before BCE with logits",
        ("sigmoid-before-logits-loss",),
        "DeepCrime AAL",
        either(
            only("BCEWithLogitsLoss", _ending(".sigmoid()", "nn.Sigmoid()")),
            swap(r"(scores = model\(.*\))$", r"\1.sigmoid()"),
        ),
    ),
    Change(
        "NLL of raw scores",
        ("missing-activation",),
        "DeepCrime ARM; Humbatova et al. 2020",
        swap(r"torch\.log_softmax\((.*), dim=1\)", r"\1"),
    ),
    Change(
        "NLL of probabilities",
        ("missing-activation",),
        TAXONOMY,
        swap(r"torch\.log_softmax", "torch.softmax"),
    ),
    Change(
        "softmax over the batch",
        ("wrong-softmax-dimension",),
        SHAPE,
        swap(r"log_softmax\((.*), dim=1\)", r"log_softmax(\1, dim=0)"),
    ),
    Change(
        "ReLU at the output of a regression",
        ("activation-before-loss",),
        "DeepCrime ACH/AAL",
        only(
            r"MSELoss|HuberLoss",
            unless(
                "autoencoder",
                either(
                    swap(r"^(model = nn\.Sequential\(.*)\)$", r"\1, nn.ReLU())"),
                    swap(r"return self\.fc3\(x\)", "return torch.relu(self.fc3(x))"),
                ),
            ),
        ),
    ),
    Change(
        "sigmoid at the output of a regression",
        ("activation-before-loss",),
        "DeepCrime ACH/AAL",
        only(
            r"MSELoss|HuberLoss",
            unless(
                "autoencoder",
                either(
                    swap(r"^(model = nn\.Sequential\(.*)\)$", r"\1, nn.Sigmoid())"),
                    swap(r"return self\.fc3\(x\)", "return torch.sigmoid(self.fc3(x))"),
                ),
            ),
        ),
    ),
    Change(
        "target without its column",
        ("shape-broadcast",),
        SHAPE,
        either(
            chain(swap(r"\.unsqueeze\(1\)$", "", 0), only("load_diabetes", lambda t: t)),
            swap(r"(y = torch\.tensor\(\(y - .*)\[:, None\]$", r"\1"),
            swap(r"\.gather\(1, ac\[:, None\]\)\.squeeze\(1\)", ".gather(1, ac[:, None])"),
            swap(r"\(u\)\[:, 0\] \+ self\.item_bias\(i\)\[:, 0\]", "(u) + self.item_bias(i)"),
        ),
    ),
    Change("sign of the loss", ("wrong-sign",), TAXONOMY, around_backward(before="loss = -loss")),
    Change("sign of one term", ("wrong-sign",), TAXONOMY, swap(r"kl = -0\.5", "kl = 0.5")),
    Change(
        "summed loss under SGD",
        ("wrong-reduction", "learning-rate-too-high"),
        TAXONOMY,
        only(
            r"optim\.SGD",
            either(
                swap(r"CrossEntropyLoss\(", 'CrossEntropyLoss(reduction="sum", '),
                swap(r"(HuberLoss|MSELoss)\(\)", r'\1(reduction="sum")'),
            ),
        ),
    ),
    Change(
        "penalty that drowns the loss",
        ("penalty-dominates",),
        "DeepCrime RAW",
        around_backward(before="loss = loss + 10.0 * sum(p.pow(2).sum() for p in {model}.parameters())"),
    ),
    Change(
        "term weighed 1000 times",
        ("posterior-collapse", "penalty-dominates"),
        TAXONOMY,
        swap("beta = 1.0", "beta = 1000.0"),
    ),
    Change(
        "mean squared error against class numbers",
        ("shape-broadcast", "loss-task-mismatch"),
        "DeepCrime LCH; DeepFD",
        either(
            swap(r"loss = F\.cross_entropy\((.*), yb\)", r"loss = F.mse_loss(\1, yb.unsqueeze(1).float())"),
            swap(
                r"loss = criterion\((logits), yb\)",
                r"loss = nn.functional.mse_loss(\1, yb.unsqueeze(1).float())",
            ),
        ),
    ),
    Change(
        "cross-entropy of one column",
        ("loss-task-mismatch", "suspiciously-low-loss"),
        "DeepCrime LCH; DeepFD",
        either(
            chain(
                swap("nn.BCEWithLogitsLoss", "nn.CrossEntropyLoss"),
                only("cancer", swap(r"logits = model\(features\)\.squeeze\(1\)", "logits = model(features)")),
                swap(r"criterion\(logits, label\)", "criterion(logits, label[:, None])"),
            ),
            swap(
                r"F\.binary_cross_entropy_with_logits\(scores, (\w+)\)",
                r"F.cross_entropy(scores[:, None], \1[:, None])",
                0,
            ),
        ),
    ),
    Change(
        "logarithm of probabilities that are zero",
        ("non-finite",),
        "AutoTrainer 2021 (NaN); Humbatova et al. 2020",
        swap(r"torch\.log_softmax\((.*), dim=1\)", r"torch.log(torch.softmax(100 * \1, dim=1))"),
    ),
    Change(
        "temperature of 100",
        ("loss-at-chance", "learning-rate-too-low", "vanishing-gradient"),
        "DeepCrime LCH",
        scaled("temperature", 500),
    ),
)
