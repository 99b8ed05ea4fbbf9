"""Functions changed in place behave, look and fail exactly as before."""

import inspect
import sys
import textwrap
import traceback

import pytest

from losscope.watching.instrument import Instrumentation, NotInstrumentable

SOURCE = textwrap.dedent(
    '''
    import functools


    def plain(a, b=2):
        """Docs."""
        if a < 0:
            raise ValueError("negative")
        if a == 0:
            return
        return a + b


    def falls_off(a):
        plain(a)


    class Base:
        def __init__(self, x):
            self.x = x


    class Child(Base):
        def __init__(self, x):
            super().__init__(x)
            inner = lambda: self.x
            self.y = inner()

        def nested(self):
            def deeper():
                return 1

            return deeper()


    def decorate(f):
        @functools.wraps(f)
        def wrapper(*args):
            return f(*args)

        return wrapper


    @decorate
    def decorated(a):
        return a * 2
    '''
)


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "instrumented_sample.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    import instrumented_sample

    yield instrumented_sample
    del sys.modules["instrumented_sample"]


@pytest.fixture
def code():
    instrumentation = Instrumentation()
    yield instrumentation
    instrumentation.remove()


def test_before_after_and_lastly_see_what_they_should(module, code):
    seen = []
    code.insert(
        module.plain,
        before=lambda a, b: seen.append(("before", a, b)),
        after=lambda result, a, b: (seen.append(("after", result)), result)[1],
        lastly=lambda: seen.append("lastly"),
        arguments=("a", "b"),
    )
    assert module.plain(1) == 3
    assert seen == [("before", 1, 2), ("after", 3), "lastly"]
    seen.clear()
    assert module.plain(0) is None
    assert seen == [("before", 0, 2), ("after", None), "lastly"]
    seen.clear()
    with pytest.raises(ValueError, match="negative"):
        module.plain(-1)
    assert seen == [("before", -1, 2), "lastly"]


def test_a_closed_gate_calls_nothing_and_each_half_has_its_own(module, code):
    seen, gate = [], [False, 0]
    code.insert(
        module.plain, before=lambda: seen.append("before"), lastly=lambda: seen.append("lastly"), gate=gate
    )
    assert module.plain(1) == 3 and seen == []
    gate[0] = True
    assert module.plain(1) == 3 and seen == ["before"]
    gate[:] = False, 2
    with pytest.raises(ValueError, match="negative"):
        module.plain(-1)
    assert seen == ["before", "lastly"]


def test_a_call_under_way_when_the_hooks_are_taken_out_ends_as_ever(module, code):
    code.insert(module.plain, before=code.remove, lastly=lambda: None, gate=[True, True])
    assert module.plain(1) == 3
    assert module.plain(2) == 4


def test_identity_signature_docs_and_earlier_imports_stay(module, code):
    from instrumented_sample import plain

    signature, calls = inspect.signature(plain), []
    code.insert(module.plain, after=lambda result: (calls.append(result), result)[1])
    assert module.plain is plain and plain(1) == 3 and calls == [3]
    assert inspect.signature(plain) == signature and plain.__doc__ == "Docs."
    assert inspect.getsource(plain).startswith("def plain")
    assert plain.__code__.co_qualname == "plain"


def test_tracebacks_are_the_same_to_the_letter(module, code):
    def failing():
        try:
            module.falls_off(-1)
        except ValueError:
            return traceback.format_exc()
        return None

    plain = failing()
    for function in (module.plain, module.falls_off):
        code.insert(
            function, before=lambda a: None, after=lambda r, a: r, lastly=lambda: None, arguments=("a",)
        )
    assert failing() == plain


def test_methods_with_super_and_nested_functions(module, code):
    made, results = [], []
    code.insert(module.Child.__init__, before=lambda self: made.append(type(self)), arguments=("self",))
    code.insert(module.Child.nested, after=lambda r: (results.append(r), r)[1])
    child = module.Child(4)
    assert (child.x, child.y, child.nested()) == (4, 4, 1)
    assert made == [module.Child] and results == [1]  # the inner function's return is its own


def test_falling_off_the_end_returns_none_through_after(module, code):
    seen = []
    code.insert(module.falls_off, after=seen.append)
    assert module.falls_off(1) is None and seen == [None]


def test_decorated_functions_are_followed_to_their_code(module, code):
    code.insert(module.decorated, after=lambda r: r + 1)
    assert module.decorated(3) == 7


def test_removal_restores_the_very_code_object_even_under_a_running_call(module):
    before = module.plain.__code__
    instrumentation = Instrumentation()
    seen = []

    def leave(a):
        seen.append(a)
        instrumentation.remove()  # as another thread might, in the middle of the call

    instrumentation.insert(
        module.plain, before=leave, after=lambda r, a: r, lastly=lambda: None, arguments=("a",)
    )
    assert module.plain.__code__ is not before
    assert module.plain(1) == 3 and seen == [1]
    assert module.plain.__code__ is before and module.plain(1) == 3 and seen == [1]


def test_what_has_no_source_is_refused(module, code):
    namespace = {}
    exec("def made():\n    return 1", namespace)
    for function in (namespace["made"], len, lambda: 1):
        with pytest.raises(NotInstrumentable):
            code.insert(function, before=lambda: None)
    code.insert(module.plain, before=lambda: None)
    with pytest.raises(NotInstrumentable, match="already"):
        code.insert(module.plain, before=lambda: None)


def test_torch_losses_stay_capturable_by_the_compiler(code):
    import torch
    import torch.nn.functional as F

    from losscope.watching.values import is_plain

    seen = []  # while it compiles, a torch older than 2.13 may call the function on tensors without data
    code.insert(F.cross_entropy, after=lambda r: (is_plain(r) and seen.append(1), r)[1], traced=True)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def loss(x, y):
        return F.cross_entropy(x, y)

    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    compiled = loss(x, y)
    assert seen == []  # nothing of ours runs inside the graph
    assert torch.equal(compiled, F.cross_entropy(x, y)) and seen == [1]
