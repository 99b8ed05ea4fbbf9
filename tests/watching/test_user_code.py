"""The line that is shown to the user is the user's own."""

import statistics
import sys
from pathlib import Path

from losscope.watching import user_code


def where_called():
    return user_code.where(user_code.user_frame())


def test_the_innermost_line_of_the_users_own():
    place = where_called()
    assert place.file == __file__
    assert "user_code.user_frame()" in Path(__file__).read_text().splitlines()[place.line - 1]


def test_library_frames_in_between_are_passed_over():
    found = []

    class Number(int):
        def __add__(self, other):
            found.append(user_code.user_frame().f_code.co_name)
            return self

    found.append(statistics.median([Number(1), Number(2)]) and "ran")
    assert "ran" in found


def test_two_calls_of_one_helper_have_different_paths():
    def helper():
        return user_code.call_path()

    first = helper()
    second = helper()
    assert first != second and first[0] == second[0] and first[0][0] == __file__


def test_what_is_a_library():
    import numpy

    assert user_code.is_library(numpy.__file__) and user_code.is_library(statistics.__file__)
    assert user_code.is_library(user_code.__file__) and user_code.is_library("<frozen runpy>")
    assert not user_code.is_library(__file__) and not user_code.is_library("<ipython-input-3>")
    assert not user_code.is_library(
        str(Path(user_code.__file__).parents[1] / "demo_scripts" / "train_digits.py")
    )
    assert not user_code.is_library("/home/someone/project/train.py")
    assert sys.prefix


def test_a_library_that_is_reached_by_way_of_a_link(tmp_path):
    """As with an editable installation in a linked folder: Python then names the files by the link."""
    link = tmp_path / "linked"
    link.symlink_to(Path(user_code.__file__).parents[1])
    assert user_code.is_library(str(link / "watching" / "user_code.py"))
    assert not user_code.is_library(str(link / "demo_scripts" / "train_digits.py"))
