"""A pinhole camera: world metres to pixels, planes to homographies, and polygons cut where they pass the lens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: RGB uint8 `[H, W, 3]` or a mask uint8 `[H, W]`; OpenCV's own annotations do not know which type comes back.
Image = NDArray[Any]

#: Nothing nearer than this many metres is drawn: a projection divides by the depth.
NEAR = 0.15


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without lens distortion.

    World axes: x runs along the court from the baseline, y across it, z up; metres.

    Attributes:
        position: world place of the lens `[3]`, metres.
        rotation: world to camera `[3, 3]`; its rows are the camera's right, down and forward, unit length.
        focal: focal length in pixels.
        centre: principal point (x, y) in pixels. A crop of a larger photo has it away from the middle.
        size: width and height of the photo in pixels.
    """

    position: Array
    rotation: Array
    focal: float
    centre: tuple[float, float]
    size: tuple[int, int]

    def project(self, points: Array) -> tuple[Array, Array]:
        """Return pixels `[..., 2]` and depths `[...]` in metres of world points `[..., 3]`.

        A point behind the lens has a negative depth and no meaningful pixel.
        """
        # One flat product: NumPy multiplies a stack of small matrices one by one.
        seen = (points.reshape(-1, 3) - self.position) @ self.rotation.T
        depth = seen[:, 2]
        scale = self.focal / np.where(np.abs(depth) < 1e-6, 1e-6, depth)
        pixels = np.empty((len(seen), 2))
        np.multiply(seen[:, 0], scale, out=pixels[:, 0])
        np.multiply(seen[:, 1], scale, out=pixels[:, 1])
        pixels += self.centre
        return pixels.reshape(*points.shape[:-1], 2), depth.reshape(points.shape[:-1])

    def moved(self, dx: float, dy: float) -> Camera:
        """Return the same camera with its picture shifted by (dx, dy) pixels, as another crop of one photo."""
        return replace(self, centre=(self.centre[0] + dx, self.centre[1] + dy))

    def scaled(self, factor: float) -> Camera:
        """Return the same camera for a photo `factor` times as large in both directions."""
        width, height = self.size
        size = (round(width * factor), round(height * factor))
        centre = ((self.centre[0] + 0.5) * factor - 0.5, (self.centre[1] + 0.5) * factor - 0.5)
        return replace(self, focal=self.focal * factor, centre=centre, size=size)

    def homography(self, plane: Plane) -> Array:
        """Return the matrix `[3, 3]` from the plane's texture pixels to photo pixels (homogeneous columns).

        Source: Hartley and Zisserman, Multiple View Geometry, 2nd edition, section 8.1.1.
        """
        lens = np.array([[self.focal, 0, self.centre[0]], [0, self.focal, self.centre[1]], [0, 0, 1.0]])
        columns = np.stack([plane.right, plane.down, plane.origin - self.position], axis=1)
        texture_to_metres = np.array([[1 / plane.density, 0, 0], [0, 1 / plane.density, 0], [0, 0, 1.0]])
        matrix: Array = lens @ self.rotation @ columns @ texture_to_metres
        return matrix


@dataclass(frozen=True)
class Plane:
    """A textured rectangle in the world.

    Attributes:
        origin: world place `[3]` of the texture's pixel (0, 0), metres.
        right: unit direction `[3]` of growing texture x.
        down: unit direction `[3]` of growing texture y.
        density: texture pixels per metre.
        texture: RGB uint8 `[H, W, 3]`, 0–255.
    """

    origin: Array
    right: Array
    down: Array
    density: float
    texture: Image

    def corners(self) -> Array:
        """Return the rectangle's world corners `[4, 3]` in order around it, metres."""
        height, width = self.texture.shape[:2]
        across, along = self.right * (width / self.density), self.down * (height / self.density)
        return np.stack([self.origin, self.origin + across, self.origin + across + along, self.origin + along])


def look_at(position: Array, target: Array, focal: float, size: tuple[int, int], roll: float = 0.0) -> Camera:
    """Return a camera at `position` with `target` in the middle of its picture.

    Args:
        position: world place `[3]` of the lens, metres.
        target: world place `[3]` to look at, metres; not straight above or below `position`.
        focal: focal length in pixels.
        size: width and height in pixels.
        roll: turn around the viewing direction, radians; positive turns the horizon clockwise.
    """
    forward = target - position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, np.array([0.0, 0.0, 1.0]))
    right = right / np.linalg.norm(right)
    down = np.cross(forward, right)
    turned_right = np.cos(roll) * right - np.sin(roll) * down
    turned_down = np.sin(roll) * right + np.cos(roll) * down
    rotation = np.stack([turned_right, turned_down, forward])
    return Camera(position, rotation, focal, ((size[0] - 1) / 2, (size[1] - 1) / 2), size)


def visible_polygon(camera: Camera, corners: Array) -> Array | None:
    """Return pixels `[n, 2]` of a convex world polygon `[m, 3]` cut at the near plane; None if all of it is behind.

    Source: Sutherland and Hodgman, Reentrant polygon clipping, 1974.
    """
    ahead = (corners - camera.position) @ camera.rotation[2] - NEAR
    kept: list[Array] = []
    for i in range(len(corners)):
        j = (i + 1) % len(corners)
        if ahead[i] >= 0:
            kept.append(corners[i])
        if (ahead[i] >= 0) != (ahead[j] >= 0):
            share = ahead[i] / (ahead[i] - ahead[j])
            kept.append(corners[i] + share * (corners[j] - corners[i]))
    if len(kept) < 3:
        return None
    pixels: Array = camera.project(np.stack(kept))[0]
    return pixels


def fill(canvas: NDArray, polygon: Array, colour: tuple[float, ...] | float, line: int = cv2.LINE_8) -> None:
    """Fill a convex polygon `[n, 2]` of pixels, places kept to a sixteenth of a pixel."""
    # OpenCV keeps coordinates in 16 + 4 bits here; far outside the picture the exact place does not matter.
    points = np.clip(polygon, -30000, 30000)
    cv2.fillConvexPoly(canvas, np.round(points * 16).astype(np.int32), colour, line, 4)


def paint_plane(canvas: Image, camera: Camera, plane: Plane) -> Image | None:
    """Paint a plane's texture into `canvas` RGB uint8 `[H, W, 3]` in perspective.

    Returns:
        The mask uint8 `[H, W]`, 255 where the plane was painted, or None if nothing of it is in the picture.
    """
    polygon = visible_polygon(camera, plane.corners())
    if polygon is None:
        return None
    width, height = camera.size
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    if high[0] < 0 or high[1] < 0 or low[0] > width or low[1] > height:
        return None
    mask = np.zeros((height, width), np.uint8)
    fill(mask, polygon, 255.0)
    if not mask.any():
        return None
    left, top, span, drop = cv2.boundingRect(mask)
    crop = np.array([[1.0, 0, -left], [0, 1.0, -top], [0, 0, 1.0]])
    matrix = crop @ camera.homography(plane)
    warped = cv2.warpPerspective(
        plane.texture, matrix, (span, drop), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    cv2.copyTo(warped, mask[top : top + drop, left : left + span], canvas[top : top + drop, left : left + span])
    return mask
