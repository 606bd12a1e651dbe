//! The review as one HTML page that stands alone. Pure.

use breakwater_migrations::in_words;
use breakwater_page::document;
use maud::html;

use super::{Shown, report};

/// Renders it.
pub(super) fn render(shown: &Shown) -> String {
    let review = &shown.review;
    document(
        &format!("Migrations {} to {}", review.first(), review.to),
        &html! {
            header {
                h1 { "Migrations " (review.first()) " to " (review.to) }
                p.verdict { (report::verdict(review)) }
                p.meta { (format!("{} {}", review.dialect, review.server_version)) " · " (in_words(review.duration)) }
            }
            section {
                table {
                    thead { tr { th { "#" } th { "Query" } th { "Duration" } th { "Impact" } th { "Old binary" } th { "To do" } } }
                    tbody {
                        @for (number, one) in report::shown(review) {
                            tr {
                                td { (number) } td { code { (one.sql) } } td { (in_words(one.duration)) }
                                td { (report::impact(one)) } td { (one.old_binary.in_words()) } td { (report::to_do(one)) }
                            }
                        }
                    }
                }
            }
            @if let Some(rules) = report::findings(review) { section { h2 { "Rules" } pre { (rules) } } }
            section { h2 { "Why" } ul { @for reason in &review.reasons { li { (reason) } } } }
            @if !review.off_hours_sql.is_empty() {
                section { h2 { "To run off-hours beforehand" } pre { (review.off_hours_sql.join("\n")) } }
            }
            @if !review.down_sql.is_empty() {
                section { h2 { "Down, in this order" } @for step in &review.down_sql { h3 { (step.file) } pre { (step.sql) } } }
            }
            @if let Some(words) = &review.inform_sre { section { h2 { "Inform SRE" } pre { (words) } } }
        },
    )
}
