"""How a transformer is told where a token stands: added to the tokens, or in the attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.transformer import sines

POSITIONS = ("none", "sine", "learned", "relative", "alibi", "rope", "randomized")
HIGHEST = 2_048  # of randomized positions (Ruoss et al. 2023, section 4)


class Added(nn.Module):
    """Tokens (batch, tokens, width) plus a vector for the place of each: nothing.

    The other kinds are `Sine`, `Learned` and `Randomized`.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens


class Sine(Added):
    """sin(p / 10000^(2i/width)) and its cosine for position p (Vaswani et al. 2017, section 3.5)."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + sines(*tokens.shape[1:])


class Learned(Added):
    """A learned vector for each position (Gehring et al. 2017).

    Those of positions that training never shows keep the values they start with. Delétang et al. do not have this kind;
    tokens without a vector are refused.

    Args:
        longest: how many positions there are.

    Raises:
        ValueError: in `forward`, more tokens than positions.
    """

    def __init__(self, width: int, longest: int):
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(longest, width) * 0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        longest, given = len(self.vectors), tokens.shape[1]
        if given > longest:
            raise ValueError(
                f"positions=learned has vectors for {longest} tokens and cannot read {given}; "
                f"make it with longest={given}"
            )
        return tokens + self.vectors[:given]


class Randomized(Added):
    """Sines at positions drawn without replacement from the first 2,048 and put in order, anew for each batch.

    Ruoss et al. 2023, "Randomized Positional Encodings Boost Length Generalization of Transformers", section 3. Long
    sequences in tests meet no position that short ones in training did not.

    Args:
        seed: of the drawing.

    Raises:
        ValueError: in `forward`, more tokens than positions.
    """

    table: Tensor

    def __init__(self, width: int, seed: int):
        super().__init__()
        self.register_buffer("table", sines(HIGHEST, width), persistent=False)
        self.generator = torch.Generator().manual_seed(seed)

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.table[self.drawn(tokens.shape[1])]

    def drawn(self, tokens: int) -> Tensor:
        """Positions for so many tokens."""
        if tokens > HIGHEST:
            raise ValueError(f"positions=randomized draws from {HIGHEST:,} positions and cannot read {tokens:,} tokens")
        return torch.randperm(HIGHEST, generator=self.generator)[:tokens].sort().values


class Within(nn.Module):
    """What attention does with positions: nothing. The other kinds are `Rope`, `Alibi` and `Relative`."""

    def forward(self, query: Tensor, key: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """The query and key (batch, heads, tokens, size) to use, and what is added to the scores q·k/√size.

        Args:
            at: positions of the tokens, one after the other.
        """
        return query, key, None


class Rope(Within):
    """Turns each pair of a query's and a key's numbers by position · 10000^(-2i/size) (Su et al. 2021, section 3.2)."""

    def forward(self, query: Tensor, key: Tensor, at: Tensor) -> tuple[Tensor, Tensor, None]:
        size = query.shape[3]
        angles = at[:, None].double() / 10_000 ** (torch.arange(0, size, 2) / size)
        cosine, sine = (each.to(query.dtype) for each in (angles.cos(), angles.sin()))
        return rotated(query, cosine, sine), rotated(key, cosine, sine), None


def rotated(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2)


class Alibi(Within):
    """Lowers a score by slope · distance; the slope of head h of H is 2^(-8h/H) (Press et al. 2022, section 3).

    They attend to the past only. Here, as Delétang et al. 2023 do, a token sees both sides, and distances to the past
    are smaller by a half, or the sides would look the same.
    """

    def __init__(self, heads: int):
        super().__init__()
        self.slopes = 2.0 ** (-8 * torch.arange(1, heads + 1) / heads)

    def forward(self, query: Tensor, key: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ahead = (at[None] - at[:, None]).to(query.dtype)
        distance = ahead.abs() - 0.5 * (ahead < 0)
        return query, key, -self.slopes.to(query.dtype)[:, None, None] * distance


class Relative(Within):
    """(q + u)·k + (q + v)·W r(i - j), where r are sines of the distance (Dai et al. 2019, section 3.3)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.width, self.heads = width, heads
        self.distance = nn.Linear(width, width, bias=False)
        self.content, self.place = (nn.Parameter(torch.zeros(heads, 1, width // heads)) for _ in range(2))

    def forward(self, query: Tensor, key: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tokens = len(at)
        apart = torch.arange(tokens - 1, -tokens, -1)  # i - j, from the first key's to the last one's
        angles = apart[:, None] / 10_000 ** (torch.arange(0, self.width, 2) / self.width)
        waves = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1).to(query.dtype)
        distances = self.distance(waves).unflatten(1, (self.heads, -1)).transpose(0, 1)
        scores = (query + self.place) @ distances.mT / query.shape[3] ** 0.5
        # row i starts i places too late: a column more, and the rows read as if they were as long as before
        shifted = F.pad(scores, (1, 0)).flatten(2)[..., tokens:].unflatten(2, (tokens, -1))[..., :tokens]
        return query + self.content, key, shifted


def added(positions: str, width: int, longest: int, seed: int) -> Added:
    """What is added to the tokens."""
    if positions == "sine":
        return Sine()
    if positions == "learned":
        return Learned(width, longest)
    return Randomized(width, seed) if positions == "randomized" else Added()


def within(positions: str, width: int, heads: int) -> Within:
    """What happens in the attention of one layer."""
    if positions == "rope":
        return Rope()
    if positions == "alibi":
        return Alibi(heads)
    return Relative(width, heads) if positions == "relative" else Within()
