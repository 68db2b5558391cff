"""What a policy sees, as one HTML file that needs nothing else: a moment of an episode at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.diagnostics import attention
from comparing.document import HERE as COMPARING
from comparing.document import document
from comparing.markup import Markup, element, joined
from envs.names import short_name_of
from inspecting.images import frame
from inspecting.measures import PATCH, UNSEEN, Network, relations, replaced_by, shape_of, targets, units, weights
from inspecting.moments import Episode, played
from inspecting.sections import (
    actions,
    attention_maps,
    context_of,
    dependence,
    layer_units,
    relation_bars,
    weight_maps,
)
from storage.durable import write_file

if TYPE_CHECKING:
    from agents import Policy

HERE = Path(__file__).resolve().parent

SALIENCY = (
    "Occlusion: by how much an output falls when {place} is replaced by {instead}; orange where what is there raises "
    "the output, blue where it lowers it. Saliency: {slope}. Each is drawn relative to where it is strongest."
)
UNITS = (
    "A unit is one channel of a convolutional layer at one place (its column and row); the most active ones are shown. "
    "Left: where its deconvolution is strong, which runs the layers backwards from that unit alone. Right: {what}."
)
RELATIONS = (
    "Cells send messages along relations. The bars say how far {output} when one relation's messages are removed from "
    "every layer: 0 means that nothing changes."
)
ATTENTION = (
    "Where each attention head looks: more orange is more attention, relative to the cell that it attends to most. The "
    "percentages are shares of its whole attention, to all cells and to the other tokens."
)
WEIGHTS = (
    "The weights that the context generates: a row for each unit, a column for each input and a last one for the bias; "
    "orange is positive, blue negative. Where the context is the same, so are the weights."
)

Part = Callable[[int], Markup]  # of a moment


def inspect(policy: Policy, options: dict[str, Any], seed: int, source: str, file: Path) -> str:
    """Write the page; returns a line that says what it shows.

    Args:
        policy: without memory.
        options: of the environment, as for `playing.show.episode`.
        seed: of the episode.
        source: the policy's name.
        file: the page.

    Raises:
        ValueError: a policy with memory.
        OSError: the page cannot be written.
    """
    episode = played(policy, options, seed)
    network = Network(policy, episode.states, options.get("shuffle"))
    missing: list[str] = []
    parts: list[Markup | None] = [_what_it_does(episode, network, missing)]
    for section in (_convolutions, _relations, _weights):
        parts.append(_tried(section, episode, network, missing))
    parts.insert(3, _tried(lambda *some: _attention(policy, *some), episode, network, missing))
    name = short_name_of(options["id"]) or options["id"]
    body = joined(_head(source, name, policy, episode), _controls(episode), *filter(None, parts), _closing(missing))
    style = _part(COMPARING / "page.css") + _part(HERE / "inspect.css") + _frames(episode)
    write_file(file, document(_title(name, policy), style, body, None, _part(HERE / "inspect.js")))
    return f"inspect: {file}, {len(episode.steps)} moments of one episode of {episode.length} steps"


def _part(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _tried(section: Any, episode: Episode, network: Network, missing: list[str]) -> Any:
    """A section; None, and a sentence in `missing`, where the policy has no such thing."""
    try:
        return section(episode, network)
    except ValueError as reason:
        missing.append(f"{str(reason)[:1].upper()}{str(reason)[1:]}.")
        return None


def _title(name: str, policy: Policy) -> str:
    encoder = policy.spec["encoder"]["class"].rpartition(".")[2]
    return f"What a policy with the encoder {encoder} sees in {name}"


def _head(source: str, name: str, policy: Policy, episode: Episode) -> Markup:
    intro = (
        f"{source} plays one episode of {episode.length} steps; its return is {episode.total:.2f}. Choose a moment, "
        "and everything below shows that moment: what the policy is given, what it does, and what that depends on in "
        "its input and inside its network."
    )
    return element("header", element("h1", _title(name, policy)), element("p", intro))


def _controls(episode: Episode) -> Markup:
    last = len(episode.steps) - 1
    slider = element("input", type="range", id="moment", min=0, max=last, value=0, aria_label="moment of the episode")
    return element(
        "nav",
        element("button", "← earlier", type="button", id="earlier"),
        slider,
        element("button", "later →", type="button", id="later"),
        element("output", "", id="which", for_="moment"),
        class_="moments",
        aria_label="moments",
    )


def _section(heading: str, explained: str, episode: Episode, part: Part) -> Markup:
    """A section with its part of every moment, of which the script shows one."""
    moments = [
        element("div", part(number), class_=f"moment m{number}", data_moment=number, data_step=step)
        for number, step in enumerate(episode.steps)
    ]
    name = heading.lower().replace(" ", "-")
    return element("section", element("h2", heading), element("p", explained, class_="quiet"), *moments, id=name)


def _what_it_does(episode: Episode, network: Network, missing: list[str]) -> Markup:
    probabilities = network.probabilities()
    outputs = network.outputs.numpy()
    try:
        found = targets(network)
    except ValueError as reason:
        found = []
        missing.append(f"Saliency and occlusion: {reason}.")

    def moment(number: int) -> Markup:
        pictures = []
        if episode.levels:
            drawn = element("div", class_="map level", role="img", aria_label="the environment at this moment")
            pictures.append(element("figure", drawn, element("figcaption", "the environment")))
        if episode.seen:
            given = element("div", class_="map seen", role="img", aria_label="the observation at this moment")
            pictures.append(element("figure", given, element("figcaption", "what the policy is given")))
        share = None if probabilities is None else probabilities[number]
        said = "probability of each action" if share is not None else network.kind
        table = actions(episode, outputs[number], share)
        pictures.append(element("figure", table, element("figcaption", said)))
        depends = [dependence(episode, each, number) for each in found]
        return joined(element("div", *pictures, class_="figures"), *depends)

    return _section("What it does and why", _explained(network) if found else "", episode, moment)


def _explained(network: Network) -> str:
    kind = shape_of(network)
    if kind == "numbers":
        slope = "the derivative of the output with respect to the input"
        return SALIENCY.format(place="an input", instead="its mean over these moments", slope=slope)
    slope = "how steeply the output changes with what is there, the norm of its gradient"
    if kind in ("cells", "window"):
        instead = "one that the agent cannot see" if replaced_by(network) == UNSEEN else "an empty one"
        return SALIENCY.format(place="a cell", instead=instead, slope=slope)
    return SALIENCY.format(place=f"a patch of {PATCH} × {PATCH} pixels", instead="the mean colour", slope=slope)


def _convolutions(episode: Episode, network: Network) -> Markup:
    layers = units(network, episode.states)
    cells = shape_of(network) in ("cells", "window")
    what = (
        "what it favours in each cell there, of all that cells hold at these moments; dark blue is a cell not seen"
        if cells
        else "the pixels that it stands for, grey where there is no signal"
    )

    def moment(number: int) -> Markup:
        return joined(*(layer_units(each[number], index, not cells) for index, each in enumerate(layers)))

    return _section("Units of its convolutional layers", UNITS.format(what=what), episode, moment)


def _relations(episode: Episode, network: Network) -> Markup:
    names, changes = relations(network)
    logits = network.kind == "logits"
    output = "the probabilities of actions move (half the sum of differences)" if logits else "the output moves"
    explained = RELATIONS.format(output=output)
    return _section("Relations", explained, episode, lambda number: relation_bars(names, changes[:, number]))


def _attention(policy: Policy, episode: Episode, network: Network) -> Markup:
    maps = attention(policy, episode.states)
    cells = network.in_place(maps.pop("cells")).swapaxes(-1, -2)

    def moment(number: int) -> Markup:
        return attention_maps(cells[number], {key: part[number] for key, part in maps.items()})

    return _section("Attention", ATTENTION, episode, moment)


def _weights(episode: Episode, network: Network) -> Markup:
    layers = weights(network)

    def moment(number: int) -> Markup:
        return weight_maps(layers, number, context_of(episode.states, number))

    return _section("Generated weights", WEIGHTS, episode, moment)


def _closing(missing: list[str]) -> Markup:
    if not missing:
        return Markup()
    bullets = [element("li", sentence) for sentence in missing]
    return element("section", element("h2", "What this policy does not have"), element("ul", *bullets), id="missing")


def _frames(episode: Episode) -> str:
    """The frames of each moment, once, as properties of CSS."""
    lines = []
    for number in range(len(episode.steps)):
        properties = []
        for name, pictures in (("level", episode.levels), ("seen", episode.seen)):
            if len(pictures) > number:
                height, width, _ = pictures[number].shape
                properties.append(f"--{name}: url({frame(pictures[number])}); --{name}-shape: {width} / {height};")
        lines.append(f".m{number} {{ {' '.join(properties)} }}")
    return "\n".join(lines) + "\n"
