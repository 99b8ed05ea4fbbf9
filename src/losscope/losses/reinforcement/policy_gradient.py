"""Policy-gradient surrogate -mean(ln π(a) · A): log-probabilities of taken actions times advantages.

Its gradient is the policy gradient; its value means nothing, since the advantages change with the
policy. It is told from a weighted cross-entropy by weights of both signs, or by per-step weights on the
form that ``torch.distributions`` makes.
"""

import math
from dataclasses import replace

from losscope.losses.classification.class_forms import has_advantages, picked_log_probabilities
from losscope.losses.graph.part import Part
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _match(part: Part) -> Reading | None:
    reading = picked_log_probabilities(part)
    if reading is None or not has_advantages(part.weights, reading):
        return None
    options = {"num_classes": reading.options["num_classes"], "target": "class"}
    return replace(reading, options=options, notes=())


SPEC = LossSpec(
    name="policy_gradient",
    title="policy-gradient surrogate",
    family="reinforcement",
    task="reinforcement",
    formula=r"-A\ln\pi(a)",
    input_space="logits",
    range=(-math.inf, math.inf),
    value_is_progress=False,
    signatures=(Signature(("Gather", "Index"), _match),),
    references=("https://doi.org/10.1007/BF00992696",),
    examples=(
        Example(
            "-(torch.distributions.Categorical(logits=x).log_prob(y) * a).mean()",
            "-(x.log_softmax(1).gather(1, y[:, None])[:, 0] * a).mean()",
        ),
    ),
    twins=(Twin("-torch.distributions.Categorical(logits=x).log_prob(y).mean()", "cross_entropy"),),
)
