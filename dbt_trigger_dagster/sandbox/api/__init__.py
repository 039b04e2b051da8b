"""What the sandbox answers: routes, envelopes, filters and payloads, as dbt Cloud's."""
