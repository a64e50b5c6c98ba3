"""From surfaces to pixels: light on quads, the painter's order, shadows and reflections on the floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from bball_pl.court.body import PART_ROW, PARTS, Mesh
from bball_pl.court.camera import Array, Camera, Image


@dataclass(frozen=True)
class Light:
    """The light of a gym; strengths are RGB factors, 1 is a white surface at full exposure.

    Attributes:
        key: unit direction `[3]` towards the lamps.
        key_colour: strength of the lamps `[3]`.
        side: unit direction `[3]` towards the windows.
        side_colour: strength of the windows `[3]`.
        sky: light from above without a direction `[3]`.
        bounce: light from the floor `[3]`.
    """

    key: Array
    key_colour: Array
    side: Array
    side_colour: Array
    sky: Array
    bounce: Array


@dataclass(frozen=True)
class Soup:
    """Coloured polygons of four corners, in any order.

    Attributes:
        corners: world places `[n, 4, 3]`, metres.
        colours: lit colours `[n, 3]`, RGB 0–255.
        lift: metres `[n]` by which a polygon counts as nearer when they are put in order: for what is sewn on.
    """

    corners: Array
    colours: Array
    lift: Array


#: Parts whose quads are lit as those of a cylinder.
_ROUND = np.array([name[:-2] in {"upper", "fore", "thigh", "shin"} or name == "neck" for name in PARTS])


#: Parts that show in a blurred shadow or mirror image; the shorts stand for the thighs.
_LARGE = np.array([row for row, name in enumerate(PARTS) if not name.startswith(("hand", "thigh", "neck", "trunks"))])


def _unit(vectors: Array) -> Array:
    """Return vectors `[n, 3]` at length 1."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    result: Array = vectors / np.maximum(lengths, 1e-12)[:, None]
    return result


def _dots(a: Array, b: Array) -> Array:
    """Return the inner products `[n, 1]` of vectors `[n, 3]`."""
    result: Array = np.einsum("ij,ij->i", a, b)[:, None]
    return result


def shade(albedo: Array, normals: Array, towards_camera: Array, light: Light, gloss: float = 0.0) -> Array:
    """Return lit colours `[n, 3]` of surfaces, RGB 0–255.

    Args:
        albedo: colours before light `[n, 3]`, RGB 0–255.
        normals: outward unit normals `[n, 3]`.
        towards_camera: unit directions `[n, 3]` to the lens.
        light: the gym's light.
        gloss: strength of the highlight, 0 is dull. Source: Blinn, Models of light reflection, 1977.
    """
    up = normals[:, 2:3] * 0.5 + 0.5
    lamp = np.clip(normals @ light.key * 0.85 + 0.15, 0, None)[:, None]
    window = np.clip(normals @ light.side, 0, None)[:, None]
    total = up * light.sky + (1 - up) * light.bounce + lamp * light.key_colour + window * light.side_colour
    lit = albedo * total
    if gloss > 0:
        half = towards_camera + light.key
        lit = lit + 255 * gloss * (np.clip(_dots(normals, _unit(half)), 0, 1) ** 24) * light.key_colour
    # Edges seen along the surface catch light from behind: it parts a body from a wall of its own colour.
    edge = (1 - np.clip(_dots(normals, towards_camera), 0, 1)) ** 3
    result: Array = np.minimum(lit + 26 * edge * light.sky, 255)
    return result


def mesh_soup(mesh: Mesh, colours: Array, camera: Camera, light: Light, gloss: float = 0.1) -> Soup:
    """Return the quads of a body that face the camera, lit.

    Args:
        mesh: the body.
        colours: `[parts, along, around, 3]` from `paint_body`, RGB 0–255.
        camera: who looks.
        light: the gym's light.
        gloss: highlight of skin and cloth.
    """
    rings = mesh.rings
    following = np.roll(rings, -1, axis=2)
    quads = np.stack([rings[:, :-1], following[:, :-1], following[:, 1:], rings[:, 1:]], axis=3)
    middle = (rings[:, :-1] + following[:, :-1] + following[:, 1:] + rings[:, 1:]) / 4
    normals = np.cross(quads[..., 2, :] - quads[..., 0, :], quads[..., 3, :] - quads[..., 1, :])
    inside = (mesh.axis[:, :-1] + mesh.axis[:, 1:]) / 2
    outward = np.einsum("...i,...i", normals, middle - inside)
    towards = camera.position.astype(np.float32) - middle
    facing = np.einsum("...i,...i", normals, towards)
    seen = (facing * np.sign(outward) > 0) & (outward != 0)
    # Shorts hide most of a thigh.
    covered = int(np.searchsorted(mesh.detail.along, 0.7)) - 1
    seen[PART_ROW["thigh_b"], :covered] = seen[PART_ROW["thigh_o"], :covered] = False
    # Facets catch the light of their neighbours as well, or cloth looks like checked paper.
    normals = normals * np.sign(outward)[..., None]
    normals = normals + 0.8 * (np.roll(normals, 1, axis=2) + np.roll(normals, -1, axis=2))
    normals[:, 1:-1] += 0.6 * (normals[:, :-2] + normals[:, 2:])
    # A limb is lit as the cylinder it nearly is: its rounded ends, lit by themselves, would look like ball joints.
    normals = np.where(_ROUND[:, None, None, None], middle - inside, normals)[seen]
    lit = shade(colours[seen], _unit(normals), _unit(towards[seen]), light, gloss)
    return Soup(quads[seen], lit, np.zeros(len(lit)))


def patch_soup(quads: Array, colours: Array, camera: Camera, light: Light, lift: float = 0.05) -> Soup:
    """Return sewn-on quads `[n, 4, 3]` that face the camera, lit; corner order says which way they face."""
    normals = np.cross(quads[:, 1] - quads[:, 0], quads[:, 3] - quads[:, 0])
    normals = -_unit(normals)
    towards = _unit(camera.position - quads.mean(axis=1))
    seen = _dots(normals, towards)[:, 0] > 0.03
    lit = shade(colours[seen], normals[seen], towards[seen], light)
    return Soup(quads[seen], lit, np.full(len(lit), lift))


def box_soup(low: Array, high: Array, colour: tuple[int, int, int], camera: Camera, light: Light) -> Soup:
    """Return the faces of an upright box from corner `low` `[3]` to `high` `[3]` in one colour, lit."""
    x0, y0, z0 = low
    x1, y1, z1 = high
    faces = np.array([
        [[x0, y0, z0], [x0, y1, z0], [x0, y1, z1], [x0, y0, z1]],
        [[x1, y0, z0], [x1, y1, z0], [x1, y1, z1], [x1, y0, z1]],
        [[x0, y0, z0], [x1, y0, z0], [x1, y0, z1], [x0, y0, z1]],
        [[x0, y1, z0], [x1, y1, z0], [x1, y1, z1], [x0, y1, z1]],
        [[x0, y0, z0], [x1, y0, z0], [x1, y1, z0], [x0, y1, z0]],
        [[x0, y0, z1], [x1, y0, z1], [x1, y1, z1], [x0, y1, z1]],
    ])  # fmt: skip
    normals = np.array([[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]], dtype=np.float64)
    towards = _unit(camera.position - faces.mean(axis=1))
    seen = _dots(normals, towards)[:, 0] > 0
    albedo = np.repeat(np.array([colour], dtype=np.float64), int(seen.sum()), axis=0)
    return Soup(faces[seen], shade(albedo, normals[seen], towards[seen], light, 0.1), np.zeros(int(seen.sum())))


Event = tuple[float, Callable[[Image], object]]


def paint_soup(canvas: Image, camera: Camera, soups: list[Soup], events: list[Event]) -> None:
    """Paint polygons and events into `canvas` RGB uint8 `[H, W, 3]`, the farthest first.

    Args:
        canvas: as large as the camera's picture.
        camera: who looks.
        soups: polygons.
        events: (depth in metres, function that paints on the canvas): what is not made of polygons.
    """
    corners = np.concatenate([soup.corners for soup in soups])
    colours = np.concatenate([soup.colours for soup in soups])
    lift = np.concatenate([soup.lift for soup in soups])
    pixels, depth = camera.project(corners)
    middle = (depth[:, 0] + depth[:, 1] + depth[:, 2] + depth[:, 3]) / 4 - lift
    keep = (depth[:, 0] > 0.3) & (depth[:, 1] > 0.3) & (depth[:, 2] > 0.3) & (depth[:, 3] > 0.3)
    order = np.argsort(-middle[keep], kind="stable")
    middle = middle[keep][order]
    polygons = np.round(np.clip(pixels[keep][order], -30000, 30000) * 16).astype(np.int32)
    painted = colours[keep][order].tolist()
    start = 0
    for far, act in sorted(events, key=lambda event: -event[0]):
        end = int(np.searchsorted(-middle, -far))
        for polygon, colour in zip(polygons[start:end], painted[start:end], strict=True):
            cv2.fillConvexPoly(canvas, polygon, colour, cv2.LINE_8, 4)
        act(canvas)
        start = end
    for polygon, colour in zip(polygons[start:], painted[start:], strict=True):
        cv2.fillConvexPoly(canvas, polygon, colour, cv2.LINE_8, 4)


def paint_shadows(mask: Image, camera: Camera, meshes: list[Mesh], towards_light: Array) -> None:
    """Paint the floor shadows of bodies into `mask` uint8 `[H, W]` as 255, hard-edged.

    Args:
        mask: as large as the camera's picture.
        camera: who looks.
        meshes: the bodies.
        towards_light: direction `[3]` to the lamp, z > 0.
    """
    slope = towards_light[:2] / towards_light[2]
    for mesh in meshes:
        flat = mesh.rings[_LARGE, ::2, ::2].reshape(len(_LARGE), -1, 3).copy()
        flat[..., :2] -= flat[..., 2:3] * slope
        flat[..., 2] = 0.0
        pixels, depth = camera.project(flat)
        for part, ahead in zip(pixels, depth, strict=True):
            if ahead.min() > 0.3:
                hull = cv2.convexHull(np.clip(part, -9000, 9000).astype(np.float32))
                cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 255)


def paint_reflections(canvas: Image, mask: Image, camera: Camera, meshes: list[Mesh], colours: list[Array]) -> None:
    """Paint bodies upside down below the floor into `canvas` RGB uint8 `[H, W, 3]`, and 255 into `mask` `[H, W]`."""
    for mesh, paint in zip(meshes, colours, strict=True):
        mirrored = mesh.rings[_LARGE, ::2, ::2].reshape(len(_LARGE), -1, 3) * np.array([1.0, 1.0, -1.0])
        pixels, depth = camera.project(mirrored)
        shades = paint[_LARGE, ::2, ::2].mean(axis=(1, 2)) * 0.75
        for row in np.argsort(-depth.mean(axis=1), kind="stable"):
            if depth[row].min() > 0.3:
                hull = cv2.convexHull(np.clip(pixels[row], -9000, 9000).astype(np.float32))
                points = np.round(hull).astype(np.int32)
                cv2.fillConvexPoly(canvas, points, shades[row].tolist())
                cv2.fillConvexPoly(mask, points, 255)
