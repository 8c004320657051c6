"""Tables of the store. Times are milliseconds since the epoch (UTC): the same in SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    and_,
    exists,
    false,
    not_,
    or_,
    text,
    true,
)  # fmt: skip

from foreshock.store.scope import tenant_column

__all__ = [
    "LIVE_ROWS", "alerts", "calls", "cursors", "events", "feedback", "fields", "history", "incidents", "members",
    "metadata", "outbox", "readers", "runs", "scorers", "served", "silences", "unwritten",
]  # fmt: skip

metadata = MetaData()


def fields(table: Table) -> list[Column[Any]]:
    """Return the columns of a record of a table: all but the tenant, which its repository knows."""
    return [column for column in table.columns if column.name != "tenant"]


LIVE_ROWS = text(  # text, not parameters: a database sees that the index of live alerts will do
    "state IN ('open', 'acknowledged')"
)
UNSENT = text("sent_ms IS NULL")

scorers = Table(
    "scorers", metadata,
    tenant_column(),
    Column("job", String(64), primary_key=True),
    Column("version", String(64), nullable=False),
    Column("scored_ms", BigInteger, nullable=False),
    Column("model_state", LargeBinary, nullable=False),
    Column("policy_state", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),
    comment="where scoring stands: written in one transaction with the alerts of a pass",
)  # fmt: skip

cursors = Table(
    "cursors", metadata,
    tenant_column(),
    Column("job", String(64), primary_key=True),
    Column("entity", String(512), primary_key=True),
    Column("first_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("scored_ms", BigInteger, nullable=False),
    Column("warming", Boolean, nullable=False, server_default=false()),
    comment="entities of a job: first and last row with a sample, last row that was scored",
)  # fmt: skip

alerts = Table(
    "alerts", metadata,
    tenant_column(),
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("job", String(64), nullable=False),
    Column("entity", String(512), nullable=False),
    Column("labels", JSON, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("feature", String(64), nullable=False, server_default=""),
    Column("state", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("resolved_ms", BigInteger),
    Column("score", Float, nullable=False),
    Column("peak", Float, nullable=False),
    Column("causes", JSON, nullable=False),
    Column("version", String(64)),
    Column("late", Boolean, nullable=False, default=False),
    Column("warming", Boolean, nullable=False, default=False),
    Column("acknowledged_by", String(128)),
    Column("resolved_by", String(128)),
    Column("silenced_by", String(32)),
    Column("announced", Boolean, nullable=False, server_default=true(), comment="receivers know of it"),
    Column("summary", Text, nullable=False),
    # a page of any filter is read from one of these, the newest first, without sorting
    Index("alerts_by_entity", "entity", "seq"),
    Index("alerts_by_job", "job", "seq"),
    Index("alerts_by_tenant", "tenant", "seq"),
    Index("alerts_by_job_entity", "job", "entity", "seq"),
    Index("alerts_by_job_kind", "job", "kind", "seq"),
    Index("alerts_by_job_state", "job", "state", "seq"),
    Index("alerts_by_kind", "kind", "seq"),
    Index("alerts_by_severity", "severity", "seq"),
    Index("alerts_by_state", "state", "seq"),
    Index("alerts_by_resolved", "resolved_ms"),
    Index("alerts_by_updated", "updated_ms"),
    # one live alert per entity and cause
    Index(
        "alerts_live", "job", "entity", "kind", "feature", unique=True,
        sqlite_where=LIVE_ROWS, postgresql_where=LIVE_ROWS,
    ),
)  # fmt: skip

history = Table(
    "history", metadata,
    tenant_column(),
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("alert", String(32), nullable=False, index=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("event", String(32), nullable=False),
    Column("who", String(128), nullable=False),
    Column("why", Text, nullable=False),
)  # fmt: skip

outbox = Table(
    "outbox", metadata,
    tenant_column(),
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("key", String(160), nullable=False, unique=True),
    Column("notifier", String(128), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("error", Text),
    Column("sent_ms", BigInteger),
    Column("claimed_ms", BigInteger),
    Index("outbox_by_sent", "sent_ms", "seq"),
    # what waits for one notifier is found without reading what waits for another
    Index("outbox_unsent", "notifier", "seq", "due_ms", sqlite_where=UNSENT, postgresql_where=UNSENT),
    comment="what is to be delivered: written with the alert, before anything is sent",
)  # fmt: skip

events = Table(
    "events", metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("tenant", String(64), nullable=False, server_default="default"),
    Column("at_ms", BigInteger, nullable=False),
    Column("type", String(16), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("data", JSON, nullable=False),
    Index("events_by_tenant", "tenant", "seq"),
    Index("events_by_subject", "tenant", "subject", "seq"),
    Index("events_by_age", "at_ms"),
    sqlite_autoincrement=True,  # a number is never given twice, though the newest event is taken away
    comment="what happened: written with it, never changed",
)  # fmt: skip

readers = Table(
    "readers", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("consumer", String(32), primary_key=True),
    Column("seq", BigInteger, nullable=False, comment="the last event that it has taken in"),
    comment="how far each consumer of events has read: written with what it made of them",
)  # fmt: skip

incidents = Table(
    "incidents", metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("tenant", String(64), nullable=False, server_default="default"),
    Column("id", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("first_ms", BigInteger, nullable=False, comment="of its first alert"),
    Column("last_ms", BigInteger, nullable=False, comment="of its last alert"),
    Column("alerts", Integer, nullable=False),
    Column("jobs", JSON, nullable=False),
    Column("entities", JSON, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("causes", JSON, nullable=False),
    Column("named", Boolean, nullable=False, server_default=false(), comment="a person gave it its title"),
    Column("apart", Boolean, nullable=False, server_default=false(), comment="a person split it"),
    Column("kind", String(64), comment="its class"),
    Column("kind_by", String(128)),
    Column("confidence", Float),
    Column("assignee", String(128)),
    Column("acknowledged_by", String(128)),
    Column("resolved_by", String(128)),
    Column("resolved_ms", BigInteger),
    Column("paged_ms", BigInteger),
    Column("merged_into", String(32)),
    Index("incidents_by_id", "tenant", "id", unique=True),
    Index("incidents_by_state", "tenant", "state", "seq"),
    Index("incidents_by_age", "tenant", "last_ms"),
)  # fmt: skip

members = Table(
    "members", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("alert", String(32), primary_key=True),
    Column("incident", String(32), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("node", String(512), nullable=False),
    Column("why", Text, nullable=False),
    Index("members_by_incident", "tenant", "incident"),
    comment="alerts of incidents, each in one, and why",
)  # fmt: skip

calls = Table(
    "calls", metadata,
    tenant_column(),
    Column("job", String(64), primary_key=True),
    Column("caller", String(512), primary_key=True),
    Column("callee", String(512), primary_key=True),
    Column("seen_ms", BigInteger, nullable=False, comment="when it was last counted, to a twentieth of `keep`"),
    comment="calls between nodes, as service-graph metrics showed them",
)  # fmt: skip

unwritten = Table(
    "unwritten", metadata,
    tenant_column(),
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("job", String(64), nullable=False),
    Column("posted_ms", BigInteger, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("block", LargeBinary, nullable=False, comment="an Arrow IPC stream"),
    Index("unwritten_by_job", "job", "seq"),
    Index("unwritten_by_posted", "posted_ms"),
    comment="scores that wait for the receiver of remote write: written with the pass, before anything is sent",
)  # fmt: skip

runs = Table(
    "runs", metadata,
    tenant_column(),
    Column("id", String(32), primary_key=True),
    Column("job", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("cause", String(128), nullable=False),
    Column("promotion", String(32), comment="promotion policy of a training; null: that of its kind"),
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("beat_ms", BigInteger),
    Column("error", Text),
    Column("log", Text, nullable=False, default=""),
    Column("result", JSON, nullable=False),
    Column("active", String(96), unique=True, comment="job and kind while active: never two"),
    Index("runs_by_job", "job", "kind", "due_ms"),
    Index("runs_by_due", "due_ms"),
    Index("runs_by_ended", "ended_ms"),
)  # fmt: skip

served = Table(
    "served", metadata,
    tenant_column(),
    Column("job", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("due_ms", BigInteger, nullable=False),
    comment="the time up to which a schedule is served",
)  # fmt: skip

silences = Table(
    "silences", metadata,
    tenant_column(),
    Column("id", String(32), primary_key=True),
    Column("matchers", JSON, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("rule", Text),
    Column("duration_s", Float),
    Column("timezone", String(64), nullable=False),
    Column("owner", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("reminded_ms", BigInteger),
    Column("ended_by", String(128)),
    Column("exclude", Boolean, nullable=False, server_default=false(), comment="its rows are not learnt from"),
    Index("silences_by_end", "end_ms"),
)  # fmt: skip

feedback = Table(
    "feedback", metadata,
    tenant_column(),
    Column("id", String(32), primary_key=True),
    Column("alert", String(32), nullable=False, index=True),
    Column("job", String(64), nullable=False, index=True),
    Column("entity", String(512), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("shift", Float),
    Column("who", String(128), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("undone_ms", BigInteger),
    Column("note", Text, nullable=False, server_default=""),
)  # fmt: skip

forecasts = Table(
    "forecasts", metadata,
    tenant_column(),
    Column("job", String(64), primary_key=True),
    Column("entity", String(512), primary_key=True),
    Column("feature", String(64), primary_key=True),
    Column("made_ms", BigInteger, nullable=False),
    Column("start_ms", BigInteger, nullable=False, comment="beginning of the first row"),
    Column("step_s", Float, nullable=False),
    Column("level", Float, nullable=False, comment="of the interval"),
    Column("rows", LargeBinary, nullable=False, comment="point, lower, upper: float64, little endian, row by row"),
    Column("method", String(64), nullable=False),
    Column("wape", Float, comment="backtest error"),
    Column("baseline_wape", Float, comment="that of seasonal naive on the same rows"),
    Column("exhaustion", JSON(none_as_null=True), comment="when it runs out, if the query asks for it"),
    Column("skipped", Text, comment="why there is no forecast"),
    comment="the latest forecast of each series",
)  # fmt: skip


def _of_alert(alert: Any, matches: Any) -> Any:
    """Condition: an alert of this id is of jobs that match."""
    return exists().where(alerts.c.id == alert, matches(alerts.c.job)).correlate_except(alerts)


def _of_incident(incident: Any, matches: Any) -> Any:
    """Condition: an incident of this id has alerts, and none of jobs that do not match."""
    among = members.alias()
    of_it = exists().where(among.c.incident == incident)
    return and_(
        of_it.correlate_except(among),
        not_(
            of_it.where(alerts.c.id == among.c.alert, not_(matches(alerts.c.job))).correlate_except(among, alerts)
        ),
    )


# for who may see some jobs only, where a row is not of a job itself
history.info["of_jobs"] = lambda columns, matches: _of_alert(columns.alert, matches)
members.info["of_jobs"] = lambda columns, matches: _of_alert(columns.alert, matches)
incidents.info["of_jobs"] = lambda columns, matches: _of_incident(columns.id, matches)
events.info["of_jobs"] = lambda columns, matches: or_(
    _of_alert(columns.subject, matches), _of_incident(columns.subject, matches)
)
