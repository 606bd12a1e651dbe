//! Logs: lines for people or JSON, filtered, on standard error.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// A plain level is ours; libraries speak only of what went wrong.
const QUIET: &str = ",kube_runtime=warn,kube_client=warn,hyper_util=warn,tower=warn,rustls=warn";

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// An object a line.
    Json,
}

/// What is logged and how.
#[derive(Debug)]
pub struct Logging {
    format: LogFormat,
    filter: EnvFilter,
}

impl Logging {
    /// `filter` is a level, or directives such as `info,breakwater_operator=debug`.
    pub fn parse(format: LogFormat, filter: &str) -> Result<Self, String> {
        let own = format!("{filter}{QUIET}");
        let directives = if filter.contains(['=', ',']) { filter } else { &own };
        let filter =
            EnvFilter::try_new(directives).map_err(|error| format!("--log-level {filter:?}: {error}"))?;
        Ok(Self { format, filter })
    }

    /// Starts logging for the whole process; a second call changes nothing.
    pub fn start(self) {
        let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let builder = tracing_subscriber::fmt()
            .with_env_filter(self.filter)
            .with_ansi(coloured)
            .with_writer(std::io::stderr);
        let started = match self.format {
            LogFormat::Text => builder.try_init(),
            LogFormat::Json => builder.json().flatten_event(true).try_init(),
        };
        if let Err(error) = started {
            eprintln!("logging was started already: {error}");
        }
    }
}
