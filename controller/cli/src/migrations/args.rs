//! The command's arguments, read and checked once. Reads files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use breakwater_migrations::{Dialect, Input, Large, Override, Rows, number_of, read_rows};
use clap::ValueEnum;

/// What can be done with migrations.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// What they lock and for how long, whether the old binary runs afterwards, and what their down files lose
    #[command(after_help = EXIT_CODES)]
    Review(Box<ReviewArgs>),
}

const EXIT_CODES: &str = "\
Exit codes:
  0  quiet, and safe to revert
  1  it needs attention (off-hours, downtime, a down file, lost data, or something unknown), or a measurement disagrees
  2  the input cannot be used";

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
    /// postgresql or mysql [default: mysql where the folder's name says so, else postgresql]
    #[arg(long)]
    pub dialect: Option<Dialect>,
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
    /// The folder of the release before: a file that it shipped must not be edited
    #[arg(long, value_name = "DIR")]
    pub shipped: Option<PathBuf>,
    /// The other dialect's folder: it must have the same numbers
    #[arg(long, value_name = "DIR")]
    pub twin: Option<PathBuf>,
    /// The list of files that the folder must agree with [default: migrations.list beside the folder, if there is one]
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Tell rules of style too
    #[arg(long)]
    pub style: bool,
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
        let number = |flag: &str, text: &str| number_of(flag, text, &files).map_err(|why| why.to_string());
        let (from, to) = match self.to.split_once("..") {
            // N..M reviews both ends.
            Some((first, last)) => (number("--to", first)?.saturating_sub(1), number("--to", last)?),
            None => (number("--from", &self.from)?, number("--to", &self.to)?),
        };
        if from >= to {
            return Err(format!(
                "--to {}: nothing comes after migration {from}, which runs already: give a later one",
                self.to
            ));
        }
        let last_esr = self.last_esr.as_ref().map(|text| number("--last-esr", text)).transpose()?;
        Ok(Input {
            last_esr,
            rows: self.rows()?,
            large: Large { rows: self.large_rows, ..Large::default() },
            overrides: self.overrides()?,
            shipped: self.shipped.as_deref().map(self::files).transpose()?.unwrap_or_default(),
            twin: self.twin.as_deref().map(numbers).transpose()?,
            list: self.list()?,
            style: self.style,
            ..Input::new(files, self.dialect(), self.server_version.clone(), from, to)
        })
    }

    fn dialect(&self) -> Dialect {
        let named = self.folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mysql"));
        self.dialect.unwrap_or(if named { Dialect::Mysql } else { Dialect::Postgresql })
    }

    fn list(&self) -> Result<Option<String>, String> {
        let beside = self.folder.join("../migrations.list");
        match &self.list {
            Some(path) => text("--list", path).map(Some),
            None if beside.is_file() => text("--list", &beside).map(Some),
            None => Ok(None),
        }
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
    let entries = std::fs::read_dir(folder).map_err(|why| {
        format!(
            "{}: cannot read it: {why}: give the folder of one dialect's migration files",
            folder.display()
        )
    })?;
    for entry in entries {
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

/// The numbers that a folder's up files have.
fn numbers(folder: &Path) -> Result<BTreeSet<u32>, String> {
    let ups = files(folder)?.into_keys().filter(|name| name.to_lowercase().ends_with(".up.sql"));
    Ok(ups.filter_map(|name| name.split_once('_')?.0.parse().ok()).collect())
}
