"""Faults of modes, normalisation and of training several networks.

After TrainCheck 2025 (silent errors: modes), Humbatova et al. 2020 and DeepCrime (VRM, RCD).
"""

from edits import Change, chain, drop, only, swap

NORMALISED = r"BatchNorm|Dropout"

CHANGES = (
    Change(
        "no eval()",
        ("train-mode-in-evaluation",),
        "TrainCheck 2025",
        only(NORMALISED, drop(r"\w+\.eval\(\)")),
    ),
    Change(
        "no train()",
        ("eval-mode-in-training",),
        "TrainCheck 2025",
        only(NORMALISED, chain(swap(r"^(    )model\.train\(\)\n", ""), lambda t: t)),
    ),
    Change(
        "batches of one under batch normalisation",
        ("normalisation-broken",),
        "DeepCrime HBS",
        only(r"BatchNorm2d", swap(r"batch_size=64", "batch_size=1")),
    ),
    Change(
        "running statistics that never move",
        ("normalisation-broken",),
        "Humbatova et al. 2020, layer properties",
        swap(r"(BatchNorm\dd\(\w+)\)", r"\1, momentum=0.0)", 0),
    ),
    Change(
        "dropout of nearly all",
        ("learning-rate-too-low", "plateau-above-floor", "bad-initialisation"),
        "DeepCrime RCD",
        swap(r"Dropout\(0\.\d\)", "Dropout(0.98)"),
    ),
    Change(
        "discriminator far ahead",
        ("discriminator-wins",),
        "Humbatova et al. 2020, hyperparameters",
        chain(swap(r"(opt_g = .*lr=)2e-3", r"\g<1>1e-6"), lambda t: t),
    ),
    Change(
        "generator without its input",
        ("mode-collapse",),
        "Humbatova et al. 2020, model",
        swap(r"generator\(torch\.randn\((\d+), 4\)\)", r"generator(0 * torch.randn(\1, 4))", 0),
    ),
)
