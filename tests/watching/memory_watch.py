"""A watch that records into memory, for tests inside one process."""

from collections import defaultdict
from contextlib import contextmanager

from losscope.watching.assembly import assemble


class _Series(list):
    def add(self, step, value):
        self.append((step, value))


class MemoryRecorder:
    def __init__(self):
        self.data = defaultdict(_Series)
        self.events = []

    def series(self, signal, label=""):
        return self.data[signal.name, label]

    def event(self, kind, /, **fields):
        self.events.append({"event": kind, **fields})

    def values(self, signal, label="0"):
        return [value for _, value in self.data.get((signal.name, label), [])]

    def steps(self, signal, label="0"):
        return [step for step, _ in self.data.get((signal.name, label), [])]

    def of(self, kind):
        return [event for event in self.events if event["event"] == kind]


@contextmanager
def watching(share=1e9):
    """Hooks installed; by default a budget without limit: every update is read, deep samples come at the usual gaps."""
    recorder = MemoryRecorder()
    watch, hooks = assemble(recorder, share=share)
    hooks.install()
    try:
        yield recorder
    finally:
        watch.finish()
        hooks.remove()
    assert recorder.of("fault") == [], recorder.of("fault")
