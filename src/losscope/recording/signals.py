"""The names under which probes record and rules read. Probes and rules meet only here.

A *series* is a signal and a label: ``GRADIENT_NORM_PARAMETER`` with the label ``"fc1.weight"``.
A series is a list of ``(step, value)``; ``step`` counts updates of the main objective from 0.

A *stream* is one objective being minimised by one optimiser (or by hand). Most scripts have the
stream ``"0"``; a GAN has two. Labels of several parts are joined by ``/``: ``"0/1"`` is term 1 of
stream 0.
"""

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Signal:
    """A named measured quantity. ``label`` says what the label of its series stands for."""

    name: str
    unit: str
    label: str
    help: str


# --- every update ---------------------------------------------------------------------------------
LOSS = Signal("loss", "loss", "stream", "sum of the backward roots of one update, loss scale removed")
STEP_TIME = Signal("step.time", "s", "stream", "seconds since the run began, at each update")
BACKWARDS = Signal("step.backwards", "1", "stream", "backward passes in one update, where not 1")
STALE_GRADIENT = Signal(
    "gradient.stale",
    "1",
    "stream",
    "1 where the last update's gradient was still in place at the next backward",
)
EMPTY_STEP = Signal(
    "step.empty",
    "updates",
    "stream/kind",
    "an update without a new gradient (kind: repeated, none or cleared); the value is how many were looked at so far",
)
OPTIMIZER_LIFE = Signal(
    "optimizer.life",
    "updates",
    "stream",
    "updates of an optimiser object whose state was lost to a new one over the same parameters, at the first of that",
)
RETURNED = Signal(
    "parameter.returned",
    "updates",
    "stream",
    "updates that were thrown away, where something wrote an earlier state of the parameters back",
)
OVERWRITTEN = Signal(
    "parameter.overwritten",
    "1",
    "stream",
    "distance of what something else wrote from the way that the updates had gone since, by the length of that way",
)
LEARNING_RATE = Signal("learning_rate", "1", "stream/group", "learning rate of a parameter group, on change")
SCHEDULER_STEPS = Signal(
    "scheduler.steps", "1", "stream/scheduler", "steps that a learning-rate scheduler has made so far"
)
CLIP_NORM = Signal("clip.norm", "1", "stream", "total gradient norm that a clipping call found")
CLIP_LIMIT = Signal("clip.limit", "1", "stream", "the limit given to that call")
CLIP_STATE = Signal(
    "clip.state",
    "1",
    "stream",
    "clipping: 0 in order, 1 no backward since the last update, 2 parameters of no optimiser, 3 scaled gradients",
)
LOSS_SCALE = Signal(
    "loss.scale", "1", "stream", "GradScaler's factor, on change; steps count the backwards that were scaled"
)
SCALE_LEFT = Signal(
    "loss.scale.left",
    "1",
    "stream/moment",
    "how many times too large a gradient still was by the loss scale, at a step or at a clipping call",
)
EPOCH = Signal("epoch", "1", "", "index of the pass over the training loader that begins at this step")
# --- sampled updates ------------------------------------------------------------------------------
TERM_VALUE = Signal(
    "term.value", "loss", "stream/term", "value of one term of the objective, without coefficient"
)
TERM_CHANCE = Signal(
    "term.chance", "loss", "stream/term", "loss of the best constant predictor for the targets seen so far"
)
TERM_CHANCE_ERROR = Signal("term.chance.error", "loss", "stream/term", "standard error of that chance level")
TERM_FLOOR = Signal(
    "term.floor", "loss", "stream/term", "smallest value this term can take with these options"
)
PREDICTION_MEAN = Signal("prediction.mean", "1", "stream/term", "mean of the prediction")
PREDICTION_STD = Signal("prediction.std", "1", "stream/term", "standard deviation of the prediction")
PREDICTION_MIN = Signal("prediction.min", "1", "stream/term", "smallest element of the prediction")
PREDICTION_MAX = Signal("prediction.max", "1", "stream/term", "largest element of the prediction")
TARGET_MEAN = Signal("target.mean", "1", "stream/term", "mean of the target")
TARGET_STD = Signal("target.std", "1", "stream/term", "standard deviation of the target")
TARGET_MIN = Signal("target.min", "1", "stream/term", "smallest element of the target")
TARGET_MAX = Signal("target.max", "1", "stream/term", "largest element of the target")
TARGET_BEYOND = Signal(
    "target.beyond", "1", "stream/term", "share of targets outside the range of the model's last activation"
)
TARGET_BEYOND_VARIANCE = Signal(
    "target.beyond.variance",
    "1",
    "stream/term",
    "mean squared distance of the targets to that range, by the variance of the targets",
)
ACCURACY = Signal("accuracy", "1", "stream/term", "share of samples whose largest output is the target class")
BATCH_SIZE = Signal("batch.size", "1", "stream/term", "samples in the term's target")
GRADIENT_NORM = Signal("gradient.norm", "1", "stream", "2-norm of the gradient that the update used")
GRADIENT_NORM_PARAMETER = Signal(
    "gradient.norm.parameter", "1", "parameter", "2-norm of one parameter's gradient"
)
PARAMETER_NORM = Signal("parameter.norm", "1", "parameter", "2-norm of one parameter, before the update")
UPDATE_NORM_PARAMETER = Signal("update.norm.parameter", "1", "parameter", "2-norm of one parameter's change")
UPDATE_RATIO = Signal("update.ratio", "1", "stream", "‖Δθ‖/‖θ‖ over all parameters that the update changed")
PROMISED_FALL = Signal(
    "update.promise",
    "loss",
    "stream",
    "−⟨g, Δθ⟩: by how much the update lowers the loss if that goes on at the slope of the gradient",
)
UNDONE_SHARE = Signal(
    "update.undone",
    "1",
    "stream",
    "share of an update that something had taken back before the next one: 1 means all of it",
)
STALLED_SHARE = Signal(
    "update.stalled",
    "1",
    "stream",
    "of the entries of bf16 and fp16 parameters that have a gradient, the share unmoved since the sample before",
)
RADIAL_GAIN = Signal(
    "gradient.radial",
    "loss",
    "stream",
    "−⟨g, θ⟩: fall of the loss per relative growth of all weight matrices",
)
ALIGNMENT = Signal(
    "gradient.alignment",
    "1",
    "stream",
    "cosine between the gradients of two successive updates; -1 means zig-zag",
)
# --- evaluation -----------------------------------------------------------------------------------
EVALUATION_LOSS = Signal("evaluation.loss", "loss", "evaluation", "mean loss of one evaluation pass")
EVALUATION_COUNT = Signal("evaluation.count", "1", "evaluation", "samples in that pass")
EVALUATION_ACCURACY = Signal("evaluation.accuracy", "1", "evaluation", "accuracy of that pass")
# --- the watch itself -----------------------------------------------------------------------------
WATCH_SECONDS = Signal(
    "watch.seconds", "s", "", "seconds that the watch has cost so far, all its work counted"
)


@cache
def all_signals() -> dict[str, Signal]:
    """Every signal by name."""
    return {s.name: s for s in globals().values() if isinstance(s, Signal)}
