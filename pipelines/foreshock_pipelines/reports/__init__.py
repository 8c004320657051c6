"""Self-contained HTML pages about what a job found."""
