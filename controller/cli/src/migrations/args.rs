//! The command's arguments, read and checked once. Reads files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use breakwater_migrations::{Dialect, Input, Large, Override, Rows, read_rows};
use clap::ValueEnum;

/// What can be done with migrations.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// What they lock and for how long, whether the old binary runs afterwards, and what their down files lose
    Review(Box<ReviewArgs>),
}

/// Raw arguments.
#[derive(Debug, Clone, clap::Args)]
pub struct ReviewArgs {
    /// The folder of morph files (`000066_name.up.sql`, `000066_name.down.sql`), from the first migration on
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The last migration that runs now: its number, or a version that file names end in (v6.0)
    #[arg(long, value_name = "N|VERSION", default_value = "0")]
    pub from: String,
    /// The last migration wanted: its number, a version, or N..M for both ends
    #[arg(long, value_name = "N|VERSION|N..M")]
    pub to: String,
    /// postgresql or mysql
    #[arg(long, default_value = "postgresql")]
    pub dialect: Dialect,
    /// The server's version, such as 15.4 or 8.0.36
    #[arg(long, value_name = "VERSION")]
    pub server_version: String,
    /// Rows by table: lines of `posts 11470022`, or JSON
    #[arg(long, value_name = "FILE")]
    pub table_rows: Option<PathBuf>,
    /// The last migration of the last ESR: what comes after it must be backwards compatible
    #[arg(long, value_name = "N|VERSION")]
    pub last_esr: Option<String>,
    /// What only the application's authors know, with a reason each (YAML list of migration, statement, oldBinary, reason)
    #[arg(long, value_name = "FILE")]
    pub overrides: Option<PathBuf>,
    /// From so many rows on a table is large; posts and threadmemberships always are
    #[arg(long, value_name = "ROWS", default_value_t = Large::default().rows)]
    pub large_rows: u64,
    /// Write the SQL that is right to run off-hours beforehand
    #[arg(long, value_name = "FILE")]
    pub off_hours: Option<PathBuf>,
    /// Replay on a PostgreSQL, in a scratch database that is made and dropped, and compare locks and rewrites
    #[arg(long, value_name = "URL")]
    pub measure: Option<String>,
    /// Rows to generate in each table there
    #[arg(long, value_name = "ROWS", default_value_t = 1000)]
    pub measure_rows: u32,
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Form,
    /// No colours
    #[arg(long)]
    pub no_color: bool,
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Table,
    /// JSON.
    Json,
    /// Markdown, for release notes.
    Md,
    /// A page that stands alone.
    Html,
}

impl ReviewArgs {
    /// Reads what the flags name.
    pub fn input(&self) -> Result<Input, String> {
        let files = files(&self.folder)?;
        let (from, to) = match self.to.split_once("..") {
            // N..M reviews both ends.
            Some((first, last)) => {
                (number("--to", first, &files)?.saturating_sub(1), number("--to", last, &files)?)
            }
            None => (number("--from", &self.from, &files)?, number("--to", &self.to, &files)?),
        };
        Ok(Input {
            from,
            to,
            last_esr: self.last_esr.as_ref().map(|text| number("--last-esr", text, &files)).transpose()?,
            files,
            dialect: self.dialect,
            server_version: self.server_version.clone(),
            rows: self.rows()?,
            large: Large { rows: self.large_rows, ..Large::default() },
            overrides: self.overrides()?,
        })
    }

    fn rows(&self) -> Result<Rows, String> {
        let Some(path) = &self.table_rows else { return Ok(Rows::new()) };
        read_rows(&path.display().to_string(), &text("--table-rows", path)?)
            .map_err(|problem| problem.to_string())
    }

    fn overrides(&self) -> Result<Vec<Override>, String> {
        let Some(path) = &self.overrides else { return Ok(Vec::new()) };
        serde_yaml::from_str(&text("--overrides", path)?).map_err(|why| {
            format!("--overrides {}: {why}: write a list of migration, oldBinary and reason", path.display())
        })
    }
}

fn text(flag: &str, path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|why| format!("{flag} {}: cannot read it: {why}", path.display()))
}

fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let bad = |why: std::io::Error| format!("{}: cannot read it: {why}", folder.display());
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(bad)? {
        let path = entry.map_err(bad)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.to_lowercase().ends_with(".sql") {
            let bytes =
                std::fs::read(&path).map_err(|why| format!("{}: cannot read it: {why}", path.display()))?;
            files.insert(name, bytes);
        }
    }
    if files.is_empty() {
        return Err(format!("{}: it holds no .sql file: name the folder of one dialect", folder.display()));
    }
    Ok(files)
}

/// A migration's number, given as such or as the version that file names end in.
fn number(flag: &str, text: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let ending = format!("v{}", text.trim_start_matches('v'));
    let stem = |name: &str| {
        name.trim_end_matches(".sql").trim_end_matches(".up").trim_end_matches(".down").to_owned()
    };
    let named = files.keys().filter(|name| stem(name).split('_').any(|part| part == ending));
    named
        .filter_map(|name| name.split_once('_')?.0.parse().ok())
        .max()
        .ok_or_else(|| format!("{flag} {text}: no file's name holds {ending}: give the migration's number"))
}
