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
TERM_COEFFICIENT = Signal(
    "term.coefficient", "1", "stream/term", "what one term of the objective is multiplied by"
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
PREDICTION_VARIATION = Signal(
    "prediction.variation",
    "1",
    "stream/term",
    "standard deviation of the prediction between samples, by its root mean square; 0: one answer for all samples",
)
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
PADDING_SHARE = Signal(
    "target.padding",
    "1",
    "stream/term",
    "share of class targets that fill the ends of sequences, all with one class that stands nowhere else; 0 without",
)
PADDING_CLASS = Signal(
    "target.padding.class", "1", "stream/term", "the class that fills the ends of sequences"
)
INPUT_PRINT = Signal(
    "input.print", "1", "stream", "fingerprint of what enters the first layers: equal for equal batches"
)
TARGET_PRINT = Signal(
    "target.print", "1", "stream/term", "fingerprint of the targets: equal for equal batches"
)
INPUT_SPREAD = Signal(
    "input.spread",
    "1",
    "stream",
    "largest difference of two inputs, by the largest, where inputs and targets are as many",
)
PREDICTION_SPREAD = Signal(
    "prediction.spread",
    "1",
    "stream/term",
    "largest difference between the predictions for two samples, by the largest prediction",
)
PREDICTION_TOP = Signal(
    "prediction.top", "1", "stream/term", "share of the class that is predicted most often"
)
TARGET_CLASS = Signal(
    "target.class", "samples", "stream/term/class", "targets of one class, modulo 32, in a batch"
)
PAIRING = Signal(
    "pairing",
    "1",
    "stream/term",
    "how much better predictions fit their own targets than permuted ones, in standard errors of permutations",
)
PAIRING_GAIN = Signal(
    "pairing.gain", "1", "stream/term", "that advantage by what is there to gain from targets"
)
TARGET_SHIFT = Signal(
    "target.shift", "1", "stream/term", "positions by which targets are input tokens moved on; -1 none"
)
TARGET_COLUMN = Signal(
    "target.column", "1", "stream/term", "column of the input that tells the target; -1 none"
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
UPDATE_ALONG = Signal(
    "update.along",
    "1",
    "stream",
    "cosine between an update and the gradient before it: -1 in gradient descent, positive where the update climbs",
)
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
UNITS_DEAD = Signal(
    "units.dead",
    "1",
    "parameter",
    "share of the units of a ReLU layer that were 0 for all samples, without a gradient, at three samples in a row",
)
UNITS_SATURATED = Signal(
    "units.saturated",
    "1",
    "parameter",
    "share of the units of a tanh or sigmoid layer whose derivative is near 0 for nearly all samples",
)
UNITS_ALIKE = Signal(
    "units.alike",
    "1",
    "parameter",
    "distance of the rows of a weight matrix from their mean, by the norm of the matrix; 0 means identical units",
)
LAYER_INPUT = Signal(
    "layer.input", "1", "parameter", "root mean square of what a layer's weight is applied to"
)
LAYER_GAIN = Signal(
    "layer.gain", "1", "parameter", "root mean square over the units of the norm of their weights"
)
INPUT_LARGEST = Signal(
    "input.largest", "1", "parameter", "largest root mean square of a feature of the data input"
)
INPUT_SMALLEST = Signal(
    "input.smallest", "1", "parameter", "the same, the smallest of the features that vary"
)
INPUT_OFFSET = Signal(
    "input.offset",
    "1",
    "parameter",
    "median over the features of the data input of |mean| by standard deviation",
)
NORM_SAMPLES = Signal(
    "norm.samples",
    "1",
    "stream",
    "samples in the batches of batch normalisation in training mode, the fewest",
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
EVALUATION_MODE = Signal(
    "evaluation.mode",
    "1",
    "evaluation",
    "layers of that pass in training mode, a sum: 2 dropout, 4 statistics of the batch, 8 dropout that is always on",
)
# --- the watch itself -----------------------------------------------------------------------------
WATCH_SECONDS = Signal(
    "watch.seconds", "s", "", "seconds that the watch has cost so far, all its work counted"
)


@cache
def all_signals() -> dict[str, Signal]:
    """Every signal by name."""
    return {s.name: s for s in globals().values() if isinstance(s, Signal)}
