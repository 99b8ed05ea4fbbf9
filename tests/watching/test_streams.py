"""Which roots add up to one update, and whose update it is."""

import pytest

from losscope.watching.streams import Cycle, Streams


class Optimizer:
    def __init__(self, *parameters):
        self.param_groups = [{"params": list(parameters)}]


class Parameter:
    pass


def total_of(events):
    """Play ``events`` (value, inside, cleared) or "step" and return each update's (total, backwards)."""
    cycle, updates = Cycle(), []
    for event in events:
        if event == "step":
            updates.append((cycle.total(), cycle.count))
            cycle.fresh = True
        else:
            value, inside, cleared = event
            cycle.add(value, inside_step=inside, cleared=cleared)
    return updates


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(
            [(1.0, False, False), "step", (2.0, False, False), "step"], [(1.0, 1), (2.0, 1)], id="plain"
        ),
        pytest.param([(0.5, False, False), (0.25, False, False), "step"], [(0.75, 2)], id="accumulation"),
        pytest.param(
            [(3.0, False, False), (2.0, False, True), "step"], [(2.0, 1)], id="cleared between: a second try"
        ),
        pytest.param(
            [(3.0, True, False), (2.0, True, True), (1.0, True, True), "step"], [(3.0, 3)], id="L-BFGS"
        ),
        pytest.param(
            [(1.0, False, False), (2.0, True, False), "step"], [(3.0, 2)], id="accumulation into a closure"
        ),
        pytest.param(
            [(1.0, False, False), (1.5, True, True), "step"], [(1.0, 2)], id="SAM evaluates again inside"
        ),
        pytest.param(
            [(1.0, True, False), "step", (2.0, True, False), "step"], [(1.0, 1), (2.0, 1)], id="closures"
        ),
        pytest.param([(None, False, False), "step"], [(None, 1)], id="unread value"),
    ],
)
def test_total_of_one_update(events, expected):
    assert total_of(events) == expected


def test_two_optimisers_on_different_parameters_are_two_streams():
    a, b = Parameter(), Parameter()
    streams = Streams()
    first, second = Optimizer(a), Optimizer(b)
    assert streams.of(first)[0].label == "0"
    assert streams.of(second)[0].label == "1"
    assert streams.of(first) == (streams.all[0], False)


def test_a_recreated_optimiser_continues_its_stream_even_when_ids_are_reused():
    parameters = [Parameter() for _ in range(4)]
    streams = Streams()
    labels = set()
    for _ in range(20):
        optimizer = Optimizer(*parameters)
        stream, new = streams.of(optimizer)
        assert new
        labels.add(stream.label)
        del optimizer
    assert labels == {"0"}


def test_an_id_reused_by_another_optimiser_is_not_mistaken_for_the_old_one():
    a, b = Parameter(), Parameter()
    streams = Streams()
    old = Optimizer(a)
    streams.of(old)
    other = Optimizer(b)
    streams.by_id[id(other)] = streams.by_id[id(old)]  # as if the allocator had reused the id
    stream, new = streams.of(other)
    assert new and stream.label == "1"


def test_ids_reused_by_other_parameters_are_not_mistaken_for_the_old_ones():
    streams, labels = Streams(), []
    for _ in range(20):  # each time the last ones are gone, and mostly their ids are taken again
        optimizer = Optimizer(Parameter(), Parameter())
        labels.append(streams.of(optimizer)[0].label)
        del optimizer
    assert labels == [str(i) for i in range(20)]


def test_a_wrapper_shares_the_stream_of_its_base():
    parameters = [Parameter() for _ in range(3)]
    streams = Streams()
    base, wrapper = Optimizer(*parameters), Optimizer(*parameters)
    assert streams.of(wrapper)[0] is streams.of(base)[0]
