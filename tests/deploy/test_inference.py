"""Facts about inference beside the loop."""

import time

import numpy as np
import pytest
import reaching

from imitate.deploy.inference import Chunk, InferenceThread, VirtualInference
from imitate.errors import ImitateError


def asked() -> tuple[reaching.Reaching, dict[str, np.ndarray]]:
    policy = reaching.loaded().predictor
    assert isinstance(policy, reaching.Reaching)
    obs = {"ee_to_goal": np.full((2, 3), 0.2, np.float32), "gripper": np.full((2, 1), 0.08, np.float32)}
    return policy, obs


def wait_for(inference: InferenceThread) -> Chunk:
    for _ in range(500):
        found = inference.answer(time.monotonic())
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("no answer")


def test_a_thread_answers_once_and_measures_how_long_it_took() -> None:
    policy, obs = asked()
    inference = InferenceThread(policy, seed=0, added_delay_s=0.05)
    try:
        inference.ask(3, obs, time.monotonic())
        assert not inference.is_idle()
        assert inference.answer(time.monotonic()) is None
        found = wait_for(inference)
        assert found.made_at == 3
        assert found.latency_s >= 0.05
        assert found.values.shape == (8, 5)
        assert inference.is_idle()
        assert inference.answer(time.monotonic()) is None
    finally:
        inference.close()


def test_what_goes_wrong_in_the_thread_is_told_and_the_next_question_is_answered() -> None:
    policy, obs = asked()
    inference = InferenceThread(policy, seed=0)
    try:
        inference.ask(0, {}, time.monotonic())
        with pytest.raises(ImitateError, match="inference failed"):
            wait_for(inference)
        inference.ask(1, obs, time.monotonic())
        assert wait_for(inference).made_at == 1
    finally:
        inference.close()


def test_a_discarded_question_is_never_answered() -> None:
    policy, obs = asked()
    inference = InferenceThread(policy, seed=0, added_delay_s=0.1)
    try:
        inference.ask(0, obs, time.monotonic())
        inference.discard()
        while not inference.is_idle():
            time.sleep(0.01)
        assert inference.answer(time.monotonic()) is None
        inference.ask(1, obs, time.monotonic())
        assert wait_for(inference).made_at == 1
    finally:
        inference.close()


def test_virtual_inference_answers_after_its_delay_and_not_before() -> None:
    policy, obs = asked()
    inference = VirtualInference(policy, seed=0, delay_s=0.25)
    inference.ask(4, obs, now_s=1.0)
    assert inference.answer(1.24) is None
    assert not inference.is_idle()
    found = inference.answer(1.25)
    assert found is not None and found.made_at == 4
    assert inference.answer(2.0) is None
