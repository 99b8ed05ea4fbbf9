"""Faults of the optimiser and its settings.

After DeepCrime (HLR learning rate, OCH optimiser, OCG gradient clip, RAW/RCW regularisation), DeepFD (learning rate,
optimiser) and AutoTrainer (exploding gradient, oscillating loss, slow convergence).
"""

from edits import Change, after_optimizer, around_backward, chain, only, scaled, swap, unless

HIGH = ("learning-rate-too-high",)

CHANGES = (
    Change("learning rate times 100", HIGH, "DeepCrime HLR; DeepFD", unless("OneCycle", scaled("lr", 100))),
    Change("learning rate times 1000", HIGH, "DeepCrime HLR; DeepFD", unless("OneCycle", scaled("lr", 1000))),
    Change(
        "learning rate over 10000",
        ("learning-rate-too-low",),
        "DeepCrime HLR; AutoTrainer (slow convergence)",
        unless("OneCycle", scaled("lr", 1e-4)),
    ),
    Change(
        "SGD with the rate of Adam",
        ("learning-rate-too-low",),
        "DeepCrime OCH; DeepFD",
        swap(
            r"optim\.(?:Adam|AdamW|NAdam|RMSprop)\((\w+\.parameters\(\)), lr=[^\n]*\)$",
            r"optim.SGD(\1, lr=1e-4)",
        ),
    ),
    Change(
        "epoch schedule stepped per batch",
        ("schedule-broken",),
        "Humbatova et al. 2020, hyperparameters",
        unless(
            "scheduler",
            chain(
                after_optimizer("scheduler = torch.optim.lr_scheduler.StepLR({opt}, step_size=2, gamma=0.5)"),
                swap(r"^([ \t]*)optimizer\.step\(\)\n", r"\1optimizer.step()\n\1scheduler.step()\n"),
            ),
        ),
    ),
    Change(
        "cosine schedule stepped per batch",
        ("schedule-broken",),
        "Humbatova et al. 2020, hyperparameters",
        only(
            "CosineAnnealingLR",
            chain(
                swap(r"^    scheduler\.step\(\)\n", ""),
                swap(r"^([ \t]*)optimizer\.step\(\)\n", r"\1optimizer.step()\n\1scheduler.step()\n"),
            ),
        ),
    ),
    Change(
        "schedule that is zero at once",
        ("schedule-broken",),
        "Humbatova et al. 2020, hyperparameters",
        unless(
            "scheduler",
            chain(
                after_optimizer(
                    "scheduler = torch.optim.lr_scheduler.LambdaLR({opt}, lambda s: max(0.0, 1 - s / 10))"
                ),
                swap(r"^([ \t]*)optimizer\.step\(\)\n", r"\1optimizer.step()\n\1scheduler.step()\n"),
            ),
        ),
    ),
    Change(
        "clipped to almost nothing",
        ("clipping-dominates",),
        "DeepCrime OCG",
        only(
            r"optim\.SGD", around_backward(after="torch.nn.utils.clip_grad_norm_({model}.parameters(), 1e-5)")
        ),
    ),
    Change(
        "clipped before the backward pass",
        ("clip-has-no-effect",),
        "DeepCrime OCG; TrainCheck",
        unless(
            "clip_grad", around_backward(before="torch.nn.utils.clip_grad_norm_({model}.parameters(), 1.0)")
        ),
    ),
    Change(
        "momentum 0.999",
        ("momentum-too-high",),
        "DeepFD, optimiser",
        swap(r"momentum=0\.9\b", "momentum=0.999"),
    ),
    Change(
        "weight decay 10",
        ("weight-decay-dominates",),
        "DeepCrime RAW/RCW",
        chain(
            lambda t: swap(r", weight_decay=[^,)]*", "")(t) or t,
            swap(
                r"(optim\.(?:Adam|AdamW|SGD|NAdam|RMSprop|Adamax)\(\w+\.parameters\(\), )",
                r"\1weight_decay=10, ",
            ),
        ),
    ),
    Change(
        "weights in bfloat16 with a small rate",
        ("precision-stalled", "learning-rate-too-low"),
        "TrainCheck 2025 (precision)",
        unless(
            r"autocast|embed|Embedding",
            chain(
                after_optimizer("{model}.bfloat16()"),
                swap(r"^(for epoch in)", "torch.set_default_dtype(torch.bfloat16)\n\\1"),
                scaled("lr", 0.03),
                swap(r"(\b(?:model|net)\()(\w+)(\[\w+\])?\)", r"\1\2\3.bfloat16()).float()", 0),
            ),
        ),
    ),
)
