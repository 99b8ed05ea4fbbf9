"""A watched script may compile our losses; what the hooks call is not traced."""

import torch
from torch._dynamo import trace_rules

import losscope
from losscope.losses.contrastive.info_nce import info_nce_loss
from losscope.watching.not_compiled import leave_alone


def test_our_losses_compile_into_one_graph_while_a_script_is_watched(tmp_path):
    torch.manual_seed(0)
    a, b = torch.randn(6, 4, requires_grad=True), torch.randn(6, 4)
    with losscope.watch(out=tmp_path / "run"):
        whole = torch.compile(info_nce_loss, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(whole(a, b), info_nce_loss(a, b))
    torch.compiler.reset()


def test_code_of_hooks_is_left_alone():
    leave_alone(trace_rules)
    for module in ("watching.watch", "anatomy.read", "losses.graph.trace", "probes.objective"):
        assert trace_rules.check_file(__import__(f"losscope.{module}", fromlist=["_"]).__file__).skipped
    assert not trace_rules.check_file(info_nce_loss.__code__.co_filename).skipped
