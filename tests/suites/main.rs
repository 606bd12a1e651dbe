//! All suites, in one binary: they share one bed.

mod actions;
mod api;
mod backtest;
mod bed;
mod churn;
mod comparison;
mod conformance;
mod crashes;
mod deviations;
mod gitops;
mod loadtest;
mod malformed;
mod outages;
mod plugin;
mod refusals;
mod releases;
mod security;
mod waves;
