"""Frames of ours are taken out of what the user sees, and nothing else is."""

import traceback

from losscope.watching.script_ending import above_hooks, hide_frames, without_frames


def raised(*files: str) -> Exception:
    """An exception that passed through one frame per file, outermost first."""
    source = "def call(rest):\n    if not rest:\n        raise ValueError('x')\n    rest[0](rest[1:])\n"
    calls = []
    for file in files:
        space: dict = {}
        exec(compile(source, file, "exec"), space)
        calls.append(space["call"])
    try:
        calls[0](calls[1:])
    except ValueError as error:
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        return error
    raise AssertionError


def files(error: BaseException) -> list[str]:
    return [frame.filename for frame in traceback.extract_tb(error.__traceback__)]


def test_only_named_files_are_hidden() -> None:
    for order in (
        ["ours", "a", "b"],
        ["a", "ours", "ours", "b"],
        ["a", "ours"],
        ["a"],
        ["ours"],
        ["a", "ours2"],
    ):
        error = raised(*order)
        hide_frames(error, frozenset({"ours"}))
        assert files(error) == [file for file in order if file != "ours"]
    assert without_frames(None, frozenset()) is None


def test_chains_and_groups_are_cleaned_and_cycles_end() -> None:
    cause, member, context = raised("a", "ours"), raised("ours", "b"), raised("ours", "c")
    group = ExceptionGroup("g", [member])
    top = raised("ours", "d")
    top.__cause__, top.__context__, cause.__context__, context.__context__ = cause, group, context, top
    hide_frames(top, frozenset({"ours"}))
    assert [files(e) for e in (top, cause, member, context)] == [["d"], ["a"], ["b"], ["c"]]


def test_interrupt_inside_a_hook_shows_the_line_that_called_it() -> None:
    error = raised("/u/train.py", "/t/torch.py", "/s/losscope/watch.py", "/t/torch.py")
    error.__traceback__ = above_hooks(error.__traceback__, "/s/losscope/")
    assert files(error) == ["/u/train.py", "/t/torch.py"]
    plain = raised("/u/train.py", "/u/losscope.py")
    assert above_hooks(plain.__traceback__, "/s/losscope/") is plain.__traceback__
    assert files(plain) == ["/u/train.py", "/u/losscope.py"]
