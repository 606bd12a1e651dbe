//! A synthetic fleet and what Prometheus would say of it.
