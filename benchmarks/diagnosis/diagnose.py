"""The benchmark of the diagnosis: many small trainings, healthy and faulty, through the real ``losscope run``.

    python benchmarks/diagnosis/diagnose.py --keep /tmp/diagnosis [--jobs 2] [--only WORD] [--json FILE]

``--keep`` is a folder outside the checkout for scripts and results; a second run takes up where the first ended.
"""

import argparse
import json
import sys
from pathlib import Path
from zlib import crc32

sys.path.insert(0, str(Path(__file__).parent))

import corpus
import scores
from runner import run_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose name holds this word")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    cases = [case for case in corpus.cases() if chosen.only in case.name]
    order = sorted(cases, key=lambda c: ("as_it_is" not in c.name, crc32(c.name.encode())))
    results = run_all(order, chosen.keep, jobs=chosen.jobs)
    report = scores.report(cases, results)
    print(scores.as_text(report))
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
