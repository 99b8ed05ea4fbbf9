"""Examines an MLP of a width, for so many seconds, in float32 or float64; prints peak memory and looks, as JSON."""

import json
import resource
import sys

import torch
from torch import nn

import losscope

width, seconds, dtype = int(sys.argv[1]), float(sys.argv[2]), getattr(torch, sys.argv[3])
torch.manual_seed(0)
layers = [nn.Linear(64, width), nn.GELU(), nn.Linear(width, width), nn.LayerNorm(width), nn.GELU()]
model = nn.Sequential(*layers, nn.Linear(width, 10)).to(dtype)
data = [(torch.randn(32, 64, dtype=dtype), torch.randint(10, (32,))) for _ in range(2)]
objective = losscope.Objective(model, nn.CrossEntropyLoss(), data)
found = losscope.examine(objective, seconds)
report = {
    "size": objective.size,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "looks": list(dict.fromkeys(found.looks)),
}
sys.stdout.write(json.dumps(report))
