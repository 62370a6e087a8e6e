"""The page of several runs says what their results say, and what it leaves out."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from sample_runs import FIRST, run

from imitate.cli.main import main
from imitate.evaluation.compare import compare
from imitate.evaluation.page_learning import mean_line
from imitate.evaluation.page_runs import RunsPage
from imitate.evaluation.runs import read_entries
from imitate.progress import SILENT

OTHER_ENV = {"_target_": "imitate.envs.metaworld.MetaWorldConfig", "task": "push-v3"}


def page_of(out: Path, *runs: Path, megabytes: float = 25.0, same_env: bool = True) -> tuple[RunsPage, str]:
    found = RunsPage.of(read_entries([str(one) for one in runs], SILENT), same_env, megabytes, SILENT)
    return found, found.write(out).read_text(encoding="utf-8")


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"data:[^\"]*", "", html)).split())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunsPage, str]:
    folder = tmp_path_factory.mktemp("runs")
    a = run(folder / "a", "s" * 20 + "l" * 10 + "r" * 10, videos=(0, 20), config={"train.seed": 0})
    b = run(folder / "b", "s" * 25 + "l" * 5 + "r" * 10, videos=(0, 25), config={"optim.lr": 0.5})
    return page_of(folder / "page.html", a, b)


def test_figures_are_those_of_the_results(both: tuple[RunsPage, str]) -> None:
    page, html = both
    text = words(html)
    assert "b succeeds most often: 62.5 % of 40 episodes" in text
    assert "50.0 %" in text and "−2.50" in text and "120 (40)" in text
    a, b = page.entries
    low, high = compare(a.result, b.result).rates.interval()
    assert f"+12.5 points [{100 * low:+.1f}, {100 * high:+.1f}]".replace("-", "−") in text
    # McNemar: five seeds that only b solves, 2 / 2^5.
    assert "which may be chance (p = 0.062)" in text and "collisions</th>" not in html


def test_only_settings_that_differ_are_shown(both: tuple[RunsPage, str]) -> None:
    text = words(both[1])
    assert "optim.lr 0.001 0.5" in text and "train.seed 0 –" in text
    assert "train.batch_size" not in text


def test_planted_failures_are_told_with_their_videos(both: tuple[RunsPage, str]) -> None:
    page, html = both
    (arena,) = page.arenas
    assert sorted(len(group.members) for group in arena.failures.groups) == [15, 20]
    assert page.to_json()["failure_groups"] == [
        {"size": 20, "by_rollout": {"a": 10, "b": 10}},
        {"size": 15, "by_rollout": {"a": 10, "b": 5}},
    ]
    text = words(html)
    assert "Group 1: 20 of 35 failures" in text and "block[0]" in text
    assert f'href="#video-{FIRST + 20}-0"' in html and f'id="video-{FIRST + 20}-0"' in html


def test_the_worst_seeds_come_first(both: tuple[RunsPage, str]) -> None:
    html = both[1]
    table = html[html.index("The worst episodes first") :]
    table = table[: table.index("</section>")]
    failed = re.findall(r'<td class="num">(\d) of 2</td>', table)
    assert failed == ["2"] * 15 + ["1"] * 5 + ["0"] * 20
    seeds = re.findall(r'<td class="num">(1000\d\d)</td>', table)
    assert seeds[:2] == [str(FIRST + 25), str(FIRST + 26)]


def test_a_seed_with_one_video_says_how_the_other_run_did(both: tuple[RunsPage, str]) -> None:
    html = both[1]
    assert html.count("data:video/mp4;base64,") == 4
    text = words(html)
    assert "No video of this seed: b (success)." in text and "No video of this seed: a (failed)." in text


def test_a_small_page_says_which_seeds_it_leaves_out(tmp_path: Path) -> None:
    a = run(tmp_path / "a", "sll", videos=(0, 1, 2))
    page, html = page_of(tmp_path / "p.html", a, megabytes=0)
    assert page.shown.left_out == (FIRST, FIRST + 1, FIRST + 2)
    assert "No rollout has videos that fit here" in html and "data:video" not in html
    size = max(file.stat().st_size for file in (a / "rollout" / "videos").iterdir()) * 4 / 3 / 1e6
    page, html = page_of(tmp_path / "p.html", a, megabytes=1.5 * size)
    assert html.count("data:video") == 1 and "2 seeds" in words(html) and len(page.shown.left_out) == 2


def test_environments_that_differ_are_not_paired_unless_meant(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a", "sl"), run(tmp_path / "b", "ss", env=OTHER_ENV)
    page, html = page_of(tmp_path / "p.html", a, b)
    assert (
        len(page.arenas) == 2 and "b is not compared: a and b were played in different environments" in html
    )
    page, html = page_of(tmp_path / "p.html", a, b, same_env=False)
    assert len(page.arenas) == 1 and "is not compared" not in html


def test_old_results_are_grouped_by_length_and_score(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a", "sslll", old=True), run(tmp_path / "b", "sssll")
    _, html = page_of(tmp_path / "p.html", a, b)
    assert "length and score are compared" in html


def test_one_run_that_never_fails_has_a_page(tmp_path: Path) -> None:
    _, html = page_of(tmp_path / "p.html", run(tmp_path / "a", "sss"))
    assert "All 3 episodes succeeded" in html and "Against" not in html and "What differs" not in html


def test_training_seeds_are_summed_up(tmp_path: Path) -> None:
    seeds = [
        run(tmp_path / f"s{i}", "s" * (i + 1) + "l" * (3 - i), config={"train.seed": i}) for i in range(3)
    ]
    text = words(page_of(tmp_path / "p.html", *seeds)[1])
    assert "Over training seeds" in text and "s0, s1, s2 3 50.0 %" in text and "25.0 % to 75.0 %" in text
    assert "s0, s1, s2 (mean of 3)" in text


def test_the_mean_of_curves_has_students_interval() -> None:
    steps = np.array([0.0, 10.0, 20.0])
    curves = [(steps, np.array([1.0, 2.0, 3.0])), (steps, np.array([3.0, 2.0, 5.0]))]
    line = mean_line(curves, 3)
    assert line.mean.tolist() == [2.0, 2.0, 4.0] and line.bounds is not None
    # Of two numbers d apart the half width is t(0.975, 1) d / 2 = 12.706 d / 2.
    assert line.bounds[1] - line.mean == pytest.approx([12.706, 0.0, 12.706], abs=1e-3)
    late = mean_line([(steps, steps), (np.array([5.0, 15.0]), np.array([5.0, 15.0]))], 2)
    assert late.steps.tolist() == [5.0, 10.0, 15.0] and late.mean.tolist() == [5.0, 10.0, 15.0]
    assert mean_line(curves[:1], 1).bounds is None


def test_names_of_a_result_are_text(tmp_path: Path) -> None:
    a = run(tmp_path / "<img src=x>", "sl")
    file = a / "rollout" / "rollout.json"
    value = json.loads(file.read_text())
    value["success_definition"] = value["provenance"]["device"] = "<img src=x onerror=alert(1)>"
    file.write_text(json.dumps(value))
    assert "<img" not in page_of(tmp_path / "p.html", a, run(tmp_path / "b", "s"))[1]


def test_the_command_takes_words_and_leaves_a_page_alone_on_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, out = run(tmp_path / "a", "sl"), run(tmp_path / "b", "ss"), tmp_path / "page.html"
    assert main(["page", str(a), str(b), f"out={out}", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["label"] for one in told["rollouts"]] == ["a", "b"] and told["page"] == str(out)
    assert told["comparisons"]["b"]["difference"] == 0.5
    before = out.read_bytes()
    for words, message in (
        (["page", str(a), str(a), f"out={out}"], "named twice"),
        (["page", f"out={out}"], "runs is empty"),
        (["page", str(a), f"out={tmp_path}"], "expected the name of an .html file"),
        (["page", str(a), f"out={out}", "megabytes=-1"], "expected at least 0"),
        (["page", str(a), f"runs=[{b}]", f"out={out}"], "given twice"),
    ):
        assert main(words) == 2
        assert message in capsys.readouterr().err
    assert out.read_bytes() == before and len(list(tmp_path.iterdir())) == 3
