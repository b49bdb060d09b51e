"""Held-out rows as requests -> whether the endpoint will see and say the same, and how soon."""

import time
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl

from mlops_assets.registry.criteria.subject import Finding, Subject
from mlops_assets.training.predictor import TOLERANCE, Predictor, Score, Values

ROWS = 200  # held-out rows whose scoring is timed
PROBES = 32  # held-out rows that are compared, as many as the endpoint compares before it serves a model
ROUNDS = 20  # at most; in the quietest of them a noisy neighbour counts least
FEWEST_ROUNDS = 3
ENOUGH_S = 1.0
NAMED = 3


def requests(subject: Subject, most: int) -> tuple[list[int], list[Values]]:
    """Return places of held-out rows, drawn by the seed, and the request that each would have been.

    Raises:
        LookupError: If the dataset lacks a column that requests have.
    """
    inputs = list(subject.spec.inputs)
    if missing := [name for name in inputs if name not in subject.known.columns]:
        raise LookupError(f"the dataset has no column {missing[0]!r}, which requests have")
    draw = np.random.default_rng(subject.seed)
    places = np.sort(draw.permutation(subject.known.height)[:most]).tolist()
    return places, subject.known.select(inputs)[places].rows()


def features_are_equal(subject: Subject) -> Finding:
    """Return whether single rows, scored as the endpoint does it, have the features and scores of the batch.

    Raises:
        LookupError: If the dataset lacks a column that requests have, or the model is of an unknown kind.
    """
    places, rows = requests(subject, PROBES)
    predictor = Predictor(subject.spec, subject.model)
    found = [predictor.one(row) for row in rows]
    batch = subject.features.select(subject.spec.features)[places]
    problems = _different_features(found, batch) + _different_scores(found, subject, places)
    facts = {"rows": len(rows), "different": len(problems)}
    if problems:
        told = "; ".join(problems[:NAMED]) + (f" and {len(problems) - NAMED} more" if len(problems) > NAMED else "")
        return Finding(passed=False, words=f"of {len(rows)} held-out rows asked one by one, {told}", facts=facts)
    words = f"{len(rows)} held-out rows asked one by one have the features and scores of the batch"
    return Finding(passed=True, words=words, facts=facts)


def latency(subject: Subject, limit: timedelta) -> Finding:
    """Return whether the 99th percentile of scoring one row is at most `limit`, in the quietest of several rounds.

    Timed is what the endpoint does between reading a row and answering: features and score, on this machine.

    Raises:
        LookupError: If the dataset lacks a column that requests have, or the model is of an unknown kind.
    """
    _, rows = requests(subject, ROWS)
    predictor = Predictor(subject.spec, subject.model)
    began = time.perf_counter()
    rounds: list[float] = []
    while len(rounds) < ROUNDS and (len(rounds) < FEWEST_ROUNDS or time.perf_counter() - began < ENOUGH_S):
        rounds.append(float(np.quantile([_took_ms(predictor, row) for row in rows], 0.99)))
    best, allowed = min(rounds), limit.total_seconds() * 1000
    words = (
        f"the 99th percentile of scoring one row is {best:.3g} ms, in the quietest of {len(rounds)} rounds over "
        f"{len(rows)} held-out rows; at most {allowed:g} ms is allowed"
    )
    facts = {"p99_ms": best, "limit_ms": allowed, "rounds": len(rounds), "rows": len(rows)}
    return Finding(passed=best <= allowed, words=words, facts=facts)


def _took_ms(predictor: Predictor, row: Values) -> float:
    began = time.perf_counter_ns()
    predictor.one(row)
    return (time.perf_counter_ns() - began) / 1e6


def _different_features(found: Sequence[Score], batch: pl.DataFrame) -> list[str]:
    """Return how the features of single rows differ; a list of columns has none of its own: they are the inputs."""
    return [
        f"feature {name!r} is {alone!r} for a row alone and {among!r} in the batch"
        for score, row in zip(found, batch.iter_rows(), strict=True)
        if score.features is not None
        for name, alone, among in zip(batch.columns, score.features, row, strict=True)
        if not _same(alone, among)
    ]


def _different_scores(found: Sequence[Score], subject: Subject, places: Sequence[int]) -> list[str]:
    offline = np.atleast_2d(subject.scores[places].T).T
    answers = [score.probabilities or (score.output,) for score in found]
    return [
        f"the score is {alone} for a row alone and {among.tolist()} in the batch"
        for alone, among in zip(answers, offline, strict=True)
        if not np.allclose(alone, among, rtol=TOLERANCE, atol=TOLERANCE)
    ]


def _same(alone: object, among: object) -> bool:
    if isinstance(alone, float) and isinstance(among, float):
        return abs(alone - among) <= TOLERANCE * (1 + abs(among)) or (alone != alone and among != among)
    return alone == among
