"""The schedules of a job as KubeRay manifests, for clusters where Kubernetes keeps the time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobfile.cron import parse_schedule

__all__ = ["ray_cron_jobs"]

RUNS = ("train", "tune", "forecast")


def ray_cron_jobs(
    job: Job, *, image: str, config_map: str, cpus: int = 2, memory: str = "4Gi", ray_version: str = "2.60.0"
) -> list[dict[str, Any]]:
    """One RayCronJob (``ray.io/v1``) for each run that the job schedules.

    Parameters
    ----------
    image
        Container image with Foreshock in it.
    config_map
        ConfigMap that holds the job file as ``<job name>.yaml``.

    Raises
    ------
    ConfigError
        An interval that cron cannot say (as 7m or 36h).
    """
    manifests = []
    for kind in RUNS:
        text = getattr(job.schedule, kind)
        if text is not None:
            cron = _as_cron(text, f"schedule.{kind}")
            manifests.append(_manifest(job, kind, cron, image, config_map, cpus, memory, ray_version))
    return manifests


def _as_cron(text: str, key: str) -> str:
    schedule = parse_schedule(text)
    if not isinstance(schedule, timedelta):
        return text
    minutes = schedule.total_seconds() / 60
    if minutes < 60 and 60 % minutes == 0 and minutes >= 1:
        return f"*/{int(minutes)} * * * *"
    hours = minutes / 60
    if hours <= 24 and 24 % hours == 0:
        return "0 0 * * *" if hours == 24 else f"0 */{int(hours)} * * *"
    raise ConfigError(
        f"{key}: Kubernetes knows cron lines only, and {text!r} is none: "
        "write a cron line, or an interval that divides an hour or a day"
    )


def _manifest(
    job: Job, kind: str, cron: str, image: str, config_map: str, cpus: int, memory: str, ray_version: str
) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "foreshock", "foreshock.io/job": job.name, "foreshock.io/run": kind}
    container = {
        "name": "ray-head",
        "image": image,
        "envFrom": [{"secretRef": {"name": "foreshock", "optional": True}}],
        "resources": {
            "requests": {"cpu": str(cpus), "memory": memory},
            "limits": {"cpu": str(cpus), "memory": memory},
        },
        "volumeMounts": [{"name": "jobs", "mountPath": "/etc/foreshock/jobs", "readOnly": True}],
        "securityContext": {"allowPrivilegeEscalation": False, "runAsNonRoot": True},
    }
    pod = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "volumes": [{"name": "jobs", "configMap": {"name": config_map}}]},
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCronJob",
        "metadata": {"name": f"foreshock-{job.name}-{kind}".replace("_", "-"), "labels": labels},
        "spec": {
            "schedule": cron,
            "timeZone": job.schedule.timezone,
            "jobTemplate": {
                "entrypoint": f"foreshock {kind} -c /etc/foreshock/jobs/{job.name}.yaml --json",
                "shutdownAfterJobFinishes": True,
                "ttlSecondsAfterFinished": 600,
                "backoffLimit": 2,
                "rayClusterSpec": {
                    "rayVersion": ray_version,
                    "headGroupSpec": {"rayStartParams": {"dashboard-host": "0.0.0.0"}, "template": pod},
                },
            },
        },
    }
