//! telemetry: to be filled in.
