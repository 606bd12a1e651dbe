//! Rows of numbers as text: little-endian, in base64. Pure.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use breakwater_slo::{Counts, TenantId};

/// What is known of one tenant for one SLO.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    /// It is not one of the wave for this SLO.
    Stranger,
    /// It had no series in the seven days.
    Unseen,
    /// Its events.
    Seen(Counts),
}

/// Stand for a total where there is none.
const UNSEEN: f32 = -1.0;
const STRANGER: f32 = -2.0;

/// Bytes of a tenant before they become text.
pub(super) const fn row_bytes(slos: usize) -> usize {
    8 + 8 * slos
}

/// Bytes of which no more than so many characters of text are made.
pub(super) const fn room(text_bytes: usize) -> usize {
    text_bytes / 4 * 3
}

/// Appends a tenant.
pub(super) fn push_row(bytes: &mut Vec<u8>, tenant: TenantId, cells: impl Iterator<Item = Cell>) {
    bytes.extend(tenant.0.to_le_bytes());
    for cell in cells {
        let (bad, total) = match cell {
            Cell::Stranger => (0.0, STRANGER),
            Cell::Unseen => (0.0, UNSEEN),
            Cell::Seen(counts) => single(counts).unwrap_or((0.0, UNSEEN)),
        };
        bytes.extend(bad.to_le_bytes());
        bytes.extend(total.to_le_bytes());
    }
}

/// Appends numbers in single precision; -1 for what is not known.
#[expect(clippy::cast_possible_truncation, reason = "they were in single precision before")]
pub(super) fn push_known(bytes: &mut Vec<u8>, values: impl Iterator<Item = Option<f64>>) {
    for value in values {
        bytes.extend(value.map_or(UNSEEN, |value| value as f32).to_le_bytes());
    }
}

/// A number that was appended so.
pub(super) fn known(value: f64) -> Option<f64> {
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// Counts in single precision, a ten-millionth off at most; `None` where they are more than that holds.
#[expect(clippy::cast_possible_truncation, reason = "that is what is asked for")]
fn single(counts: Counts) -> Option<(f32, f32)> {
    let (bad, total) = (counts.bad as f32, counts.total as f32);
    (bad.is_finite() && total.is_finite() && bad >= 0.0 && total >= 0.0).then_some((bad.min(total), total))
}

/// The tenants of a text, each with a cell per SLO; `None` where it is no such text.
pub(super) fn rows(text: &str, slos: usize) -> Option<Vec<(TenantId, Vec<Cell>)>> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let rows = bytes.chunks_exact(row_bytes(slos));
    if !rows.remainder().is_empty() {
        return None;
    }
    rows.map(|row| {
        let (id, cells) = row.split_first_chunk::<8>()?;
        let cells = floats_of(cells).collect::<Vec<f64>>();
        let cells = cells.chunks_exact(2).map(|pair| cell(pair[0], pair[1]));
        Some((TenantId(u64::from_le_bytes(*id)), cells.collect::<Option<_>>()?))
    })
    .collect()
}

fn cell(bad: f64, total: f64) -> Option<Cell> {
    Some(if total <= f64::from(STRANGER) {
        Cell::Stranger
    } else if total <= f64::from(UNSEEN) {
        Cell::Unseen
    } else {
        Cell::Seen(Counts::checked(bad, total).ok()?)
    })
}

/// Bytes as text.
pub(super) fn text(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Numbers as text.
#[expect(clippy::cast_possible_truncation, reason = "sums and shares: seven digits do")]
pub(super) fn floats_text(values: impl Iterator<Item = f64>) -> String {
    text(&values.flat_map(|value| (value as f32).to_le_bytes()).collect::<Vec<u8>>())
}

/// The numbers of a text; `None` where it is no such text.
pub(super) fn floats(text: &str) -> Option<Vec<f64>> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    bytes.len().is_multiple_of(4).then(|| floats_of(&bytes).collect())
}

fn floats_of(bytes: &[u8]) -> impl Iterator<Item = f64> {
    bytes.as_chunks::<4>().0.iter().map(|four| f64::from(f32::from_le_bytes(*four)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let seen = |bad, total| Cell::Seen(Counts { bad, total });
        let all = [
            (TenantId(u64::MAX), vec![seen(0.0, 0.0), Cell::Stranger]),
            (TenantId(7), vec![seen(12.0, 1_234_567.0), Cell::Unseen]),
        ];
        let mut bytes = Vec::new();
        for (id, cells) in &all {
            push_row(&mut bytes, *id, cells.iter().copied());
        }
        assert_eq!(bytes.len(), 2 * row_bytes(2));
        let packed = text(&bytes);
        assert!(room(packed.len()) >= bytes.len() && room(packed.len()) < bytes.len() + 3);
        assert_eq!(rows(&packed, 2), Some(all.into()));
        assert_eq!(floats(&floats_text([1.5, -3.0].into_iter())), Some(vec![1.5, -3.0]));
    }

    #[test]
    fn counts_are_off_by_a_ten_millionth_at_most_and_never_more_bad_than_all() {
        let counts = Counts { bad: 123_456_789.123, total: 123_456_789.124 };
        let (bad, total) = single(counts).unwrap();
        assert!((f64::from(total) / counts.total - 1.0).abs() < 1e-7 && bad <= total);
        assert_eq!(single(Counts { bad: 0.0, total: 1e39 }), None);
    }

    #[test]
    fn what_is_no_such_text_is_nothing() {
        assert_eq!(rows("%", 1), None);
        assert_eq!(rows(&text(&[0; 15]), 1), None);
        let mut bytes = 1_u64.to_le_bytes().to_vec();
        bytes.extend([9.0_f32, 1.0].into_iter().flat_map(f32::to_le_bytes));
        assert_eq!(rows(&text(&bytes), 1), None, "more bad than all");
        assert_eq!(floats(&text(&[0; 5])), None);
    }
}
