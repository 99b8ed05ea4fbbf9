"""The benchmark of the diagnosis: many small trainings, healthy and faulty, through the real ``losscope run``.

    python benchmarks/diagnosis/diagnose.py --keep /tmp/diagnosis [--jobs 2] [--only WORD] [--json FILE]

``--keep`` is a folder outside the checkout for scripts and results; a second run takes up where the first ended.
"""

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from zlib import crc32

sys.path.insert(0, str(Path(__file__).parent))

import corpus
import scores
from runner import by_losscope, kept_results, run_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--only", default="", help="cases whose names hold one of these words, separated by commas"
    )
    parser.add_argument("--peer", help="another tool: a module of contestants, in an environment that has it")
    parser.add_argument("--kept", action="store_true", help="run nothing: tell what is kept")
    parser.add_argument("--again", action="store_true", help="run nothing: judge the kept recordings anew")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    cases = [case for case in corpus.cases() if any(w in case.name for w in chosen.only.split(","))]
    if chosen.kept or chosen.again:
        results = kept_results(cases, chosen.keep, chosen.again)
        cases = [case for case in cases if case.name in results]
    else:
        order = sorted(cases, key=lambda c: (not c.name.endswith("as_it_is"), crc32(c.name.encode())))
        judge = import_module(f"contestants.{chosen.peer}").judge if chosen.peer else by_losscope
        results = run_all(order, chosen.keep, judge, chosen.jobs)
    report = scores.report(cases, results)
    print(scores.as_text(report))
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
