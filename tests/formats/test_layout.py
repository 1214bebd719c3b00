"""The layout of a diagram: each component is in its zone, and no two overlap."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from labkit.formats.layout import HEIGHT, WIDTH, Box, layout
from labkit.model import Component


def apart(one: Box, other: Box) -> bool:
    return (
        one.x + one.width <= other.x
        or other.x + other.width <= one.x
        or one.y + one.height <= other.y
        or other.y + other.height <= one.y
    )


@given(
    st.lists(st.sampled_from(["cluster network", "master node", "worker node", ""]), max_size=12)
)
def test_components_stand_apart_and_inside_their_zones(zones: list[str]) -> None:
    components = [Component(f"c{n}", "pod", "m", zone) for n, zone in enumerate(zones)]
    boxes, places = layout(components)
    assert set(boxes) == set(zones) - {""}
    assert set(places) == {it.id for it in components}
    assert all(apart(*pair) for pair in itertools.combinations(places.values(), 2))
    assert all(apart(*pair) for pair in itertools.combinations(boxes.values(), 2))
    for it in components:
        place = places[it.id]
        assert (place.width, place.height) == (WIDTH, HEIGHT)
        for zone, box in boxes.items():
            inside = box.holds(place.x, place.y) and box.holds(place.x + WIDTH, place.y + HEIGHT)
            assert inside == (zone == it.zone)
