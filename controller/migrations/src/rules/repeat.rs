//! Whether a second run does no harm. Pure.

use crate::op::Op;

/// Whether a second run of a change does no harm.
pub(crate) fn repeatable(op: &Op) -> bool {
    match op {
        Op::CreateTable { if_not_exists, .. }
        | Op::AddColumn { if_not_exists, .. }
        | Op::CreateIndex { if_not_exists, .. }
        | Op::EnumAddValue { if_not_exists, .. } => *if_not_exists,
        Op::DropTable { if_exists }
        | Op::DropColumn { if_exists, .. }
        | Op::DropConstraint { if_exists, .. }
        | Op::DropIndex { if_exists, .. }
        | Op::DropView { if_exists, .. }
        | Op::DropOther { if_exists, .. }
        | Op::DropTrigger { if_exists } => *if_exists,
        Op::CreateView { replace, .. } | Op::CreateTrigger { replace } => *replace,
        Op::CreateOther { idempotent, .. } | Op::Insert { idempotent } => *idempotent,
        Op::Modify { from, column } => *from == column.name,
        Op::Domain { made, constrained } => !made && !constrained,
        Op::AddConstraint { .. }
        | Op::RenameTable { .. }
        | Op::RenameColumn { .. }
        | Op::RenameIndex { .. }
        | Op::RenameSchema
        | Op::EnumRenameValue
        | Op::Attach { .. }
        | Op::Detach { .. }
        | Op::DropDatabase => false,
        Op::Truncate { .. }
        | Op::ChangeType { .. }
        | Op::Default { .. }
        | Op::SetNotNull { .. }
        | Op::DropNotNull { .. }
        | Op::Validate { .. }
        | Op::Catalog { .. }
        | Op::RewriteTable { .. }
        | Op::Reindex { .. }
        | Op::RefreshView { .. }
        | Op::Update { .. }
        | Op::Delete { .. }
        | Op::Select { .. }
        | Op::LockTable { .. }
        | Op::VacuumFull
        | Op::Cluster
        | Op::Analyze
        | Op::Session { .. }
        | Op::Transaction { .. } => true,
    }
}
