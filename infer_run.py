import importlib, sys
sys.path.insert(0, "tests/checks")
import torch; torch.set_num_threads(1)
from losscope.checks.infer import infer
from losscope.checks.target import of
for m in sys.argv[1].split(","):
    for e in importlib.import_module(m).ENTRIES:
        try: i = infer(of(e.loss)); print(f"{e.name:30s} {i.task:28s} {i.contract} {i.why}", flush=True)
        except Exception as x: print(f"!! {e.name} {x}")
