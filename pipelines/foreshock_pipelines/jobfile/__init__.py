"""The job file: one YAML file that says what is watched and how."""

from __future__ import annotations

from foreshock_pipelines.jobfile.alerts import AlertConfig
from foreshock_pipelines.jobfile.durations import Amount, Duration, Pause, format_duration, parse_duration
from foreshock_pipelines.jobfile.forecast import EventConfig, Exhaustion, ForecastConfig
from foreshock_pipelines.jobfile.http_config import Authorization, BasicAuth, HttpConfig, TlsConfig
from foreshock_pipelines.jobfile.job import Job
from foreshock_pipelines.jobfile.load import load_files, load_job, load_jobs, parse_job
from foreshock_pipelines.jobfile.notify import NotifierConfig
from foreshock_pipelines.jobfile.query import Query
from foreshock_pipelines.jobfile.schedule import Schedule
from foreshock_pipelines.jobfile.source import SourceConfig
from foreshock_pipelines.jobfile.topology import TopologyConfig
from foreshock_pipelines.jobfile.write import WriteConfig

__all__ = [
    "AlertConfig",
    "Amount",
    "Authorization",
    "BasicAuth",
    "Duration",
    "EventConfig",
    "Exhaustion",
    "ForecastConfig",
    "HttpConfig",
    "Job",
    "NotifierConfig",
    "Pause",
    "Query",
    "Schedule",
    "SourceConfig",
    "TlsConfig",
    "TopologyConfig",
    "WriteConfig",
    "format_duration",
    "load_files",
    "load_job",
    "load_jobs",
    "parse_duration",
    "parse_job",
]
