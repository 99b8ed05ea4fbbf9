"""Scratch: run the zoos and print a table."""
import importlib, sys, time
sys.path.insert(0, "tests/checks")
import torch; torch.set_num_threads(1)
import losscope
mods = sys.argv[1].split(","); only = sys.argv[2].split(",") if len(sys.argv) > 2 and sys.argv[2] else None
names = set(sys.argv[3].split(",")) if len(sys.argv) > 3 else None
bad = 0
for m in mods:
    for e in importlib.import_module(m).ENTRIES:
        if names and e.name not in names: continue
        t = time.time()
        try:
            a = losscope.audit(e.loss, isolate=False, seconds=200, only=only or ())
        except Exception as x:
            print(f"!! {e.name}: {type(x).__name__} {x}"); bad += 1; continue
        bugs = {b.check for b in a.bugs}; conv = {b.check for b in a.conventions}
        ok = (bool(bugs & e.bugs) if e.bugs else not bugs - e.tolerated) and (not e.conventions or bool(e.conventions & conv))
        ptxt = ""
        for k, v in e.properties.items():
            if a.properties.get(k, v) != v: ok = False; ptxt += f" PROP {k}={a.properties[k]}"
        if e.task and a.task != e.task: ok = False
        nf = [x.check + ":" + str(x.text)[:150] for x in a.evidence if x.outcome == "not-finished"]
        bad += not ok
        print(f"{'ok' if ok else 'XX'} {e.name:28s} {a.task:22s} [{a.contract}] bugs={sorted(bugs)} conv={sorted(conv)} want={sorted(e.bugs|e.conventions)}{ptxt} {nf or ''} {time.time()-t:.1f}s", flush=True)
print("wrong:", bad)
