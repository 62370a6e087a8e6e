"""What `imitate robot check` says of a robot's topics, from what was surveyed and what came in."""

from collections.abc import Iterator, Mapping

from imitate.deploy.description import ImageSource, RobotDescription, Source, StopSource, Target
from imitate.deploy.messages import TYPES
from imitate.deploy.robot import Finding
from imitate.deploy.streams import ImageStream, JointStream, Stream
from imitate.deploy.transport import Survey
from imitate.errors import nearest

RATE_SHARE = 0.8
"""A topic slower than this share of the expected rate is reported."""


def check(
    description: RobotDescription,
    survey: Survey,
    rates_hz: Mapping[str, float],
    streams: Mapping[str, Stream],
) -> list[Finding]:
    """Every source and target against what there is.

    rates_hz and streams: by label, "observation NAME", "measured GROUP", "takeover GROUP" and
    "emergency stop".
    """
    found = list(_remarks(survey))
    sources = {
        **{f"observation {name}": source for name, source in description.observations.items()},
        **{f"measured {group}": source for group, source in description.measured.items()},
    }
    for label, source in sources.items():
        wanted_hz = description.state_rate_hz
        found += _source(label, source, streams[label], survey, rates_hz[label], wanted_hz)
    for group, target in description.targets.items():
        found += _target(group, target, survey)
    for group, topic in description.takeover.items():
        label = f"takeover {group}"
        found += _present(label, topic, streams[label].type, survey, "warning")
    if description.stop:
        found += _stop(description.stop, streams["emergency stop"], survey)
    return found


def _remarks(survey: Survey) -> Iterator[Finding]:
    for remark in survey.remarks:
        yield Finding("warning", remark)
    if survey.use_sim_time:
        yield Finding("warning", "the robot lives in simulated time (/clock is there): is this the real one?")


def _present(label: str, topic: str, expected: str, survey: Survey, level: str = "error") -> list[Finding]:
    """Whether `topic` is there with the type `expected`; nothing where the transport cannot tell."""
    if survey.topics is None:
        return []
    entry = survey.topics.get(topic)
    if entry is None:
        hint = nearest(topic, survey.topics) if survey.topics else ""
        return [_finding(level, f"{label}: topic {topic} is not there{hint}")]
    if entry.type != expected:
        return [_finding("error", f"{label}: topic {topic} has type {entry.type}, expected {expected}")]
    return []


def _finding(level: str, text: str) -> Finding:
    return Finding("warning" if level == "warning" else "error", text)


def _source(
    label: str, source: Source, stream: Stream, survey: Survey, rate_hz: float, wanted_hz: float | None
) -> list[Finding]:
    problems = _present(label, source.topic, stream.type, survey)
    problems = problems or _contents(label, stream) or _rate(label, source, rate_hz, wanted_hz)
    return problems or [Finding("ok", f"{label}: {source.topic}, {rate_hz:.1f} Hz")]


def _contents(label: str, stream: Stream) -> list[Finding]:
    if isinstance(stream, JointStream):
        missing, seen = stream.missing(), sorted(stream.seen)
        if missing and seen:
            text = f"joints {missing} do not come on {stream.topic}; there are {seen}"
            return [Finding("error", f"{label}: {text}")]
    reading = stream.reading()
    if reading is not None and not reading.valid:
        why = (
            stream.trouble if isinstance(stream, ImageStream) else "null, not a number, or of another length"
        )
        return [Finding("error", f"{label}: {stream.topic} is invalid: {why}")]
    return _picture(label, stream) if isinstance(stream, ImageStream) else []


def _picture(label: str, stream: ImageStream) -> list[Finding]:
    found, wanted = stream.found_size, stream.size
    if found is None or found == wanted:
        return []
    text = f"{label}: pictures are {found[0]} x {found[1]}, the policy sees {wanted[0]} x {wanted[1]}"
    if abs(found[0] * wanted[1] / (found[1] * wanted[0]) - 1.0) > 0.02:
        return [Finding("error", f"{text}: another aspect ratio, so they would be squeezed")]
    return [Finding("warning", f"{text}: they are made smaller here; let the camera do it")]


def _rate(label: str, source: Source, rate_hz: float, wanted_hz: float | None) -> list[Finding]:
    if rate_hz == 0:
        return [Finding("error", f"{label}: nothing came on {source.topic} within a second")]
    least_hz = 1.0 / source.max_age_s
    if rate_hz < RATE_SHARE * least_hz:
        text = f"{rate_hz:.1f} Hz is too slow for max_age_s {source.max_age_s:g}"
        return [Finding("error", f"{label}: {source.topic} with {text}: every gap would stop the robot")]
    is_slow = wanted_hz is not None and rate_hz < RATE_SHARE * wanted_hz
    if is_slow and not isinstance(source, ImageSource):
        return [
            Finding("warning", f"{label}: {source.topic} has {rate_hz:.1f} Hz, expected {wanted_hz:g} Hz")
        ]
    return []


def _target(group: str, target: Target, survey: Survey) -> list[Finding]:
    label = f"command {group}"
    if target.form == "gripper_command":
        return [Finding("ok", f"{label}: goals of action {target.topic}")]
    problems = _present(label, target.topic, TYPES[target.form], survey)
    entry = (survey.topics or {}).get(target.topic)
    if entry is not None and entry.subscribers is not None and not entry.subscribers:
        # The topic is there because we advertise it; what else has its type may be what was meant.
        alike = {n for n, e in (survey.topics or {}).items() if e.type == entry.type} - {target.topic}
        hint = nearest(target.topic, alike) if alike else ""
        text = f"nobody listens to {target.topic}{hint}: is the controller running?"
        problems.append(Finding("error", f"{label}: {text}"))
    if entry is not None and entry.publishers:
        who = ", ".join(entry.publishers)
        problems.append(
            Finding("warning", f"{label}: {who} also commands on {target.topic}: stop that first")
        )
    return problems or [Finding("ok", f"{label}: {target.topic}, {TYPES[target.form]}")]


def _stop(stop: StopSource, stream: Stream, survey: Survey) -> list[Finding]:
    level = "error" if stop.required else "warning"
    problems = _present("emergency stop", stop.topic, stream.type, survey, level)
    reading = stream.reading()
    if not problems and reading is None:
        problems = [_finding(level, f"emergency stop: nothing came on {stop.topic}")]
    if reading is not None and bool(reading.value[0] != 0.0):
        problems.append(Finding("error", f"emergency stop: {stop.topic} says stop"))
    return problems or [Finding("ok", f"emergency stop: {stop.topic}")]
