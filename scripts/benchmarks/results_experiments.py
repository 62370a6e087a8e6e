"""The experiments of scripts/benchmarks/results: demonstrations, what learns from them, and how it plays."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from imitate.envs.metaworld import TASKS


@dataclass(frozen=True)
class Experiment:
    """One set of demonstrations, one way to train on it, and the ways to play what was trained.

    env: words of `imitate train`, in which {data} is the store of demonstrations.
    recordings: a file of FOLDER, whose observations are `renamed` (words of `imitate data rename`), or
    `collect`: the words that make the demonstrations. teacher: the experiment whose policy of the same seed
    teaches. train: further words of `imitate train`. rollouts: further words of `imitate rollout`, by
    name. lerobot: settings of baselines/lerobot_pusht.py, which then does all of it. cell: row and column in
    the table of many tasks, where it has one; the means of columns are results, too.
    """

    env: tuple[str, ...]
    train: tuple[str, ...]
    steps: int
    recordings: str = ""
    renamed: tuple[str, ...] = ()
    teacher: str = ""
    collect: tuple[str, ...] = ()
    rollouts: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"": ()})
    episodes: int = 100
    lerobot: Mapping[str, Any] = field(default_factory=dict)
    cell: tuple[str, str] | None = None


WARM = (
    "policy.temperature=0.7",
    "policy.horizons.action_steps=15",
    "rollout.execution.action_steps=6",
)
PUSHT = Experiment(
    env=("env=pusht",),
    train=(
        "policy=diffusion",
        "policy.observation.noise=0.01",
        "data.mirror=true",
        "data.align=true",
        "data.hindsight=0.4",
        "train.batch_size=512",
    ),
    steps=7000,
    recordings="pusht/pusht_cchi_v7_replay.zarr",
    rollouts={
        "5 calls": ("policy.temperature=0.7", "rollout.execution.action_steps=6"),
        "5 calls, 16 samples": ("policy.alternatives=16", "rollout.execution.action_steps=6"),
        "2 calls": ("policy.inference_steps=2", "policy.temperature=0.7", "rollout.execution.action_steps=6"),
        "2 calls, warm start": ("policy.inference_steps=2", "policy.warm_start=0.5", *WARM),
        "1 call, warm start": ("policy.inference_steps=1", "policy.warm_start=0.3", *WARM),
    },
    episodes=500,
)
PUSHT_TRUNCATED = replace(
    PUSHT,
    train=("policy=truncated", *PUSHT.train[1:]),
    rollouts={
        "2 calls": ("rollout.execution.action_steps=6",),
        "1 call": ("policy.inference_steps=1", "rollout.execution.action_steps=6"),
    },
)
# What people's recordings say of the block is a label here: it is not seen when acting.
PUSHT_IMAGE = Experiment(
    env=("env=pusht", "env.image=true", "env.agent=true"),
    train=("policy=seeing", "policy.estimate=[state]", "policy.given=[agent_pos]", "train.batch_size=64"),
    steps=2500,
    recordings=PUSHT.recordings,
    renamed=("parts={agent_pos: [state.0, state.1]}",),
    teacher="pusht",
    rollouts={"5 calls, 16 samples": ("policy.acting.alternatives=16", "rollout.execution.action_steps=6")},
    episodes=500,
)
# Pictures and the fingertip alone, in training too. One observation, since two take twice the time.
PUSHT_IMAGE_ALONE = replace(
    PUSHT_IMAGE,
    train=(
        "policy=truncated",
        "policy.horizons.obs_steps=1",
        "policy.observation.image.network=small",
        "policy.observation.image.crop=1.0",
        "policy.observation.noise=0.01",
        "data.obs=[img,agent_pos]",
        "data.mirror=true",
        "train.batch_size=64",
    ),
    steps=10_000,
    teacher="",
    rollouts={"": ()},
)
# As long as PUSHT takes on one idle core. The widths are Diffusion Policy's, and a quarter of them; LeRobot's
# own are twice as wide, and would get fewer steps yet.
LEROBOT = {"minutes": 21, "batch_size": 64, "calls": 10, "batch": 50}
PUSHT_LEROBOT = {
    f"pusht-lerobot{name}": replace(
        PUSHT, steps=0, rollouts={"": ()}, episodes=100, lerobot={**LEROBOT, "widths": w}
    )
    for name, w in {"": (256, 512, 1024), "_small": (64, 128, 256)}.items()
}
# People took 223 to 300 steps, more than the 200 that are registered.
DOOR = Experiment(
    env=("env=adroit/door", "env.max_steps=300"),
    train=("policy=diffusion",),
    steps=4000,
    recordings="adroit_door/door_human.npz",
    renamed=("observations={obs: observation}",),
)
LIFT = Experiment(
    env=("env=robosuite", "env.task=Lift"),
    train=("policy=diffusion",),
    steps=3000,
    collect=("episodes=50", "seed=0"),
)
# What robosuite's recorder kept: the simulator's state, its clock and all, which is what the policy sees.
LIFT_PEOPLE = Experiment(
    env=("env=robosuite", "env.dataset={data}"),
    train=("policy=diffusion",),
    steps=3000,
    recordings="robosuite_v14_lift_official/demo.hdf5",
)


def of(policy: str, like: Experiment) -> Experiment:
    """The same experiment with another policy."""
    # The batch of robomimic's study: each window of an LSTM is ten observations.
    batch = ("train.batch_size=100",) if policy == "robomimic_bc_rnn" else ()
    return replace(like, train=(f"policy={policy}", *batch))


def metaworld(task: str, count: int) -> Experiment:
    """One of Meta-World's tasks from `count` demonstrations of its scripted expert."""
    return Experiment(
        env=("env=metaworld", f"env.task={task}"),
        train=("policy=diffusion",),
        steps=1500,
        collect=(f"episodes={count}", "seed=0"),
        episodes=50,
        cell=(task, f"{count} demonstrations"),
    )


EXPERIMENTS = {
    "pusht": PUSHT,
    "pusht-truncated": PUSHT_TRUNCATED,
    "pusht-image": PUSHT_IMAGE,
    "pusht-image-alone": PUSHT_IMAGE_ALONE,
    **PUSHT_LEROBOT,
    "adroit_door": DOOR,
    **{f"adroit_door-{name}": of(name, DOOR) for name in ("bc", "robomimic_bc", "robomimic_bc_rnn")},
    "lift-people": LIFT_PEOPLE,
    **{
        f"{task.lower()}-{name}": of(name, replace(LIFT, env=("env=robosuite", f"env.task={task}")))
        for task in ("Lift", "Can", "Square")
        for name in ("diffusion", "bc", "robomimic_bc_rnn")
    },
    **{f"metaworld-{task}-{count}": metaworld(task, count) for count in (10, 25, 50) for task in TASKS},
}
QUICK = {
    "quick": Experiment(
        ("env=tabletop/reach",), ("policy=bc",), 20, collect=("episodes=3", "seed=0"), episodes=2
    )
}
