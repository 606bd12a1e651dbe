//! A statement of either dialect as what it changes. Pure, data; [`crate::parse`] makes it.

/// A column as it is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Column {
    pub name: String,
    /// Lower case, single spaces: `character varying(300)`.
    pub kind: String,
    pub not_null: bool,
    /// The default's text, if there is one.
    pub default: Option<String>,
    /// Whether the default is evaluated anew for each row, or the column is an identity, serial, or stored generated.
    pub volatile: bool,
    /// Generated, not stored.
    pub is_virtual: bool,
    pub unique: bool,
    pub primary: bool,
    pub check: bool,
    pub references: Option<String>,
    /// MySQL: not at the end.
    pub placed: bool,
    /// MySQL's `AUTO_INCREMENT`, PostgreSQL's serial and identity.
    pub auto_increment: bool,
    /// Types that it may still have, for a change of this file that a condition may skip.
    pub perhaps: Vec<String>,
}

impl Column {
    /// The column with each type that it may have.
    pub fn each(&self) -> impl Iterator<Item = Self> + '_ {
        let other = |kind: &String| Self { kind: kind.clone(), ..self.clone() };
        std::iter::once(&self.kind).chain(&self.perhaps).map(other)
    }
}

/// A constraint's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Constraint {
    Check,
    Unique,
    Primary,
    Foreign,
    Exclude,
    NotNull,
}

/// What an ALTER TABLE writes the table anew for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rewrite {
    /// MySQL's `CONVERT TO CHARACTER SET`.
    Charset,
    /// MySQL's `DEFAULT CHARACTER SET`.
    DefaultCharset,
    /// Other files or another format: a tablespace, an engine, logging.
    Files,
}

/// What is made that is no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    Enum,
    /// A function or a procedure.
    Routine,
    Other,
}

/// One change. The table it is made to stands beside it, in [`Action`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    CreateTable {
        columns: Vec<Column>,
        references: Vec<String>,
        if_not_exists: bool,
        from_query: bool,
    },
    DropTable {
        if_exists: bool,
    },
    RenameTable {
        to: String,
    },
    Truncate {
        cascade: bool,
    },
    AddColumn {
        column: Column,
        if_not_exists: bool,
    },
    DropColumn {
        name: String,
        if_exists: bool,
    },
    RenameColumn {
        from: String,
        to: String,
    },
    /// PostgreSQL's `ALTER COLUMN TYPE`.
    ChangeType {
        name: String,
        to: String,
        using: Option<String>,
    },
    /// MySQL's MODIFY (`from` and the column's name are one) and CHANGE.
    Modify {
        from: String,
        column: Column,
    },
    Default {
        name: String,
        set: bool,
    },
    SetNotNull {
        name: String,
    },
    DropNotNull {
        name: String,
    },
    AddConstraint {
        name: Option<String>,
        kind: Constraint,
        /// Of a CHECK, every name in its expression.
        columns: Vec<String>,
        references: Option<String>,
        not_valid: bool,
        using_index: bool,
        proves_not_null: Option<String>,
    },
    Validate {
        name: String,
    },
    DropConstraint {
        name: String,
        kind: Option<Constraint>,
        if_exists: bool,
    },
    /// An ALTER TABLE form that changes the catalogue only, under the lock its row in the lock table names.
    Catalog {
        lock: crate::Lock,
    },
    /// An ALTER TABLE form that writes the table anew.
    RewriteTable {
        what: Rewrite,
    },
    Attach {
        child: String,
    },
    Detach {
        child: String,
        concurrently: bool,
    },
    CreateIndex {
        name: Option<String>,
        unique: bool,
        columns: Vec<String>,
        concurrently: bool,
        if_not_exists: bool,
        special: bool,
    },
    DropIndex {
        name: String,
        concurrently: bool,
        if_exists: bool,
    },
    RenameIndex {
        from: String,
        to: String,
    },
    Reindex {
        concurrently: bool,
    },
    CreateView {
        materialized: bool,
        replace: bool,
    },
    RefreshView {
        concurrently: bool,
    },
    DropView {
        if_exists: bool,
        materialized: bool,
    },
    /// A type, function, sequence, schema, extension, comment or grant made new: no table is touched.
    CreateOther {
        what: Object,
        idempotent: bool,
    },
    DropOther {
        if_exists: bool,
    },
    EnumAddValue {
        ordered: bool,
        if_not_exists: bool,
    },
    EnumRenameValue,
    RenameSchema,
    /// Made new, or altered; whether it constrains its values.
    Domain {
        made: bool,
        constrained: bool,
    },
    CreateTrigger {
        replace: bool,
    },
    DropTrigger {
        if_exists: bool,
    },
    Insert {
        idempotent: bool,
    },
    Update {
        bounded: bool,
        blanks: bool,
    },
    Delete {
        bounded: bool,
    },
    Select {
        locking: bool,
    },
    LockTable {
        lock: crate::Lock,
    },
    VacuumFull,
    Cluster,
    /// ANALYZE and VACUUM.
    Analyze,
    /// SET, SHOW, SELECT of no table; the flags say which timeout it sets, and whether MySQL's strict mode is on after it.
    Session {
        lock_timeout: bool,
        statement_timeout: bool,
        strict: bool,
    },
    Transaction {
        begin: bool,
    },
    DropDatabase,
}

/// One change to one table (or view, type or index's table). `None` where the statement names none, or where the
/// schema model has to find it (DROP INDEX).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    pub table: Option<String>,
    pub op: Op,
}

/// A parsed statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub actions: Vec<Action>,
    /// MySQL: what `ALGORITHM=` and `LOCK=` ask for, upper case.
    pub algorithm: Option<String>,
    pub lock: Option<String>,
}
