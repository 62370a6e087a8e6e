"""model_card.md: what an exported policy does, how it was found to do it, and what nobody has tried."""

import json
import math
from collections.abc import Mapping
from typing import Any

from imitate.runtime.manifest import FLOAT32, Manifest, SeenRange
from imitate.types import ArraySpec


def model_card(manifest: Manifest) -> str:
    """The card of an exported policy, in Markdown."""
    sections = [
        [
            "# " + _name(manifest),
            "",
            "A policy exported by imitate. manifest.json says the same for programs.",
        ],
        ["## Evaluation", "", *_evaluation(manifest.provenance["evaluation"], manifest.precision)],
        ["## Observations", "", *_observations(manifest)],
        ["## Actions", "", *_actions(manifest)],
        ["## Origin", "", *_origin(manifest)],
        ["## Export", "", *_export(manifest)],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _name(manifest: Manifest) -> str:
    return (
        str(manifest.provenance["policy"].get("_target_", "policy")).rpartition(".")[2].removesuffix("Config")
    )


def _evaluation(found: dict[str, Any] | None, precision: str) -> list[str]:
    if found is None:
        return [
            "None: no rollout.json of this checkpoint was found. Nobody knows how well it does its task.",
            "Make one with  imitate rollout,  or name one with  evaluation=FILE,  and export again.",
        ]
    low, high = found["interval"]
    least, most = found["score_interval"]
    provenance = found["provenance"]
    return [
        f"- success {found['success_rate']:.3f} [{low:.3f}, {high:.3f}] (95 %), {found['successes']} of "
        f"{found['episodes']} episodes, seeds {found['seeds'][0]} to {found['seeds'][1]}",
        f"- success means: {found['success_definition']}",
        f"- score {found['mean_score']:.3f} [{least:.3f}, {most:.3f}] (95 %): {found['score_name']}",
        f"- environment: `{json.dumps(provenance.get('env'))}`",
        f"- command: `{provenance.get('command')}`, {provenance.get('date')}, on {provenance.get('device')}",
        "",
        "In simulation, by the policy before it was exported. On a real robot it was not evaluated.",
        *_lowered(precision),
    ]


def _lowered(precision: str) -> list[str]:
    if precision == FLOAT32:
        return []
    return [f"That was in float32; this file is {precision}. What it does:  imitate rollout checkpoint=FILE"]


def _observations(manifest: Manifest) -> list[str]:
    steps = manifest.horizons.obs_steps
    lines = [
        f"The last {steps} steps, oldest first; in the first steps of an episode the first one repeated.",
        "",
    ]
    lines += ["| name | shape | elements | range seen in training |", "|---|---|---|---|"]
    for key, array in manifest.spec.obs.items():
        if array.is_image:
            what, seen = "RGB, rows then columns, uint8 from 0 to 255", ""
        else:
            what, seen = _elements(array), _ranges(manifest.seen.get(key))
        lines.append(f"| {key} | {list(array.shape)} | {what} | {seen} |")
    return lines


def _actions(manifest: Manifest) -> list[str]:
    array, seen, period = manifest.spec.action, manifest.seen["action"], manifest.control_period_s
    horizons = manifest.horizons
    when = "an unknown time" if period is None else f"{period:g} s"
    names = array.names or tuple(map(str, range(array.size)))
    units = array.units or ("",) * array.size
    lines = [
        f"{horizons.action_steps} actions per chunk ({horizons.pred_steps} are predicted), {when} apart; "
        "the first one is for the step of the newest observation. Each is clipped to its limits, if any.",
        "",
        "| element | unit | limits | seen in training |",
        "|---|---|---|---|",
    ]
    for index, (name, unit) in enumerate(zip(names, units, strict=True)):
        limits = _range(manifest.action_low[index], manifest.action_high[index])
        was = _range(seen.low[index], seen.high[index]) if seen.low else "unknown"
        lines.append(f"| {name} | {unit} | {limits} | {was} |")
    return lines


def _origin(manifest: Manifest) -> list[str]:
    known = manifest.provenance
    modes = ", ".join(f"{key} {seen.mode}" for key, seen in manifest.seen.items())
    return [
        f"- checkpoint SHA-256 {known['checkpoint_hash']}, after {known['step']} training steps, "
        f"by imitate at {known['training_commit'] or 'an unknown commit'}",
        f"- demonstrations {known['data_hash']}",
        f"- environment trained for: `{json.dumps(known['env'])}`",
        f"- settings: `{json.dumps(known['policy'])}`",
        f"- normalised: {modes}",
    ]


def _export(manifest: Manifest) -> list[str]:
    parity, versions = manifest.parity, manifest.provenance["exporters"]
    return [
        f"- compared with the policy on {parity['observations']} observations, {parity['source']}: "
        + ("largest error " if manifest.precision == FLOAT32 else f"in {manifest.precision} ")
        + errors(parity),
        f"- {manifest.noise_size} standard normal numbers of noise per chunk",
        "- by " + ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]


def errors(parity: Mapping[str, Any]) -> str:
    """How far a chunk of the file is from the policy's, in words; largest alone, or with the usual ones."""
    most, undecided = f"{parity['largest_error_in_ranges']:.1e}", parity["undecided"]
    if "median_error_in_ranges" in parity:
        usual, nearly = (f"{parity[f'{name}_error_in_ranges']:.1e}" for name in ("median", "p99"))
        return f"a chunk is off by {usual} (median), {nearly} (99 %), {most} (largest) of an action's range"
    left_out = f"; {undecided} left out, where rounding decides between two modes" if undecided else ""
    return f"{most} of an action's range{left_out}"


def _elements(array: ArraySpec) -> str:
    names = array.names or tuple(map(str, range(array.size)))
    units = array.units or ("",) * array.size
    shown = [f"{name} {unit}".strip() for name, unit in zip(names, units, strict=True)]
    return ", ".join(shown) if len(shown) <= 32 else f"{len(shown)} of them"


def _ranges(seen: SeenRange | None) -> str:
    if seen is None or not seen.low:
        return "unknown"
    shown = [_range(low, high) for low, high in zip(seen.low, seen.high, strict=True)]
    spread = " (mean ± standard deviation)" if seen.mode == "gaussian" else ""
    return (", ".join(shown) if len(shown) <= 32 else "see manifest.json") + spread


def _range(low: float, high: float) -> str:
    return "none" if math.isinf(low) and math.isinf(high) else f"{low:.4g} … {high:.4g}"
