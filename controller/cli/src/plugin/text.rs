//! Laying out text: tables, fields, ages. Pure.

use breakwater_crds::Span;
use breakwater_text::cut;
pub use breakwater_text::figure::{count, number, percent};
use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;

/// Columns stand so far apart, in characters, as kubectl's do.
const GAP: u16 = 3;

/// Left-aligned columns under a header, one line per row, without a trailing newline.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| plain(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.trim_fmt()
}

/// `Name:   value` lines; empty values are left out, without a trailing newline.
pub fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let shown: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = shown.iter().map(|(name, _)| name.len() + 1).max().unwrap_or(0) + usize::from(GAP);
    let line = |(name, value): &(&str, String)| {
        let label = if name.is_empty() { String::new() } else { format!("{name}:") };
        format!("{label:<width$}{}", plain(value))
    };
    shown.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The text on one line and without control characters: reasons and messages are other people's, and a terminal obeys.
pub fn plain(text: &str) -> String {
    cut::plain(text).into_owned()
}

/// How long ago, in the two largest units: `2d3h`. The future is `0s`.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    Span::seconds(now.duration_since(since).as_secs()).rounded()
}

/// `2d3h ago`, or nothing.
pub fn ago(since: Option<Timestamp>, now: Timestamp) -> String {
    since.map(|since| format!("{} ago", age(since, now))).unwrap_or_default()
}

/// The instant as RFC 3339 in whole seconds, as kubectl prints times.
pub fn stamp(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// Text that is never empty, for cells.
pub fn or_dash(text: impl Into<String>) -> String {
    let text = text.into();
    if text.is_empty() { "-".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(plain("a\x1b[31mb\nc"), "a [31mb c");
        let shown = table(["A"], [["x\x07\x1b]0;owned".to_owned()]]);
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    }
}
