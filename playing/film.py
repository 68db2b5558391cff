"""Films of episodes: their pictures, and files of them: GIF, which needs nothing else, or MP4 (extra `[video]`)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import gymnasium
import numpy as np
from PIL import Image

from envs.names import creator_of

TILE = 16  # pixels of a cell of MiniGrid in a replay; the first picture of each kind of cell takes time with its area


class NoFilm(ValueError):
    """An environment gives no pictures; the message says why."""


def drawing(options: Mapping[str, Any]) -> gymnasium.Env:
    """The first environment of an evaluation, able to draw itself.

    Args:
        options: of `envs.make.make_nth_env`.
    """
    from envs.make import make_nth_env

    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame draws into memory, and needs no screen to complain about
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    return make_nth_env(index=0, **{**options, "render_mode": "rgb_array"})


def draws(env_id: str) -> bool:
    """Whether an environment may be able to draw itself, as far as its class says."""
    metadata = getattr(creator_of(env_id), "metadata", None)
    return metadata is None or "rgb_array" in metadata.get("render_modes", ())


def replayed(options: Mapping[str, Any], seed: int, actions: np.ndarray, most: int) -> tuple[list[np.ndarray], float]:
    """Pictures of an episode that was played before, and how many of them to show in a second.

    Args:
        options: of `drawing`.
        seed, actions: of the episode; it begins with a reset, and ends with its last action.
        most: the number of pictures, at even distances, where the episode has more; they are shown at its own pace.

    Raises:
        NoFilm: the environment draws nothing.
    """
    from minigrid.minigrid_env import MiniGridEnv

    env = drawing(options)
    if isinstance(env.unwrapped, MiniGridEnv):
        env.unwrapped.tile_size = TILE
    shown = {*np.linspace(0, len(actions), min(most, len(actions) + 1)).round().astype(int).tolist()}
    env.reset(seed=seed)
    pictures = [picture_of(env)]
    for step, action in enumerate(actions, 1):
        _, _, terminated, truncated, _ = env.step(action)
        if step in shown:
            pictures.append(picture_of(env))
        if terminated or truncated:
            break
    rate = rate_of(env) * (len(pictures) - 1) / len(actions)
    env.close()
    return pictures, max(1.0, rate)


def rate_of(env: gymnasium.Env) -> float:
    """Steps per second, as an environment wants to be shown."""
    return float(env.metadata.get("render_fps") or 10)


def picture_of(env: gymnasium.Env) -> np.ndarray:
    """What an environment draws: uint8 (height, width, 3).

    Raises:
        NoFilm: it is something else.
    """
    picture: Any = env.render()
    if not isinstance(picture, np.ndarray) or picture.ndim != 3 or picture.shape[2] != 3:
        raise NoFilm(f"render() gave {type(picture).__name__}, not a picture (height, width, 3)")
    return picture


def as_gif(pictures: Sequence[np.ndarray], rate: float, side: int | None = None) -> tuple[bytes, tuple[int, int]]:
    """A GIF that repeats itself, and its width and height.

    Args:
        pictures: uint8 (height, width, 3).
        rate: pictures per second.
        side: pictures with a longer side are divided by the smallest whole number that makes it no longer.
    """
    images = [Image.fromarray(picture) for picture in pictures]
    if side is not None:
        images = [image.reduce(-(-max(image.size) // side)) for image in images]
    first, *others = (image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE) for image in images)
    file = BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=1000 / rate, loop=0)
    return file.getvalue(), first.size


def can_write_mp4() -> bool:
    """Whether the extra `[video]` is installed."""
    return find_spec("av") is not None


def as_mp4(pictures: Sequence[np.ndarray], rate: float) -> bytes:
    """An MP4 (H.264), which every browser plays; odd sides get one more row or column of pixels, which H.264 needs."""
    import av

    height, width, _ = pictures[0].shape
    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=round(rate))
        stream.height, stream.width, stream.pix_fmt = height + height % 2, width + width % 2, "yuv420p"
        for picture in pictures:
            even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
