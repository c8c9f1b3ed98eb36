"""draw: what the picture says of the graph, and how the gradient's size gets onto its edges."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.diagnostics import dot


def leaf(*values: float) -> ag.Tensor:
    return ag.tensor(list(values), dtype="float64", requires_grad=True)


def block() -> nn.Module:
    class Block(nn.Module):
        def __init__(self) -> None:
            self.linear1 = nn.Linear(3, 4)
            self.linear2 = nn.Linear(4, 3)

        def forward(self, x: ag.Tensor) -> ag.Tensor:
            return self.linear2(self.linear1(x).relu()) + x

    return Block()


# ------------------------------------------------------------------------------------ the text


def test_dot_text() -> None:
    a, b = leaf(3.0, 4.0), leaf(1.0, 0.0)
    y = (a * b).sum()
    assert ag.draw(y, names={"a": a, "b": b}).dot == (
        "digraph {\n"
        '  graph [fontname="Helvetica" fontsize=11 color="#999999"];\n'
        '  node [fontname="Helvetica" fontsize=11]; edge [fontname="Helvetica" fontsize=9];\n'
        '  n0 [label="a\\nfloat64[2]\\n|g| 1" shape=box style=filled fillcolor="#e4f2dc"];\n'
        '  n1 [label="b\\nfloat64[2]\\n|g| 5" shape=box style=filled fillcolor="#e4f2dc"];\n'
        '  n2 [label="multiply\\nfloat64[2]" shape=box style="rounded,filled" fillcolor="#eef2f7"];\n'
        '  n3 [label="sum(axis=(0,), keepdims=False)\\nfloat64[]" shape=box style="rounded,filled" fillcolor="#cfe3f5" '
        "peripheries=2];\n"
        '  n0 -> n2 [label=" |g| 1 (50%)" penwidth=0.50];\n'
        '  n1 -> n2 [label=" |g| 5 (50%)" penwidth=4.50];\n'
        '  n2 -> n3 [label=" |g| 1.41" penwidth=1.36];\n'
        "}\n"
    )


def test_without_gradients_nothing_is_swept() -> None:
    x = leaf(1.0, 2.0)
    handle = x.register_hook(lambda g: pytest.fail("a sweep was made"))
    drawing = ag.draw((x * 2.0).sum(), gradients=False)
    assert [edge.norm for edge in drawing.edges] == [None, None]
    assert drawing.nodes[0].label == ("leaf",)
    handle.remove()


def test_a_vector_has_no_gradients_unless_asked() -> None:
    y = leaf(1.0, 2.0) * 3.0
    assert {edge.norm for edge in ag.draw(y).edges} == {None}
    assert ag.draw(y, gradients=True).edges[0].norm == pytest.approx(math.sqrt(18))
    assert ag.draw(y, gradients=[ag.tensor([0.0, 1.0], dtype="float64")]).edges[0].norm == 3.0


def test_parameters_have_their_names_without_being_asked() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    labels = [node.label[0] for node in ag.draw(model(ag.ones((1, 2))).sum()).nodes if node.kind == "leaf"]
    assert labels == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_several_outputs_and_several_results() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    first, second = ag.split(x, 2)
    drawing = ag.draw({"a": first.sum(), "b": (second * second).sum()})
    assert [node.kind for node in drawing.nodes].count("result") == 2
    (split,) = [node for node in drawing.nodes if node.label[0].startswith("split")]
    assert split.label[1] == "float64[2], float64[2]"


def test_what_leads_nowhere_is_dashed_and_what_is_not_finite_red() -> None:
    x = leaf(0.0, 1.0)
    dead = ag.draw((x * 0.0).sum()).dot
    assert 'label=" |g| 0" style=dashed color="#999999"' in dead
    with np.errstate(all="ignore"):
        red = ag.draw(x.sqrt().sum()).dot
    assert 'label=" |g| inf" color="#c0392b" fontcolor="#c0392b" penwidth=3' in red


def test_labels_are_escaped() -> None:
    x = leaf(1.0)
    assert '[label="say \\"x\\\\y\\"\\nfloat64[1]' in ag.draw(x * 2.0, names={'say "x\\y"': x}).dot


# ------------------------------------------------------------------------------------ what is measured


def test_norms_are_those_of_the_gradients() -> None:
    model = block()
    x = ag.random.normal((5, 3))
    with ag.record_origins():
        loss = (model(x) ** 2).mean()
    norms = {
        node.label[0]: float(node.label[-1].removeprefix("|g| "))
        for node in ag.draw(loss, names=model).nodes
        if node.kind == "leaf"
    }
    assert all(parameter.grad is None for parameter in model.parameters())
    loss.backward()
    for name, parameter in model.named_parameters():
        assert norms[name] == pytest.approx(float(np.linalg.norm(parameter.grad.numpy())), rel=1e-5)


def test_graph_and_gradients_stay_as_they_are() -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    y.retain_grad()
    loss = y.sum()
    for _ in range(2):
        ag.draw(loss)
    assert (x.grad, y.grad) == (None, None)
    loss.backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([2.0, 4.0], [1.0, 1.0])


def test_shares_say_to_whom_the_result_owes_its_value() -> None:
    """Of a product each factor the same, of w x + b each summand what it adds."""
    x, b = leaf(3.0), leaf(1.0)
    edges = ag.draw((x + b).sum(), names={"x": x, "b": b}).edges
    assert [edge.share for edge in edges[:2]] == [0.75, 0.25]
    assert [edge.share for edge in ag.draw((x + b).sum()).edges[:2]] == [None, None]  # nobody kept the values


def test_a_freed_graph_is_refused() -> None:
    loss = leaf(1.0).sum()
    loss.backward()
    with pytest.raises(ag.GradientError) as caught:
        ag.draw(loss)
    assert str(caught.value) == (
        "draw: an earlier backward has freed the graph of this result of 'sum', shape (); call draw before backward, "
        "or keep the graph with backward(retain_graph=True)"
    )


def test_a_part_that_was_freed_is_marked() -> None:
    x = leaf(1.0)
    h = x * 2.0
    h.sum().backward()
    drawing = ag.draw(h * 3.0 + leaf(1.0), gradients=False)
    assert [node.label[-1] for node in drawing.nodes].count("freed by backward") == 1


def test_a_kept_graph_is_drawn_after_backward() -> None:
    loss = (leaf(3.0, 4.0) ** 2).sum()
    loss.backward(retain_graph=True)
    assert ag.draw(loss).edges[0].norm == 10.0


# ------------------------------------------------------------------------------------ modules


def recorded(model: nn.Module) -> ag.Tensor:
    with ag.record_origins():
        return model(ag.random.normal((5, 3))).sum()


def test_modules_are_boxes_within_boxes() -> None:
    model = nn.Sequential(block(), block())
    text = ag.draw(recorded(model), names=model).dot
    for path in ("0", "0.linear1", "0.linear2", "1", "1.linear1", "1.linear2"):
        assert text.count(f'{{ label="{path}"\n') == 1
    assert text.count("{") == text.count("}")


def test_depth_folds_modules() -> None:
    model = nn.Sequential(block(), block())
    loss = recorded(model)
    folded = ag.draw(loss, names=model, depth=1)
    assert [node.label[0] for node in folded.nodes if node.kind == "module"] == ["0", "1"]
    assert ("m0", "m1") in [(edge.source, edge.target) for edge in folded.edges]
    deeper = ag.draw(loss, names=model, depth=2)
    modules = {node.label[0] for node in deeper.nodes if node.kind == "module"}
    assert modules == {"0.linear1", "0.linear2", "1.linear1", "1.linear2"}
    assert {node.label[0] for node in deeper.nodes if node.kind == "operation"} == {"relu", "add"}


def test_depth_needs_origins() -> None:
    with pytest.raises(ag.ArgumentError) as caught:
        ag.draw(leaf(1.0).sum(), depth=1)
    assert str(caught.value) == (
        "draw: depth folds modules, but this graph does not know them: run the forward pass inside `with "
        "ag.record_origins():`"
    )


def test_twenty_thousand_operations() -> None:
    y = leaf(1.0)
    for _ in range(20_000):
        y = y * 1.0001
    drawing = ag.draw(y)
    assert (len(drawing.nodes), len(drawing.edges)) == (20_001, 20_000)
    assert drawing.dot.count("->") == 20_000


# ------------------------------------------------------------------------------------ files


def test_dot_file(tmp_path: Path) -> None:
    drawing = ag.draw(leaf(1.0).sum(), path=tmp_path / "graph.dot")
    assert (tmp_path / "graph.dot").read_text() == drawing.dot == str(drawing)


def test_svg_file(tmp_path: Path) -> None:
    if dot._renderer() is None:
        pytest.skip("Graphviz (dot or graphviz-pure) is not installed")
    drawing = ag.draw(leaf(1.0).sum(), path=tmp_path / "graph.svg")
    root = ElementTree.fromstring((tmp_path / "graph.svg").read_text())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    shown = "".join(root.itertext())
    assert all(label in shown for node in drawing.nodes for label in node.label)
    assert drawing._repr_mimebundle_()["image/svg+xml"] == drawing.svg()


def test_without_graphviz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    drawing = ag.draw(leaf(1.0).sum())
    assert drawing._repr_mimebundle_() == {"text/plain": "<drawing of 2 nodes and 1 edges: .dot, .svg(), .save(path)>"}
    with pytest.raises(ag.ArgumentError) as caught:
        drawing.svg()
    assert str(caught.value) == (
        "draw: SVG needs Graphviz, which was not found: pip install graphviz-pure, or install Graphviz so that its "
        "command 'dot' is on the PATH. The DOT text needs nothing: drawing.dot, drawing.save('graph.dot')"
    )


def test_other_formats(tmp_path: Path) -> None:
    with pytest.raises(ag.ArgumentError, match=r"^draw: the format is 'dot' or 'svg', got 'png'"):
        ag.draw(leaf(1.0).sum(), path=tmp_path / "graph.png")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------ mistakes


def test_nothing_to_draw() -> None:
    with pytest.raises(ag.GradientError) as caught:
        ag.draw(ag.ones(2))
    assert str(caught.value) == (
        "draw: this value does not depend on any tensor with requires_grad=True (or was computed under no_grad), so "
        "there is no graph; ag.explain_grad says why"
    )
    for bad in (3.0, [], [1.0]):
        with pytest.raises(ag.ArgumentError, match=r"^draw: takes a tensor, or several in a list or dict, got "):
            ag.draw(bad)


def test_names_and_cotangents_that_do_not_fit() -> None:
    y = leaf(1.0, 2.0) * 2.0
    with pytest.raises(ag.ArgumentError, match=r"^draw: 'w' is a float, not a tensor; give a module, a dict or a list"):
        ag.draw(y, names={"w": 1.0})
    with pytest.raises(ag.ArgumentError, match=r"^draw: 2 cotangent\(s\) given in gradients for 1 recorded"):
        ag.draw(y, gradients=[ag.ones(2), ag.ones(2)])
    with pytest.raises(ag.ShapeError, match=r"^draw: the cotangent has shape \(3,\), the output \(2,\)"):
        ag.draw(y, gradients=[ag.ones(3, dtype="float64")])
