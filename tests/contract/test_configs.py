"""Every configuration file: each part and each command composes, lists all its settings, and builds."""

import dataclasses
import functools
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_policies import complete

from imitate.config import CONFIG_MODULE, compose, options, verbs
from imitate.errors import ConfigError, MissingExtraError
from imitate.parts import TARGET, from_json, to_json
from imitate.types import ArraySpec, DataSpec

FOLDER = Path(str(resources.files(CONFIG_MODULE)))
GROUPS = sorted(p.name for p in FOLDER.iterdir() if p.is_dir() and not p.name.startswith("_"))
PARTS = [(group, option) for group in GROUPS for option in options(group)]
SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))
BESIDE = DataSpec({"state": ArraySpec((3,)), "more": ArraySpec((2,))}, SPEC.action)


def groups_of(verb: str) -> set[str]:
    defaults = yaml.safe_load((FOLDER / f"{verb}.yaml").read_text()).get("defaults", [])
    return {key.removeprefix("override /") for entry in defaults if isinstance(entry, dict) for key in entry}


@functools.cache
def required(verb: str) -> tuple[str, ...]:
    """The keys that `verb` cannot do without, each with some value."""
    given: list[str] = []
    while True:
        try:
            compose(verb, given)
            return tuple(given)
        except ConfigError as error:
            needed = re.match(rf"imitate {verb.replace('_', ' ')} needs ([\w.]+):", str(error))
            if not needed:
                raise
            given.append(f"{needed[1]}=somewhere.zarr")


def composed(verb: str, *overrides: str) -> Any:
    return compose(verb, [*required(verb), *overrides])


def names_not_listed(value: Any, plain: dict[str, Any], where: str) -> list[str]:
    """Fields of the parts in `value` that the YAML `plain` does not spell out."""
    missing = []
    for field in dataclasses.fields(value):
        key, part = f"{where}.{field.name}", getattr(value, field.name)
        if field.name not in plain:
            missing.append(key)
        elif dataclasses.is_dataclass(part):
            missing += names_not_listed(part, plain[field.name], key)
    return missing


@pytest.mark.parametrize("verb", verbs())
def test_a_command_composes_with_its_defaults_and_its_json_gives_it_back(verb: str) -> None:
    command = composed(verb)
    assert from_json(to_json(command)) == command
    listed = yaml.safe_load((FOLDER / f"{verb}.yaml").read_text()).keys() | groups_of(verb)
    assert {field.name for field in dataclasses.fields(command)} <= listed


@pytest.mark.parametrize(("group", "option"), PARTS)
def test_a_part_lists_its_settings_and_composes_in_every_command_that_takes_it(
    group: str, option: str
) -> None:
    plain = yaml.safe_load((FOLDER / group / f"{option}.yaml").read_text())
    takers = [verb for verb in verbs() if group in groups_of(verb)]
    assert takers, f"no command takes {group}"
    for verb in takers:
        part = getattr(composed(verb, f"{group}={option}"), group)
        assert f"{type(part).__module__}.{type(part).__qualname__}" == plain[TARGET]
        assert not names_not_listed(part, plain, group)


@pytest.mark.parametrize("option", options("env"))
def test_an_environment_builds_and_says_what_it_observes(option: str) -> None:
    config = composed("collect", f"env={option}").env
    try:
        env = config.build()
    except MissingExtraError as error:
        pytest.skip(str(error))
    obs, _ = env.reset(seed=0)
    assert obs.keys() == env.data_spec.obs.keys()
    env.close()


@pytest.mark.parametrize("option", options("policy"))
def test_a_policy_builds_at_its_full_size(option: str) -> None:
    try:
        policy = complete(composed("train", f"policy={option}").policy, SPEC).build(BESIDE)
    except MissingExtraError as error:
        pytest.skip(str(error))
    assert next(policy.parameters()).isfinite().all()


@pytest.mark.parametrize("option", options("optim"))
def test_an_optimiser_builds_for_a_policy(option: str) -> None:
    command = composed("train", "policy=bc", f"optim={option}")
    policy = command.policy.build(SPEC)
    optimizer = command.optim.build(policy, policy.learning_rate)
    optimised = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(optimised) == len([p for p in policy.parameters() if p.requires_grad])


@pytest.mark.parametrize("group", GROUPS)
def test_a_misspelt_choice_is_answered_in_one_line(group: str) -> None:
    verb = next((verb for verb in verbs() if group in groups_of(verb)), None)
    if verb is None:
        pytest.skip(f"no command takes {group} yet")
    with pytest.raises(ConfigError, match=f"there is no such {group}") as caught:
        composed(verb, f"{group}=no_such_thing")
    assert "\n" not in str(caught.value)


def test_every_verb_of_the_design_is_there() -> None:
    design = "collect import inspect report train rollout compare list"
    assert set(design.split()) <= set(verbs())


@pytest.mark.parametrize("path", ["runs/lr=0.1", 'a="b"=c', "back\\slash=1", "plain", "'quoted=1'"])
def test_values_may_hold_an_equals_sign(path: str) -> None:
    found = compose("rollout", [f"checkpoint={path}", "out=o"]).checkpoint
    assert found == path.strip("'")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("[]", ()),
        ("[train.max_steps=4]", ("train.max_steps=4",)),
        ("[train.max_steps=4, data.obs=[state,img]]", ("train.max_steps=4", "data.obs=[state,img]")),
        ("['a=1,b','c=2']", ("a=1,b", "c=2")),
        ('["policy.width=16",optim.lr=0.1]', ("policy.width=16", "optim.lr=0.1")),
    ],
)
def test_settings_stand_in_a_list_as_they_stand_alone(written: str, meant: tuple[str, ...]) -> None:
    assert compose("sweep", [f"train={written}", "data=d.zarr", "out=o"]).train == meant
