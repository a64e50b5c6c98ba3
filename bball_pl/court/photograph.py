"""From a scene to a photo: depth of field, motion blur, light on the sensor, noise, overlays."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from bball_pl.court.backdrops import WORDS
from bball_pl.court.body import COARSE, FINE, MIDDLE, Mesh, build_mesh
from bball_pl.court.camera import Array, Camera, Image, Plane, paint_plane
from bball_pl.court.figure import (
    Event,
    Soup,
    box_soup,
    mesh_soup,
    paint_reflections,
    paint_shadows,
    paint_soup,
    patch_soup,
)
from bball_pl.court.framing import is_in_picture
from bball_pl.court.game import Game
from bball_pl.court.hall import COURT_LENGTH, Colour
from bball_pl.court.hoop import RING_X, hoop_soup, paint_ball
from bball_pl.court.outfit import paint_body, patches
from bball_pl.court.pose import BALL_RADIUS
from bball_pl.court.scene import Person, Scene, sample_scene, tall_in_pixels

#: JPEG qualities of photos that were saved more than once.
PRESS_QUALITIES = (45, 96)


def finish(rng: np.random.Generator, photo: Image, colour: Colour) -> Image:
    """Apply random post-processing to a photo, RGB uint8 `[H, W, 3]`, 0–255.

    Args:
        rng: the photo's generator.
        photo: The developed photo; may be changed in place.
        colour: Colour of overlays, RGB 0–255.
    """
    if rng.random() < 0.06:
        photo = _toned(rng, photo)
    if rng.random() < 0.06:
        _score(rng, photo, colour)
    if rng.random() < 0.06:
        _mark(rng, photo)
    if rng.random() < 0.04:
        photo = _framed(rng, photo)
    if rng.random() < 0.14:
        photo = _small_copy(rng, photo)
    return photo


def _toned(rng: np.random.Generator, photo: Image) -> Image:
    """Return the photo in black and white, or in one tone."""
    grey = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.7:
        return grey
    tone = np.array([255, rng.uniform(200, 250), rng.uniform(140, 235)]) / 255
    image: Image = (grey * tone).astype(np.uint8)
    return image


def _score(rng: np.random.Generator, photo: Image, colour: Colour) -> None:
    """Draw a broadcast score bug, in place."""
    height, width = photo.shape[:2]
    tall = int(rng.integers(12, 26))
    wide = int(rng.integers(width // 4, width))
    left = int(rng.integers(0, max(1, width - wide)))
    top = height - tall - int(rng.integers(2, 24)) if rng.random() < 0.7 else int(rng.integers(2, 20))
    cover = float(rng.uniform(0.6, 1.0))
    view = photo[top : top + tall, left : left + wide]
    plate = np.empty_like(view)
    plate[:] = (22, 24, 34)
    half = wide // 2
    plate[:, : half // 3] = colour
    home, away = (int(rng.integers(20, 120)) for _ in range(2))
    quarter, minute, second = int(rng.integers(1, 5)), int(rng.integers(1, 9)), int(rng.integers(10, 60))
    words = f"{home} - {away}  Q{quarter} 0{minute}:{second}"
    at = (half // 3 + 6, round(tall * 0.75))
    cv2.putText(plate, words, at, cv2.FONT_HERSHEY_DUPLEX, tall / 34, (240, 240, 240), 1, cv2.LINE_AA)
    photo[top : top + tall, left : left + wide] = cv2.addWeighted(view, 1 - cover, plate, cover, 0.0)


def _mark(rng: np.random.Generator, photo: Image) -> None:
    """Draw an agency watermark or a badge, in place."""
    height, width = photo.shape[:2]
    words = WORDS[int(rng.integers(len(WORDS)))]
    if rng.random() < 0.5:
        layer = photo.copy()
        scale = float(rng.uniform(0.5, 1.4))
        for _ in range(int(rng.integers(1, 5))):
            at = (int(rng.integers(0, width // 2)), int(rng.integers(20, height)))
            cv2.putText(layer, words, at, cv2.FONT_HERSHEY_DUPLEX, scale, (255, 255, 255), 2, cv2.LINE_AA)
        cover = float(rng.uniform(0.2, 0.6))
        photo[:] = cv2.addWeighted(photo, 1 - cover, layer, cover, 0.0)
        return
    tall, wide = 16, 78
    top, left = height - tall - int(rng.integers(4, 14)), width - wide - int(rng.integers(4, 14))
    cv2.rectangle(photo, (left, top), (left + wide, top + tall), (210, 60, 50), -1)
    cv2.putText(photo, words[:9], (left + 4, top + 12), cv2.FONT_HERSHEY_DUPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)


def _framed(rng: np.random.Generator, photo: Image) -> Image:
    """Return the photo shrunk into a border of its old size."""
    height, width = photo.shape[:2]
    tone = 255 if rng.random() < 0.5 else 0
    across, down = (int(rng.integers(2, 16)) for _ in range(2))
    framed = np.full_like(photo, tone)
    inner = cv2.resize(photo, (width - 2 * across, height - 2 * down), interpolation=cv2.INTER_AREA)
    framed[down : height - down, across : width - across] = inner
    return framed


def _small_copy(rng: np.random.Generator, photo: Image) -> Image:
    """Return the photo downscaled and enlarged again."""
    height, width = photo.shape[:2]
    factor = float(rng.uniform(0.3, 0.75))
    tiny = cv2.resize(photo, (round(width * factor), round(height * factor)), interpolation=cv2.INTER_AREA)
    image: Image = cv2.resize(tiny, (width, height), interpolation=cv2.INTER_CUBIC)
    return image


def encode_for_web(rng: np.random.Generator, photo: Image) -> bytes:
    """Return a photo RGB uint8 `[H, W, 3]` as the bytes of a JPEG file with a quality from `PRESS_QUALITIES`."""
    quality = int(rng.integers(*PRESS_QUALITIES))
    _, data = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)


#: People are painted at twice the photo's size without smoothed edges, then halved: no seams between polygons.
_FINER = 2
#: Metres behind the player with the ball to which a picture is sharp.
_SHARP_BEHIND = 2.0
#: JPEG qualities, as albums have them after an upload.
QUALITIES = (70, 93)


def paint_hall(camera: Camera, game: Game) -> tuple[Image, Image]:
    """Return the empty hall RGB uint8 `[H, W, 3]`, its floor mirroring the walls, and the floor's mask `[H, W]`."""
    width, height = camera.size
    canvas = np.zeros((height, width, 3), np.uint8)
    floor, *rest = game.gym.planes
    for plane in rest:
        paint_plane(canvas, camera, plane)
    mask = paint_plane(canvas, camera, floor)
    if mask is None:
        return canvas, np.zeros((height, width), np.uint8)
    small = camera.scaled(0.25)
    mirrored: Image = np.zeros((small.size[1], small.size[0], 3), np.uint8)
    flip = np.array([1.0, 1.0, -1.0])
    for plane in rest:
        paint_plane(
            mirrored, small, Plane(plane.origin * flip, plane.right, plane.down * flip, plane.density, plane.texture)
        )
    mirrored = cv2.GaussianBlur(mirrored, (0, 0), 1.2, sigmaY=3.0)
    mirrored = cv2.resize(mirrored, (width, height), interpolation=cv2.INTER_LINEAR)
    shiny = cv2.addWeighted(canvas, 1 - 0.55 * game.gloss, mirrored, game.gloss, 0.0)
    cv2.copyTo(shiny, mask, canvas)
    return canvas, mask


def darken_and_mirror(
    canvas: Image, floor: Image, camera: Camera, game: Game, meshes: list[Mesh], paints: list[Array]
) -> None:
    """Put the bodies' shadows and mirror images on the floor of `canvas`, in place, at half size: both are soft."""
    width, height = camera.size
    half = camera.scaled(0.5)
    shape = (half.size[1], half.size[0])
    shadow: Image = np.zeros(shape, np.uint8)
    paint_shadows(shadow, half, meshes, game.shadow)
    # Many lamps in a row: a core below the body, a wide rim around it.
    soft = cv2.addWeighted(cv2.GaussianBlur(shadow, (0, 0), 1.6), 0.6, cv2.GaussianBlur(shadow, (0, 0), 5.5), 0.5, 0.0)
    soft = cv2.bitwise_and(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), floor)
    left = cv2.LUT(soft, np.clip(255 - game.shadow_depth * np.arange(256) * 1.25, 0, 255).astype(np.uint8))
    cv2.multiply(canvas, cv2.merge([left, left, left]), dst=canvas, scale=1 / 255)
    layer: Image = np.zeros((*shape, 3), np.uint8)
    mask: Image = np.zeros(shape, np.uint8)
    paint_reflections(layer, mask, half, meshes, paints)
    layer = cv2.resize(
        cv2.GaussianBlur(layer, (0, 0), 1.0, sigmaY=2.5), (width, height), interpolation=cv2.INTER_LINEAR
    )
    mask = cv2.resize(cv2.GaussianBlur(mask, (0, 0), 1.0, sigmaY=2.5), (width, height), interpolation=cv2.INTER_LINEAR)
    mask = cv2.bitwise_and(mask, floor)
    strength = 0.12 + 0.8 * game.gloss
    covered = cv2.multiply(canvas, cv2.merge([255 - cv2.convertScaleAbs(mask, alpha=strength)] * 3), scale=1 / 255)
    layer = cv2.multiply(layer, cv2.merge([(floor // 255) * 255] * 3), scale=strength / 255)
    cv2.add(covered, layer, dst=canvas)


def streak(image: Image, length: float, turn: float) -> Image:
    """Return an image blurred along a line of `length` pixels in direction `turn` radians."""
    size = max(3, int(np.ceil(length)) | 1)
    kernel = np.zeros((size, size), np.float32)
    middle, way = (size - 1) / 2, np.array([np.cos(turn), np.sin(turn)]) * (size - 1) / 2
    start, end = np.round(middle - way).astype(int), np.round(middle + way).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0, 1)
    blurred: Image = cv2.filter2D(image, -1, kernel / kernel.sum())
    return blurred


def _dressed(rng: np.random.Generator, camera: Camera, person: Person, finest: float) -> tuple[Mesh, Array]:
    """Return a person's surfaces, as fine as the size in the picture needs, and their colours.

    `finest` is the height in pixels from which the finest level is used: it costs twice the next one.
    """
    tall = tall_in_pixels(camera, person)
    detail = FINE if tall > finest else MIDDLE if tall > 105 else COARSE
    folds = tuple(float(phase) for phase in rng.uniform(0, 2 * np.pi, 6))
    mesh = build_mesh(person.body, person.handed, person.looks.size, person.looks.girth, detail, folds)
    return mesh, paint_body(person.looks, person.outfit, detail)


def _soups(camera: Camera, game: Game, person: Person, mesh: Mesh, paint: Array) -> list[Soup]:
    soups = [mesh_soup(mesh, paint, camera, game.light)]
    if mesh.detail is not COARSE:
        soups.append(patch_soup(*patches(mesh, person.looks, person.outfit), camera, game.light))
    return soups


def paint_scene(rng: np.random.Generator, scene: Scene, game: Game) -> Image:
    """Return the scene as a lens sees it: RGB uint8 `[H, W, 3]`, 0–255, before the sensor.

    Args:
        rng: the photo's generator.
        scene: who is where.
        game: the album.
    """
    camera = scene.camera
    canvas, floor = paint_hall(camera, game)
    people = [scene.main, *(person for person in scene.others if is_in_picture(camera, person.body.joints))]
    dressed = [_dressed(rng, camera, person, 180 if person is scene.main else 330) for person in people]
    darken_and_mirror(canvas, floor, camera, game, [mesh for mesh, _ in dressed], [paint for _, paint in dressed])

    fine = camera.scaled(_FINER)
    main_depth = float(camera.project(scene.main.body["pelvis"])[1])
    near: list[Soup] = []
    far: list[Soup] = []
    for person, (mesh, paint) in zip(people, dressed, strict=True):
        depth = float(camera.project(person.body["pelvis"])[1])
        (far if depth > main_depth + _SHARP_BEHIND else near).extend(_soups(camera, game, person, mesh, paint))
    bench = game.bench_side * 8.8
    for x in np.arange(3.8, 8.8, 1.0):
        low, high = np.array([x, bench - 0.2, 0.4]), np.array([x + 1.0, bench + 0.2, 0.46])
        if is_in_picture(camera, np.stack([low, high])):
            behind = float(camera.project(low)[1]) > main_depth + _SHARP_BEHIND
            (far if behind else near).append(box_soup(low, high, (150, 112, 76), camera, game.light))
    near_events: list[Event] = []
    far_events: list[Event] = []
    for far_end in (False, True):
        x = COURT_LENGTH - RING_X if far_end else RING_X
        if not is_in_picture(
            camera, np.array([[x + dx, dy, z] for dx in (-3.0, 0.3) for dy in (-1, 1) for z in (0, 4)])
        ):
            continue
        behind = float(camera.project(np.array([x, 0.0, 2.0]))[1]) > main_depth + _SHARP_BEHIND
        seen_by = camera if behind else fine
        soups, events = hoop_soup(seen_by, game.light, far_end, game.glass, game.gym.accent)
        (far if behind else near).extend(soups)
        (far_events if behind else near_events).extend(events)
    if far:
        paint_soup(canvas, camera, far, far_events)
    if rng.random() < 0.16:  # the photographer followed the player
        canvas = streak(canvas, float(rng.uniform(4, 14)), float(rng.normal(0, 0.12)))
    else:
        canvas = cv2.GaussianBlur(canvas, (0, 0), game.defocus * float(rng.uniform(0.7, 1.2)))

    canvas = cv2.resize(canvas, fine.size, interpolation=cv2.INTER_LINEAR)
    pixel, ball_depth = fine.project(scene.ball)
    shutter = float(rng.choice([1 / 1000, 1 / 400, 1 / 160], p=[0.4, 0.35, 0.25]))
    smear = fine.project(scene.ball + scene.ball_speed * shutter)[0] - pixel
    spin, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    radius = fine.focal * BALL_RADIUS / float(ball_depth)

    def ball(target: Image) -> None:
        paint_ball(target, pixel, radius, smear, game.light, fine, spin, game.ball)

    paint_soup(canvas, fine, near, [*near_events, (float(ball_depth), ball)])
    photo: Image = cv2.resize(canvas, camera.size, interpolation=cv2.INTER_AREA)
    return photo


@lru_cache(maxsize=8)
def _vignette(height: int, width: int, strength: float) -> Image:
    """Return factors uint8 `[H, W, 3]`, 255 leaves a pixel as it is; corners are darker by `strength`."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    dim = (255 * (1 - strength * np.clip((x * x + y * y) / 2, 0, 1) ** 1.5)).astype(np.uint8)
    factors: Image = cv2.merge([dim, dim, dim])
    return factors


def develop(rng: np.random.Generator, photo: Image, game: Game) -> Image:
    """Return a photo RGB uint8 `[H, W, 3]` after lens, sensor and album: glow, blur, tone, vignette, noise, watermark.

    Args:
        rng: the photo's generator.
        photo: as `paint_scene` gives it.
        game: the album.
    """
    height, width = photo.shape[:2]
    photo = cv2.GaussianBlur(photo, (0, 0), game.softness * float(rng.uniform(0.8, 1.2)))
    if rng.random() < 0.22:
        photo = streak(photo, float(rng.uniform(2, 5)), float(rng.uniform(0, np.pi)))
    small = cv2.resize(photo, (width // 8, height // 8), interpolation=cv2.INTER_AREA)
    bright = cv2.GaussianBlur(cv2.subtract(small, np.full_like(small, 205)), (0, 0), 3.0)
    photo = cv2.add(photo, cv2.resize(bright, (width, height), interpolation=cv2.INTER_LINEAR))
    if game.saturation != 1.0:
        grey = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        photo = cv2.addWeighted(photo, game.saturation, grey, 1 - game.saturation, 0.0)
    exposure = game.exposure * float(rng.normal(1.0, 0.04))
    level = np.arange(256) / 255.0
    channels = []
    for channel in range(3):
        tone = np.clip(level * exposure * game.balance[channel], 0, 1.4)
        tone = 0.5 + (tone - 0.5) * game.contrast
        tone = np.where(tone > 0.8, 0.8 + 0.2 * np.tanh((tone - 0.8) / 0.2), tone)  # highlights roll off
        channels.append(cv2.LUT(photo[..., channel], np.clip(tone * 255, 0, 255).astype(np.uint8)))
    photo = cv2.multiply(cv2.merge(channels), _vignette(height, width, game.vignette), scale=1 / 255)
    top, left = int(rng.integers(0, 700 - height + 1)), int(rng.integers(0, 700 - width + 1))
    noise = game.noise[top : top + height, left : left + width]
    photo = cv2.addWeighted(photo, 1.0, noise, game.grain, 0.0, dtype=cv2.CV_8U)
    if game.watermark is not None:
        _stamp(rng, photo, game.watermark)
    return photo


def _stamp(rng: np.random.Generator, photo: Image, mark: Image) -> None:
    """Put an album's mark into a lower or upper corner of `photo`, in place."""
    tall, wide = mark.shape
    height, width = photo.shape[:2]
    wide = min(wide, width - 20)
    left = 10 if rng.random() < 0.3 else width - wide - 10
    top = 10 if rng.random() < 0.15 else height - tall - 10
    part = photo[top : top + tall, left : left + wide].astype(np.float32)
    cover = mark[:, :wide, None].astype(np.float32) / 255
    photo[top : top + tall, left : left + wide] = (part * (1 - cover) + 255 * cover).astype(np.uint8)


def take_photo(rng: np.random.Generator, game: Game, move: str) -> Image:
    """Return a photo of `game` whose player with the ball does `move`: RGB uint8 `[H, W, 3]`, 0–255."""
    return develop(rng, paint_scene(rng, sample_scene(rng, game, move), game), game)


def encode(rng: np.random.Generator, photo: Image) -> bytes:
    """Return a photo RGB uint8 `[H, W, 3]` as the bytes of a JPEG file with a quality from `QUALITIES`."""
    quality = int(rng.integers(*QUALITIES))
    _, data = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)
