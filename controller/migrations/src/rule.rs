//! The rules that a file or a folder can break, by name (docs/migrations.md). Pure, data.

use std::fmt;

use serde::{Serialize, Serializer};

/// The enum, its names and the list of it all, from one table.
macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $name:literal,)*) => {
        /// A rule. Its name is what a review says, in kebab case.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[$doc])* $rule,)*
        }

        impl Rule {
            /// All rules, in the order of docs/migrations.md.
            pub const ALL: &'static [Self] = &[$(Self::$rule,)*];

            /// The rule's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$rule => $name,)*
                }
            }
        }
    };
}

rules! {
    /// CREATE INDEX on a table that others use, writes waiting.
    IndexNotConcurrent = "index-not-concurrent",
    /// DROP INDEX, reads and writes waiting.
    IndexDropNotConcurrent = "index-drop-not-concurrent",
    /// REINDEX, reads and writes waiting.
    ReindexNotConcurrent = "reindex-not-concurrent",
    /// A form that fails in a transaction, in one.
    ConcurrentlyInTx = "concurrently-in-tx",
    /// Several statements in a nontransactional file, one of which fails in a transaction.
    NtxMultiStatement = "ntx-multi-statement",
    /// IF NOT EXISTS over an index that a failed build left invalid.
    InvalidIndexHidden = "invalid-index-hidden",
    /// CONCURRENTLY on PostgreSQL 14.0 to 14.3, which can corrupt the index.
    CicCorruptionPg14 = "cic-corruption-pg14",
    /// An index of more than three columns.
    IndexWide = "index-wide",
    /// A prefix that morph does not see.
    NtxPrefixMisplaced = "ntx-prefix-misplaced",
    /// A change in a nontransactional file that fails when it runs again.
    NtxNotIdempotent = "ntx-not-idempotent",
    /// BEGIN or COMMIT where morph's own transaction is, or a BEGIN that nothing ends.
    ExplicitTxInFile = "explicit-tx-in-file",
    /// Several statements that MySQL commits one by one.
    MysqlDdlAutocommit = "mysql-ddl-autocommit",
    /// An up file without a down file.
    MissingDown = "missing-down",
    /// A down file without a statement.
    NoopDown = "noop-down",
    /// A down file without an up file.
    MissingUp = "missing-up",
    /// A change of type that writes every row anew.
    ColumnTypeChange = "column-type-change",
    /// A change of type in the catalogue only.
    ColumnTypeChangeSafe = "column-type-change-safe",
    /// A change of type of a column that a CHECK reads.
    TypeChangeWithCheck = "type-change-with-check",
    /// A new column whose default is computed for each row.
    AddColumnDefaultVolatile = "add-column-default-volatile",
    /// A new column that must be filled and has no default.
    AddColumnRequired = "add-column-required",
    /// A new column that counts up.
    AddColumnSerial = "add-column-serial",
    /// A new column that is computed and stored.
    AddColumnGeneratedStored = "add-column-generated-stored",
    /// A new column of type json.
    AddColumnJson = "add-column-json",
    /// SET NOT NULL that reads the table.
    SetNotNull = "set-not-null",
    /// A column that may be NULL from now on.
    DropNotNull = "drop-not-null",
    /// A column that goes.
    DropColumn = "drop-column",
    /// A column under another name.
    RenameColumn = "rename-column",
    /// NOT NULL without a strict mode, which fills NULLs silently.
    MysqlNotNullNonstrict = "mysql-not-null-nonstrict",
    /// UNIQUE that builds its index under the strongest lock.
    AddUnique = "add-unique",
    /// A primary key on a table that others use.
    AddPrimaryKey = "add-primary-key",
    /// A foreign key that is checked at once.
    AddForeignKey = "add-foreign-key",
    /// A foreign key without an index that starts with its columns.
    FkUnindexed = "fk-unindexed",
    /// A CHECK that is checked at once.
    AddCheckValid = "add-check-valid",
    /// An exclusion constraint.
    AddExclusion = "add-exclusion",
    /// VALIDATE while a strong lock of the same file is held.
    ValidateWhileBlocking = "validate-while-blocking",
    /// A constraint on a domain.
    DomainConstraint = "domain-constraint",
    /// A table that goes.
    DropTable = "drop-table",
    /// A view that goes.
    DropView = "drop-view",
    /// A materialized view that goes.
    DropMatview = "drop-matview",
    /// A database or a schema that goes.
    DropDatabase = "drop-database",
    /// A table that is emptied.
    Truncate = "truncate",
    /// All tables emptied that reference one.
    TruncateCascade = "truncate-cascade",
    /// A table under another name.
    RenameTable = "rename-table",
    /// A schema under another name.
    RenameSchema = "rename-schema",
    /// A value of an enum under another name.
    RenameEnumValue = "rename-enum-value",
    /// A table dropped and made again in one file.
    CreateForce = "create-force",
    /// DETACH PARTITION, reads and writes waiting.
    DetachNotConcurrent = "detach-not-concurrent",
    /// A new enum.
    EnumCreate = "enum-create",
    /// A new value of an enum without its place.
    EnumAddValueOrder = "enum-add-value-order",
    /// VACUUM FULL or CLUSTER.
    VacuumFull = "vacuum-full",
    /// An UPDATE or DELETE without a bound.
    FullTableDml = "full-table-dml",
    /// Batches in a loop that one transaction holds.
    LoopBatchInOneTx = "loop-batch-in-one-tx",
    /// Rows changed while a strong lock of the same file is held.
    DmlAfterDdl = "dml-after-ddl",
    /// Several tables changed in one file.
    OneThingPerFile = "one-thing-per-file",
    /// One table written anew by two statements.
    MultipleAlterSameTable = "multiple-alter-same-table",
    /// More work while a strong lock of the same file is held.
    MoreAfterAccessExclusive = "more-after-access-exclusive",
    /// LOCK TABLE.
    LockTable = "lock-table",
    /// A strong lock without a bound on the wait for it.
    NoLockTimeout = "no-lock-timeout",
    /// A long lock without a bound on the work.
    NoStatementTimeout = "no-statement-timeout",
    /// ALGORITHM=COPY.
    AlgorithmCopy = "algorithm-copy",
    /// LOCK=SHARED or LOCK=EXCLUSIVE.
    LockSharedExclusive = "lock-shared-exclusive",
    /// An ALGORITHM or a LOCK that the server refuses.
    AlgorithmUnsupported = "algorithm-unsupported",
    /// A statement that is put together at run time.
    DynamicSql = "dynamic-sql",
    /// A change that a condition may skip.
    GuardSkipsChange = "guard-skips-change",
    /// A condition that asks the catalogue wrongly.
    GuardWrongCatalog = "guard-wrong-catalog",
    /// A down file that loses what was written since.
    DownDataLoss = "down-data-loss",
    /// A down file that does not take everything back.
    DownNotInverse = "down-not-inverse",
    /// A number that no migration has.
    SequenceGap = "sequence-gap",
    /// A list file that does not agree with the folder.
    SequenceList = "sequence-list",
    /// A migration that only one dialect has.
    DriverPairMissing = "driver-pair-missing",
    /// A file that was released before and is another now.
    ShippedFileEdited = "shipped-file-edited",
    /// Style: a column of type char.
    BanCharField = "ban-char-field",
    /// Style: varchar with a length.
    PreferTextField = "prefer-text-field",
    /// Style: a timestamp without time zone.
    PreferTimestampTz = "prefer-timestamp-tz",
    /// Style: an integer.
    PreferBigintOverInt = "prefer-bigint-over-int",
    /// Style: a smallint.
    PreferBigintOverSmallint = "prefer-bigint-over-smallint",
    /// Style: serial.
    PreferIdentity = "prefer-identity",
    /// Style: a table named without its schema.
    RequireTableSchema = "require-table-schema",
    /// Style: a name that PostgreSQL cuts.
    IdentifierTooLong = "identifier-too-long",
    /// Style: a column assigned twice.
    BanDuplicateColumnAssignments = "ban-duplicate-column-assignments",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_documentation_lists_every_rule_and_no_other() {
        let text = include_str!("../../docs/migrations.md");
        let table =
            text.split("## Rules").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the table");
        let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(1));
        let listed: BTreeSet<&str> = cells
            .filter(|cell| *cell != "rules |")
            .flat_map(|cell| cell.trim_end_matches(" |").split(", "))
            .filter_map(|word| word.split(' ').next())
            .collect();
        let known: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(listed, known);
    }
}
