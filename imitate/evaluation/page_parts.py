"""What the page of a rollout and that of a sweep share: title, answer, and how to repeat it."""

from collections.abc import Mapping
from typing import Any

from imitate.evaluation.page_settings import method, task
from imitate.evaluation.result import RolloutResult
from imitate.page import Html, headline, paragraph, percent, tag


def title(result: RolloutResult) -> str:
    """The method and its task."""
    return f"{method(result.provenance.get('policy'))} on {task(result.provenance.get('env'))}"


def success_means(result: RolloutResult) -> str:
    """What counts as a success, with a space before it; empty where the result does not say."""
    return f" Success means: {result.success_definition}." if result.success_definition else ""


def answer(result: RolloutResult, kind: str, *words: Html, below: Html | None = None) -> Html:
    """The head of the page: what `kind` of page it is, and the success rate in large beside `words`."""
    big = tag("div", percent(result.success_rate), class_="big")
    box = tag("div", big, tag("div", *words, class_="words"), class_="answer")
    return headline(title(result), kind, box, *([] if below is None else [below]))


def repeat(origin: Mapping[str, Any]) -> list[Html]:
    """The command that made it; nothing where the provenance does not hold it."""
    return [paragraph("To repeat it:"), tag("pre", origin["command"])] if origin.get("command") else []
