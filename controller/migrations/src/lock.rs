//! What a statement holds, whom that blocks, and for how long. Pure, data.

use serde::Serialize;

/// PostgreSQL's table locks, by their own names ("Explicit Locking", 13.3.1), weakest first; and what InnoDB's online DDL
/// holds instead (Reference Manual "Online DDL Operations": 14.13.1 in 5.7, 17.12.1 in 8.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Lock {
    /// None on any table that exists before.
    #[serde(rename = "none")]
    None,
    /// What a SELECT takes.
    #[serde(rename = "ACCESS SHARE")]
    AccessShare,
    /// What SELECT FOR UPDATE takes.
    #[serde(rename = "ROW SHARE")]
    RowShare,
    /// What UPDATE, DELETE and INSERT take.
    #[serde(rename = "ROW EXCLUSIVE")]
    RowExclusive,
    /// `InnoDB` rows and the gaps before them.
    #[serde(rename = "row locks (next-key)")]
    NextKey,
    /// Blocks other changes of the schema, neither reads nor writes.
    #[serde(rename = "SHARE UPDATE EXCLUSIVE")]
    ShareUpdateExclusive,
    /// In place or instant: the metadata lock is exclusive only at start and end.
    #[serde(rename = "INPLACE, LOCK=NONE")]
    Online,
    /// Blocks writes.
    #[serde(rename = "SHARE")]
    Share,
    /// Blocks writes.
    #[serde(rename = "SHARE ROW EXCLUSIVE")]
    ShareRowExclusive,
    /// Blocks writes and locking reads.
    #[serde(rename = "EXCLUSIVE")]
    Exclusive,
    /// In place, but writes wait: `LOCK=SHARED`.
    #[serde(rename = "INPLACE, LOCK=SHARED")]
    InplaceShared,
    /// The table is copied and writes wait.
    #[serde(rename = "COPY algorithm, LOCK=SHARED")]
    Copy,
    /// Blocks reads and writes.
    #[serde(rename = "ACCESS EXCLUSIVE")]
    AccessExclusive,
    /// MySQL: an exclusive metadata lock for as long as the statement runs.
    #[serde(rename = "exclusive metadata lock")]
    MetadataExclusive,
    /// Not read, so not known.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Lock {
    /// The lock's name as its server's manual writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::AccessShare => "ACCESS SHARE",
            Self::RowShare => "ROW SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::NextKey => "row locks (next-key)",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Online => "INPLACE, LOCK=NONE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::InplaceShared => "INPLACE, LOCK=SHARED",
            Self::Copy => "COPY algorithm, LOCK=SHARED",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
            Self::MetadataExclusive => "exclusive metadata lock",
            Self::Unknown => "unknown",
        }
    }

    /// Whether plain reads wait for it (the conflict table of 13.3.1).
    pub fn blocks_reads(self) -> bool {
        matches!(self, Self::AccessExclusive | Self::MetadataExclusive | Self::Unknown)
    }

    /// Whether writes wait for it.
    pub fn blocks_writes(self) -> bool {
        matches!(
            self,
            Self::Share | Self::ShareRowExclusive | Self::Exclusive | Self::InplaceShared | Self::Copy
        ) || self.blocks_reads()
    }
}

/// For how long something is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Blocked {
    /// Not at all.
    No,
    /// Only the rows that the statement changes.
    MatchedRows,
    /// A change of the catalogue: milliseconds once the lock is there, though the wait for it blocks too.
    Brief,
    /// As long as the statement works on the rows.
    Whole,
    /// Not known: to be taken for [`Blocked::Whole`].
    Unknown,
}

/// What the server does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Work {
    /// The catalogue only.
    Catalog,
    /// Reads or changes rows.
    Dml,
    /// Reads every row.
    Scan,
    /// Builds an index.
    IndexBuild,
    /// Writes every row anew.
    Rewrite,
    /// Not known.
    Unknown,
}
