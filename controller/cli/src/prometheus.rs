//! How a Prometheus is asked by a command without a cluster: files and flags in place of Secrets. I/O: files only.

use std::path::{Path, PathBuf};

use breakwater_operator::telemetry::{Secret, Settings};

/// What is needed beside the URL.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Prometheus")]
pub struct Access {
    /// File with a bearer token
    #[arg(long, value_name = "FILE")]
    pub bearer_token_file: Option<PathBuf>,
    /// A header, such as X-Scope-OrgID=ops; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub header: Vec<String>,
    /// File with CA certificates in PEM
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

impl Access {
    /// The settings; errors name the flag and its value.
    pub fn settings(&self, url: &str) -> Result<Settings, String> {
        let read = |flag: &str, path: &Path| {
            std::fs::read(path).map_err(|why| format!("{flag} {}: cannot read it: {why}", path.display()))
        };
        let bearer =
            self.bearer_token_file.as_deref().map(|path| read("--bearer-token-file", path)).transpose()?;
        let ca_pem = self.ca_file.as_deref().map(|path| read("--ca-file", path)).transpose()?;
        let header = |text: &String| {
            let (name, value) = text
                .split_once('=')
                .ok_or_else(|| format!("--header {text:?}: write NAME=VALUE, such as X-Scope-OrgID=ops"))?;
            Ok::<_, String>((name.to_owned(), Secret::new(value)))
        };
        Ok(Settings {
            bearer: bearer.map(|token| Secret::new(&String::from_utf8_lossy(&token))),
            ca_pem,
            headers: self.header.iter().map(header).collect::<Result<_, _>>()?,
            ..Settings::new(url)
        })
    }
}
