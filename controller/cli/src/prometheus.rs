//! How a Prometheus is asked by a command without a cluster: files and flags in place of Secrets. I/O: files only.

use std::path::Path;

use breakwater_operator::telemetry::{Secret, Settings};

/// What the flags say beside the URL.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// `--bearer-token-file`.
    pub bearer_token_file: Option<&'a Path>,
    /// `--header NAME=VALUE`.
    pub headers: &'a [String],
    /// `--ca-file`.
    pub ca_file: Option<&'a Path>,
}

impl Access<'_> {
    /// The settings; errors name the flag and its value.
    pub fn settings(self, url: &str) -> Result<Settings, String> {
        let read = |flag: &str, path: &Path| {
            std::fs::read(path).map_err(|why| format!("{flag} {}: cannot read it: {why}", path.display()))
        };
        let bearer = self.bearer_token_file.map(|path| read("--bearer-token-file", path)).transpose()?;
        let ca_pem = self.ca_file.map(|path| read("--ca-file", path)).transpose()?;
        let header = |text: &String| {
            let (name, value) = text
                .split_once('=')
                .ok_or_else(|| format!("--header {text:?}: write NAME=VALUE, such as X-Scope-OrgID=ops"))?;
            Ok::<_, String>((name.to_owned(), Secret::new(value)))
        };
        Ok(Settings {
            bearer: bearer.map(|token| Secret::new(&String::from_utf8_lossy(&token))),
            ca_pem,
            headers: self.headers.iter().map(header).collect::<Result<_, _>>()?,
            ..Settings::new(url)
        })
    }
}
