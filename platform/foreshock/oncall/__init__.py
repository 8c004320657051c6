"""On-call: who is told of an incident, when, and who is next if nobody answers."""
