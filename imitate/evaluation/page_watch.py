"""Videos of the same seed next to each other, with a picker for the seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imitate.evaluation.runs import Entry
from imitate.page import Html, grid, joined, paragraph, section, tag, video
from imitate.rollout import EpisodeResult

BASE64 = 4 / 3
"""How much longer a video is as text."""
MOST_NAMED = 12


@dataclass(frozen=True)
class Shown:
    """The videos of the page by (label, seed), and the seeds left out because the page would be too large."""

    files: Mapping[tuple[str, int], Path]
    left_out: tuple[int, ...]

    @property
    def first(self) -> int:
        """The seed that tells most."""
        return next(seed for _, seed in self.files)

    def link(self, entry: Entry, seed: int, words: object) -> object:
        """`words`, as a link to the video where it is shown."""
        if (entry.label, seed) not in self.files:
            return words
        return tag("a", words, href=f"#{place(entry, seed)}", class_="watch")


def place(entry: Entry, seed: int) -> str:
    """The id of a video's figure."""
    return f"video-{seed}-{entry.number}"


def choose(entries: Sequence[Entry], megabytes: float, wanted: Sequence[int] = ()) -> Shown:
    """Which seeds are shown: `wanted` first, then those most can show, those that tell runs apart, failures.

    All videos of a seed are shown or none, and no more than `megabytes` in the page.
    """
    found = {
        (entry.label, seed): file
        for entry in entries
        for seed in entry.result.videos
        if (file := entry.video(seed))
    }
    files: dict[tuple[str, int], Path] = {}
    left_out, room = [], megabytes * 1e6
    for seed in sorted({seed for _, seed in found}, key=lambda seed: _rank(seed, entries, found, wanted)):
        here = {key: file for key, file in found.items() if key[1] == seed}
        size = sum(BASE64 * file.stat().st_size for file in here.values())
        if size > room:
            left_out.append(seed)
            continue
        files |= here
        room -= size
    return Shown(files, tuple(sorted(left_out)))


def _rank(
    seed: int, entries: Sequence[Entry], found: Mapping[tuple[str, int], Path], wanted: Sequence[int]
) -> tuple[int, ...]:
    outcomes = [one.success for entry in entries if (one := played(entry, seed))]
    filmed = sum((entry.label, seed) in found for entry in entries)
    return (seed not in wanted, -filmed, -len(set(outcomes)), sum(outcomes), seed)


def played(entry: Entry, seed: int) -> EpisodeResult | None:
    """The episode of `seed`, None where the entry did not play it."""
    return next((episode for episode in entry.result.episodes if episode.seed == seed), None)


def videos(entries: Sequence[Entry], shown: Shown) -> Html:
    """One panel per seed with the video of every entry, or a word on why there is none."""
    seeds = sorted({seed for _, seed in shown.files})
    if not seeds:
        why = "No rollout has videos that fit here" if shown.left_out else "No rollout recorded videos"
        return section(
            "Videos", paragraph(f"{why}: videos=8 of imitate rollout records some.", class_="note")
        )
    panels = [_panel(entries, seed, shown) for seed in seeds]
    notes = []
    if shown.left_out:
        named = ", ".join(map(str, shown.left_out[:MOST_NAMED]))
        more = " …" if len(shown.left_out) > MOST_NAMED else ""
        text = f"Left out, to keep the page small (megabytes=): {len(shown.left_out)} seeds: {named}{more}."
        notes.append(paragraph(text, class_="note"))
    intro = "The same seed is the same start. In real time; failures were recorded first: no typical sample."
    return section("The same seed side by side", _picker(seeds, shown.first), *panels, *notes, intro=intro)


def _picker(seeds: Sequence[int], first: int) -> Html:
    """Hidden until the script that makes it work runs; without it all panels are there."""
    options = [tag("option", str(seed), value=seed) for seed in seeds]
    parts = [
        tag("label", "Seed ", tag("select", *options, id="seed")),
        tag("button", "‹ previous", type="button", id="before"),
        tag("button", "next ›", type="button", id="after"),
        tag("button", "▶ play all", type="button", id="play"),
    ]
    return tag("div", *parts, class_="picker", id="picker", data_first=first, hidden=True)


def _panel(entries: Sequence[Entry], seed: int, shown: Shown) -> Html:
    figures = [_figure(entry, seed, shown) for entry in entries]
    missing = [entry.label for entry, figure in zip(entries, figures, strict=True) if figure is None]
    known = [figure for figure in figures if figure is not None]
    said = [paragraph(_without(entries, seed, missing), class_="note")] if missing else []
    return tag("div", tag("h3", f"Seed {seed}"), grid(known), *said, class_="seed", data_seed=seed)


def _figure(entry: Entry, seed: int, shown: Shown) -> Html | None:
    file, episode = shown.files.get((entry.label, seed)), played(entry, seed)
    if file is None or episode is None:
        return None
    caption = joined([tag("strong", entry.label), f", score {episode.score:.2f}, {episode.length} steps"])
    return tag("div", video(file, caption, not episode.success), id=place(entry, seed), tabindex=-1)


def _without(entries: Sequence[Entry], seed: int, missing: Sequence[str]) -> str:
    by_label = {entry.label: entry for entry in entries}
    said = []
    for label in missing:
        episode = played(by_label[label], seed)
        outcome = "not played" if episode is None else "success" if episode.success else "failed"
        said.append(f"{label} ({outcome})")
    return f"No video of this seed: {', '.join(said)}."
