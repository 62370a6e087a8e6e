"""The page of an experiment: what the policy achieves first, then how it was trained and how to repeat it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imitate.errors import ImitateError
from imitate.evaluation import curves
from imitate.evaluation.page_parts import answer, repeat, success_means, title
from imitate.evaluation.page_settings import flat, mapping, method, outcome, read_config, short, task
from imitate.evaluation.result import RolloutResult
from imitate.evaluation.traces import validation_trace
from imitate.page import (
    Html,
    amount,
    card,
    facts,
    grid,
    interval_bar,
    outcome_strip,
    paragraph,
    percent,
    render,
    section,
    table,
    tag,
    video,
    write_whole,
)
from imitate.rollout import EpisodeResult
from imitate.training.logs import LOG, read_log

CARD_ROWS = 10


def write_experiment_page(
    path: Path, result: RolloutResult, run_folder: Path | None = None, videos: Sequence[Path] = ()
) -> Path:
    """Write the page of `result` to `path` and return it.

    `run_folder` adds how the policy was trained, as far as its files say; `videos` are mp4 files named in
    result.videos, embedded whole. Raises DataError where a video cannot be read or the page not be written.
    """
    rows = read_log(run_folder / LOG) if run_folder is not None and (run_folder / LOG).exists() else []
    config = read_config(run_folder)
    parts = [
        _answer(result),
        _about(result, config, rows),
        _videos(result, videos),
        _learning(result, config, rows),
        _actions(rows, run_folder),
        _experts(rows),
        _episodes(result),
        _provenance(result, config),
    ]
    return write_whole(path, render(title(result), *(part for part in parts if part is not None)))


def _answer(result: RolloutResult) -> Html:
    low, high = result.interval
    count = len(result.episodes)
    return answer(
        result,
        "Evaluation of a policy",
        paragraph(tag("strong", f"{result.successes} of {count} episodes succeeded."), success_means(result)),
        paragraph(
            f"True success rates from {percent(low)} to {percent(high)} fit this result "
            f"(95 % Wilson interval over {count} episodes on fixed seeds)."
        ),
        interval_bar(result.success_rate, low, high),
        below=_secondary(result),
    )


def _secondary(result: RolloutResult) -> Html:
    low, high = result.score_interval
    text = ""
    if result.score_name != "success":
        text = f"Mean score {result.mean_score:.3f} [{low:.3f}, {high:.3f}] ({result.score_name}). "
    needed = [e.steps_to_success for e in result.episodes if e.steps_to_success is not None]
    if needed:
        seconds = f" ({np.median(needed) / result.rate_hz:.1f} s)" if result.rate_hz else ""
        text += f"Half of the successful episodes took at most {np.median(needed):.0f} steps{seconds}, "
        text += f"where {result.max_steps} were allowed."
    return paragraph(text)


def _about(result: RolloutResult, config: Mapping[str, Any], rows: curves.Rows) -> Html:
    origin = result.provenance
    data = {**flat(config.get("data")), "content hash": short(origin.get("data_hash"))}
    env = {"rate_hz": result.rate_hz, "max_steps": result.max_steps, **flat(origin.get("env"))}
    cards = {
        "Policy": {"method": method(origin.get("policy")), **flat(origin.get("policy"))},
        "Environment": {"task": task(origin.get("env")), **env},
        "Data": data,
        "Training": _training(origin, config, rows),
    }
    shown = [card(name, dict(list(pairs.items())[:CARD_ROWS])) for name, pairs in cards.items()]
    return section("What was evaluated", grid(shown, columns=2))


def _training(origin: Mapping[str, Any], config: Mapping[str, Any], rows: curves.Rows) -> dict[str, object]:
    times = [row["time_s"] for row in rows if "time_s" in row]
    took = {"training took": f"{times[-1] / 60:.1f} minutes"} if times else {}
    settings = {**mapping(config.get("train")), **mapping(config.get("optim"))}
    names = ("batch_size", "schedule", "weight_decay", "seed", "precision")
    known = {name: settings[name] for name in names if name in settings}
    rates = [row["train/learning_rate"] for row in rows if "train/learning_rate" in row]
    rate = {"highest learning rate": f"{max(rates):.2g}"} if rates else {}
    return {"chosen at step": amount(origin.get("training_step")), **took, **_waited(rows), **rate, **known}


def _waited(rows: curves.Rows) -> dict[str, str]:
    """The share of the steps' time in which training waited for data; {} for logs that do not tell."""
    waited, speed = (curves.series(rows, f"train/{name}")[1] for name in ("data_wait", "steps_per_s"))
    if not len(waited) or len(waited) != len(speed) or speed.min() <= 0:
        return {}
    share = np.average(waited, weights=1 / speed)  # rows are of equally many steps
    return {"waited for data": f"{share:.1%} of the time"}


def _videos(result: RolloutResult, videos: Sequence[Path]) -> Html | None:
    if not videos:
        return None
    by_seed = {episode.seed: episode for episode in result.episodes}
    seeds = {Path(file).name: seed for seed, file in result.videos.items()}
    shown = [_video(path, by_seed.get(seeds.get(path.name, -1))) for path in videos]
    intro = "In real time. Chosen so that failures show: they are no typical sample."
    return section("Episodes to watch", grid(shown, columns=4), intro=intro)


def _video(path: Path, episode: EpisodeResult | None) -> Html:
    if episode is None:
        return video(path, path.name, None)
    return video(path, f"seed {episode.seed}, {episode.length} steps", not episode.success)


def _learning(result: RolloutResult, config: Mapping[str, Any], rows: curves.Rows) -> Html | None:
    episodes = mapping(config.get("train")).get("eval_episodes")
    charts = [
        curves.success_chart(rows, episodes, result.provenance.get("training_step")),
        curves.loss_chart(rows),
        curves.rate_chart(rows),
    ]
    shown = [one for one in charts if one is not None]
    return section("How it learnt", grid(shown)) if shown else None


def _experts(rows: curves.Rows) -> Html | None:
    shown = curves.expert_charts(rows)
    intro = (
        "At the end of training, for each denoising step from pure noise on the left to a clean chunk on the "
        "right: which experts the policy calls. Where all columns are the same, nothing is specialised."
    )
    return section("Experts by noise level", grid(shown), intro=intro) if shown else None


def _actions(rows: curves.Rows, run_folder: Path | None) -> Html | None:
    errors = curves.error_charts(rows)
    traces: list[Html] = []
    said: list[Html] = []
    if run_folder is not None:
        try:
            found = validation_trace(run_folder)
            traces = curves.trace_charts(found)
            below = (
                f"Below: the held-out episode {found.episode_id}; each chunk starts from what was recorded."
            )
            said = [paragraph(below, class_="note")]
        except ImitateError as error:
            said = [paragraph(f"Predicted against recorded actions are not shown: {error}", class_="note")]
    if not errors and not traces:
        return None
    intro = "How far predicted actions are from recorded ones on episodes that were not trained on."
    return section("Action error", grid(errors), *said, grid(traces), intro=intro)


def _episodes(result: RolloutResult) -> Html:
    strip = outcome_strip([(episode.success, f"seed {episode.seed}") for episode in result.episodes])
    head = ["seed", "outcome", "score", "steps", "steps to success", "return"]
    rows = [
        [
            str(episode.seed),
            outcome(episode),
            f"{episode.score:.3f}",
            str(episode.length),
            "–" if episode.steps_to_success is None else str(episode.steps_to_success),
            amount(episode.total_reward),
        ]
        for episode in result.episodes
    ]
    whole = tag("div", table(head, rows, numeric=(0, 2, 3, 4, 5)), class_="tall")
    intro = "One box per episode: filled for success, a cross for failure. Click a head to sort."
    return section("Every episode", strip, whole, intro=intro)


def _provenance(result: RolloutResult, config: Mapping[str, Any]) -> Html:
    origin = result.provenance
    keys = ("date", "device", "commit", "checkpoint", "checkpoint_hash", "training_commit", "data_hash")
    said: dict[str, object] = {
        key.replace("_", " "): tag("code", origin[key]) for key in keys if origin.get(key)
    }
    speed = result.timing
    if "env_steps_per_s" in speed:
        said["simulation"] = f"{speed['env_steps_per_s']:.0f} steps/s"
        said["inference"] = f"{speed['policy_ms_per_call']:.1f} ms per batched call"
    versions = ", ".join(f"{name} {version}" for name, version in mapping(origin.get("versions")).items())
    settings = {"rollout": origin.get("rollout"), "run": config or None}
    more = [
        tag(
            "details", tag("summary", f"Every setting of the {name}"), tag("pre", json.dumps(value, indent=1))
        )
        for name, value in settings.items()
        if value
    ]
    whole = [facts(said), *repeat(origin), *more, paragraph(versions, class_="note")]
    return section("Where this comes from", *whole)
