"""Stacks to processes: a job in, what happens to it out.

A worker is told what to train, and tells what came of it: records, and files of a checkpoint. It
knows neither runs nor the store. Whoever gives out the jobs logs what comes back.
"""

from pipeline.workers.cluster import engine
from pipeline.workers.engine import Engine, Local, Slots, how_many
from pipeline.workers.job import Begun, Epoch, Event, Job, Trained, trained
from pipeline.workers.workers import Here, Worker, Workers, first_ready, workers

__all__ = [
    "Begun",
    "Engine",
    "Epoch",
    "Event",
    "Here",
    "Job",
    "Local",
    "Slots",
    "Trained",
    "Worker",
    "Workers",
    "engine",
    "first_ready",
    "how_many",
    "trained",
    "workers",
]
