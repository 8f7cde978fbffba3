"""Mutated models give a result that builds, or one line of error; see `benchmarks/fuzz.py`."""

from __future__ import annotations

import shutil
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgernn.errors import EdgernnError
from edgernn.tflite import read
from targets.compile import compile_model
from targets.cores import core
from targets.generate import compile_graph
from targets.toolchain import build_shared
from tests.targets.mutation import mutate_bytes, mutate_graph, seeds

FILES = seeds()
GRAPHS = [read(data) for data in FILES]
CORES = ["portable", "cortex-m0", "cortex-m4"]
MANY = settings(
    max_examples=400, deadline=2000, suppress_health_check=list(HealthCheck), derandomize=True
)


def outcome(compile_it):
    try:
        return compile_it()
    except EdgernnError as error:
        message = str(error)
    assert message
    assert "\n" not in message
    return None


@MANY
@given(st.integers(0, len(FILES) - 1), st.randoms(use_true_random=False), st.sampled_from(CORES))
def test_mutated_files(k, random, target):
    outcome(lambda: compile_model(mutate_bytes(FILES[k], random), target))


@MANY
@given(st.integers(0, len(FILES) - 1), st.randoms(use_true_random=False), st.sampled_from(CORES))
def test_mutated_graphs(k, random, target):
    graph = mutate_graph(GRAPHS[k], random)
    outcome(lambda: compile_graph(graph, FILES[k], core(target), "model"))


def test_most_seeds_compile():
    compiled = [outcome(lambda data=data: compile_model(data)) for data in FILES]
    assert sum(c is not None for c in compiled) > 0.8 * len(FILES)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_results_build_without_a_warning(tmp_path):
    built = 0
    for seed in range(600):
        random = Random(seed)
        k = random.randrange(len(FILES))
        graph = mutate_graph(GRAPHS[k], random)
        compiled = outcome(
            lambda graph=graph, k=k: compile_graph(graph, FILES[k], core("portable"), "model")
        )
        if compiled is not None and built < 40:
            folder = compiled.write(tmp_path / str(seed))
            build_shared(folder, compiled.sources, compiled.core, folder / "model.so", "gcc")
            built += 1
    assert built == 40
