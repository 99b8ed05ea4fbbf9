"""Scratch: all losses of torch.nn and torch.nn.functional."""
import inspect, sys, time
import torch, torch.nn.functional as F
torch.set_num_threads(1)
import losscope
from losscope.core.errors import BadUsage
names = [n for n in dir(torch.nn) if n.endswith("Loss") or n in ("AdaptiveLogSoftmaxWithLoss",)]
fun = [n for n in dir(F) if (n.endswith("_loss") or n in ("cross_entropy","binary_cross_entropy","binary_cross_entropy_with_logits","kl_div","linear_cross_entropy")) and not n.startswith("_")]
for n in [*(f"torch.nn:{n}" for n in names), *(f"torch.nn.functional:{n}" for n in fun)]:
    t = time.time()
    try: a = losscope.audit(n, isolate=False, seconds=200, skip=["compile"])
    except Exception as x: print("!!", n, type(x).__name__, x, flush=True); continue
    nf = [x.check for x in a.evidence if x.outcome == "not-finished"]
    print(n, a.task, a.contract, "BUGS", [(b.check, str(b.text)[:130]) for b in a.bugs], sorted({c.check for c in a.conventions}), nf, f"{time.time()-t:.1f}", flush=True)
