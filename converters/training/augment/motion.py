"""Other wrists, other sensors and another pace out of the motion there is.

A sensor sits turned a little on another wrist, and mirrored on the other one; people move slower
and faster. All of it is done to frames of accelerometer and gyroscope triples `(x, y, z)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Random = np.random.Generator

_KNOTS: Final = 6
"""Moments between which the pace changes evenly."""
_AXIAL: Final = ("gyr", "rot", "omega", "ang")
"""What the names of channels hold that turn the other way in a mirror."""


@dataclass(frozen=True)
class MotionAugmentation:
    """How far motion is altered; 0 for not at all.

    Args:
        rotation: of the sensor around any axis, degrees, standard deviation; from 180 on all
            orientations are alike.
        mirror: share of the recordings that are mirrored, as on the other wrist.
        scale: of each triple, standard deviation around 1.
        jitter: noise, as a share of each channel's standard deviation.
        warp: how far the pace varies, standard deviation of the logarithm.
    """

    rotation: float = 30.0
    mirror: float = 0.5
    scale: float = 0.1
    jitter: float = 0.05
    warp: float = 0.15


class Triple(NamedTuple):
    """Places of x, y and z among the channels; `axial` if it turns (a gyroscope)."""

    places: tuple[int, int, int]
    axial: bool


def triples(names: Sequence[str]) -> list[Triple]:
    """The triples among channels: names that differ in nothing but an x, y and z."""
    found = []
    for place, name in enumerate(names):
        for at, letter in enumerate(name.lower()):
            others = [name[:at] + axis + name[at + 1 :] for axis in _alike(name[at])]
            if letter == "x" and all(other in names for other in others):
                places = (place, names.index(others[0]), names.index(others[1]))
                axial = any(word in name.lower() for word in _AXIAL)
                found.append(Triple(places, axial))
                break
    return found


def _alike(letter: str) -> str:
    return "yz" if letter.islower() else "YZ"


def vary_motion(
    frames: Array,
    truth: Array,
    sensors: Sequence[Triple],
    how: MotionAugmentation,
    random: Random,
) -> tuple[Array, Array]:
    """The same motion by somebody else: float32 frames `(m, channels)`, and the truth of each.

    `frames` are `(n, channels)` in any units, `truth` `(n, …)` belongs to them.
    """
    varied = frames.astype(np.float32)
    spread = varied.std(axis=0)
    turn = rotation(how.rotation, random).astype(np.float32)
    if random.random() < how.mirror:
        turn = turn * np.array([-1, 1, 1], np.float32)
    for triple in sensors:
        # A mirror turns what is a rotation once more: it is no vector but a sense of turning.
        sense = np.linalg.det(turn) if triple.axial else 1.0
        size = sense * np.exp(how.scale * random.normal())
        places = list(triple.places)
        varied[:, places] = varied[:, places] @ (turn * np.float32(size)).T
    at = warped(len(varied), how.warp, random)
    before = np.minimum(at.astype(int), max(0, len(varied) - 2))
    share = (at - before)[:, np.newaxis].astype(np.float32)
    after = np.minimum(before + 1, len(varied) - 1)
    varied = varied[before] * (1 - share) + varied[after] * share
    noise = random.normal(size=varied.shape).astype(np.float32)
    return varied + noise * (how.jitter * spread), truth[np.rint(at).astype(int)]


def rotation(degrees: float, random: Random) -> Array:
    """A random rotation `(3, 3)`: around any axis, by an angle of this standard deviation."""
    axis = random.normal(size=3)
    axis /= np.linalg.norm(axis)
    if degrees >= 180:  # a unit quaternion of any direction is a rotation like any other
        quaternion = random.normal(size=4)
        axis = quaternion[1:] / np.linalg.norm(quaternion[1:])
        angle = 2 * float(np.arctan2(np.linalg.norm(quaternion[1:]), quaternion[0]))
    else:
        angle = float(np.deg2rad(degrees)) * random.normal()
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: Array = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned


def warped(count: int, amount: float, random: Random) -> Array:
    """Where to look in `count` frames, in order, for another and varying pace: `(m,)` floats."""
    many = max(2, round(count * float(np.exp(amount * random.normal()))))
    pace = np.exp(amount * random.normal(size=_KNOTS))
    if amount == 0 or count < 2:
        return np.arange(count, dtype=float)
    way = np.cumsum(np.interp(np.linspace(0, 1, many), np.linspace(0, 1, _KNOTS), pace))
    at: Array = (way - way[0]) / (way[-1] - way[0]) * (count - 1)
    return at.clip(0, count - 1)
