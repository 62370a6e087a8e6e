"""What a recorded log holds before anybody said which topics are observations and actions: its topics."""

from pathlib import Path
from typing import Any

from imitate.datasets.bags.survey import Survey, TopicFacts
from imitate.page import amount, headline, paragraph, render, section, table, tag

HEAD = ("topic", "type", "messages", "rate [Hz]", "jitter [ms]", "gaps", "drops", "")
NUMERIC = (2, 3, 4, 5, 6)
NEXT = "To see demonstrations, name a YAML that says which topics are observations and actions: topics=…"
DRAFT = "Where that file is not there yet, a draft for this log is written."


def topic_rows(found: Survey) -> list[tuple[str, ...]]:
    """A row of HEAD for every topic; rates and gaps are by the times at which messages were received."""
    return [_row(topic) for topic in found.topics]


def _row(topic: TopicFacts) -> tuple[str, ...]:
    jitter = topic.facts.get("jitter_s")
    return (
        topic.topic,
        topic.type,
        amount(topic.count),
        amount(topic.rate_hz),
        amount(None if jitter is None else 1000 * jitter),
        amount(topic.facts.get("gap_count")),
        amount(topic.facts.get("drops")),
        topic.trouble,
    )


def topics_json(path: Path, title: str, found: Survey) -> dict[str, Any]:
    """The same as JSON values."""
    topics = [{"topic": one.topic, **one.facts, "trouble": one.trouble} for one in found.topics]
    return {"path": str(path), "format": title, "topics": topics, "problems": list(found.problems)}


def topics_page(path: Path, title: str, found: Survey) -> str:
    """The whole document."""
    messages = sum(topic.count for topic in found.topics)
    topics = "1 topic" if len(found.topics) == 1 else f"{amount(len(found.topics))} topics"
    words = paragraph(tag("strong", f"{topics}, {amount(messages)} messages"))
    big = tag("div", amount(len(found.topics)), class_="big")
    answer = tag("div", big, tag("div", words, paragraph(f"{NEXT} {DRAFT}"), class_="words"), class_="answer")
    listed = section(
        "Topics",
        table(HEAD, topic_rows(found), NUMERIC),
        intro="Rates, jitter and gaps are by the times at which messages were received.",
    )
    broken = [section("What could not be read", tag("ul", *(tag("li", text) for text in found.problems)))]
    return render(
        f"Topics of {path.name}",
        headline(path.name, title, answer),
        listed,
        *(broken if found.problems else []),
    )
