"""Changes after which a training is as healthy as before: the look-alikes of the faults."""

from edits import (
    Change,
    after_optimizer,
    around_backward,
    before_optimizer,
    chain,
    drop,
    either,
    labels,
    model_of,
    only,
    scaled,
    swap,
    unless,
)

ADAM = r"optim\.(?:Adam|NAdam|RMSprop|Adamax)\((\w+\.parameters\(\)), lr=[^\n]*\)$"


def harmless(name, edit):
    return Change(name, (), "", edit)


CHANGES = (
    harmless(
        "SGD with momentum",
        only(r"^(?:model|net|autoencoder|encoder) = ", swap(ADAM, r"optim.SGD(\1, lr=0.05, momentum=0.9)")),
    ),
    harmless("AdamW with decay", swap(ADAM, r"optim.AdamW(\1, lr=2e-3, weight_decay=0.05)")),
    harmless("RAdam", swap(ADAM, r"optim.RAdam(\1, lr=4e-3)")),
    harmless(
        "clipping that always acts",
        unless(
            "clip_grad", around_backward(after="torch.nn.utils.clip_grad_norm_({model}.parameters(), 0.1)")
        ),
    ),
    harmless(
        "clipping that rarely acts",
        unless(
            "clip_grad", around_backward(after="torch.nn.utils.clip_grad_norm_({model}.parameters(), 5.0)")
        ),
    ),
    harmless(
        "label smoothing",
        either(
            swap(r"nn\.CrossEntropyLoss\(\)", "nn.CrossEntropyLoss(label_smoothing=0.2)"),
            swap(r"(loss = F\.cross_entropy\([^+\n]*)\)$", r"\1, label_smoothing=0.1)"),
        ),
    ),
    harmless(
        "summed under Adam",
        only(
            "Adam|RMSprop|Adagrad",
            either(
                swap(r"(HuberLoss|MSELoss|CrossEntropyLoss|BCEWithLogitsLoss)\(\)", r'\1(reduction="sum")'),
                swap(r"(loss = F\.(?:cross_entropy|mse_loss)\([^+\n]*)\)$", r'\1, reduction="sum")'),
            ),
        ),
    ),
    harmless(
        "gradients accumulated",
        unless(
            "clip_grad|scheduler",
            chain(
                after_optimizer("updates = 0"),
                drop(r"optimizer\.zero_grad\("),
                around_backward(before="loss = loss / 2"),
                swap(
                    r"^([ \t]*)optimizer\.step\(\)\n",
                    r"\1updates += 1\n\1if updates % 2 == 0:\n\1    optimizer.step()\n\1    optimizer.zero_grad()\n",
                ),
            ),
        ),
    ),
    harmless(
        "cosine restarts",
        unless(
            "scheduler",
            chain(
                after_optimizer(
                    "scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts({opt}, 60)"
                ),
                swap(r"^([ \t]*)optimizer\.step\(\)\n", r"\1optimizer.step()\n\1scheduler.step()\n"),
            ),
        ),
    ),
    harmless(
        "warm-up from zero",
        unless(
            "scheduler",
            chain(
                after_optimizer(
                    "scheduler = torch.optim.lr_scheduler.LambdaLR({opt}, lambda s: min(1.0, s / 40))"
                ),
                swap(r"^([ \t]*)optimizer\.step\(\)\n", r"\1optimizer.step()\n\1scheduler.step()\n"),
            ),
        ),
    ),
    harmless(
        "rate halved each epoch quarter",
        unless(
            "scheduler",
            chain(
                after_optimizer(
                    "scheduler = torch.optim.lr_scheduler.StepLR({opt}, step_size=150, gamma=0.5)"
                ),
                swap(r"^([ \t]*)optimizer\.step\(\)\n", r"\1optimizer.step()\n\1scheduler.step()\n"),
            ),
        ),
    ),
    harmless(
        "zero_grad of the module",
        swap(
            r"^([ \t]*)optimizer\.zero_grad\(.*\)\n",
            r"\1for p in optimizer.param_groups[0]['params']:\n\1    p.grad = None\n",
        ),
    ),
    harmless(
        "zero_grad after the step",
        chain(
            drop(r"optimizer\.zero_grad\("),
            swap(
                r"^([ \t]*)optimizer\.step\(\)\n",
                r"\1optimizer.step()\n\1optimizer.zero_grad(set_to_none=False)\n",
            ),
        ),
    ),
    harmless("half the learning rate", unless("OneCycle", scaled("lr", 0.5))),
    harmless("twice the learning rate", unless("OneCycle", scaled("lr", 2))),
    harmless("batches of 16", swap(r"batch_size=\d+", "batch_size=16")),
    harmless("batches of 128", swap(r"batch_size=\d+", "batch_size=128")),
    harmless(
        "another activation",
        either(
            swap(r"nn\.ReLU\(\)", "nn.SiLU()", 0),
            swap(r"torch\.tanh\(", "torch.relu(", 0),
            swap(r"nn\.Tanh\(", "nn.ELU(", 0),
        ),
    ),
    harmless(
        "more dropout",
        either(
            swap(r"Dropout\(0\.\d\)", "Dropout(0.4)"),
            swap(
                r"nn\.ReLU\(\), nn\.Linear\((\d+), (\d+)\)\)$",
                r"nn.ReLU(), nn.Dropout(0.3), nn.Linear(\1, \2))",
            ),
        ),
    ),
    harmless(
        "orthogonal weights",
        before_optimizer(
            "for p in {model}.parameters():\n    if p.dim() > 1:\n        torch.nn.init.orthogonal_(p)"
        ),
    ),
    harmless(
        "a small penalty written by hand",
        around_backward(before="loss = loss + 1e-4 * sum(p.pow(2).sum() for p in {model}.parameters())"),
    ),
    harmless(
        "double precision",
        unless(
            r"autocast|argparse",
            lambda t: t.replace(
                "\ntorch.manual_seed", "\ntorch.set_default_dtype(torch.float64)\ntorch.manual_seed", 1
            ).replace("torch.float32", "torch.float64"),
        ),
    ),
    harmless(
        "half of the epochs",
        swap(
            r"(^for (?:epoch|step|it|iteration|episode) in range\(|^epochs = |^steps = )(\d{2,})",
            lambda m: m[1] + str(int(m[2]) // 2),
        ),
    ),
    harmless(
        "another seed",
        swap(r"torch\.manual_seed\((\d+)\)", lambda m: f"torch.manual_seed({int(m[1]) + 100})"),
    ),
    harmless(
        "a mean of weights beside",
        chain(
            after_optimizer("averaged = torch.optim.swa_utils.AveragedModel({model})"),
            lambda t: swap(
                r"^([ \t]*)optimizer\.step\(\)\n",
                rf"\1optimizer.step()\n\1averaged.update_parameters({model_of(t)})\n",
            )(t),
        ),
    ),
    harmless(
        "some labels wrong",
        labels("torch.where(torch.rand({y}.shape) < 0.05, {y}[torch.randperm(len({y}))], {y})"),
    ),
)
