"""Steps that exist only if something unknown is true: paths, tables and reports keep them apart."""

from __future__ import annotations

from labkit.analysis import attack_graph
from labkit.analysis.attack_graph.queries import AttackPaths, Reach, paths_between
from labkit.analysis.attack_graph.steps import Step, known_and_possible
from labkit.model.footholds import ADMIN, NODE, POD, SECRETS

DOUBT = "whether group 999 of the node is docker's"
MAYBE = Step("runtime-socket", POD, (NODE,), ("Pod shop/web",), unknown=DOUBT)
ONWARD = Step("steal", NODE, (ADMIN,), ())
DEAR = Step("forge", POD, (SECRETS,), (), 9.0)


def test_possible_path_is_no_known_path():
    known, wide = known_and_possible([MAYBE, ONWARD])
    found = paths_between(known, wide, POD, ADMIN, 5)
    assert not found.paths
    assert [step.name for step in found.possible[0]] == ["runtime-socket", "steal"]
    assert "1 possible path" in repr(found)
    assert f"to find out: {DOUBT}" in repr(found)
    assert "out of reach" not in repr(found)


def test_known_path_wins_over_a_cheaper_possible_one():
    sure = Step("break-in", POD, (NODE,), (), 5.0)
    known, wide = known_and_possible([MAYBE, sure])
    found = paths_between(known, wide, POD, NODE, 5)
    assert [step.name for step in found.paths[0]] == ["break-in"]
    assert found.possible == ()


def test_without_an_unknown_both_graphs_are_one():
    known, wide = known_and_possible([ONWARD, DEAR])
    assert known is wide
    assert set(known.edges) == set(attack_graph([ONWARD, DEAR]).edges)
    assert "out of reach" in repr(paths_between(known, wide, POD, ADMIN, 5))


def test_table_of_reach_names_possible_paths():
    reach = Reach({POD: {SECRETS: (DEAR,)}}, {POD: {NODE: (MAYBE,)}})
    row = repr(reach).splitlines()[-1]
    assert [
        it.strip() for it in row.removeprefix("inside a pod").strip().split("  ") if it.strip()
    ] == ["forge", "out of reach", "possible: runtime-socket"]
    assert reach.path(POD, NODE) is None
    assert reach.possible_path(POD, NODE) == (MAYBE,)


def test_plain_step_says_what_is_unknown():
    assert MAYBE.plain()["unknown"] == DOUBT
    assert ONWARD.plain()["unknown"] == ""
    assert AttackPaths(POD, NODE, ()).possible == ()
