//! What was measured, beside what was aimed at. Pure.

use std::fmt;

/// Lines of figures.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: String,
    figure: String,
    aim: String,
    verdict: &'static str,
}

/// A bound that a figure should keep.
#[derive(Debug, Clone, Copy)]
pub(super) enum Aim {
    /// At most this.
    AtMost(f64),
    /// Less than this.
    Below(f64),
}

impl Table {
    /// A figure in `unit`, with `digits` behind the point, that should keep `aim`.
    pub(super) fn judged(&mut self, what: &str, value: f64, digits: usize, unit: &str, aim: Aim) {
        let (kept, aim) = match aim {
            Aim::AtMost(bound) => (value <= bound, format!("<= {bound}{unit}")),
            Aim::Below(bound) => (value < bound, format!("< {bound}{unit}")),
        };
        let figure = format!("{value:.digits$}{unit}");
        self.rows.push(Row { what: what.into(), figure, aim, verdict: if kept { "kept" } else { "MISSED" } });
    }

    /// A figure to know.
    pub(super) fn told(&mut self, what: &str, figure: impl Into<String>) {
        self.rows.push(Row { what: what.into(), figure: figure.into(), aim: "-".into(), verdict: "-" });
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide =
            |of: fn(&Row) -> &str| self.rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
        let (what, figure, aim) = (wide(|row| &row.what), wide(|row| &row.figure), wide(|row| &row.aim));
        writeln!(f, "{:<what$}  {:>figure$}  {:>aim$}  verdict", "measured", "figure", "aim")?;
        for row in &self.rows {
            writeln!(f, "{:<what$}  {:>figure$}  {:>aim$}  {}", row.what, row.figure, row.aim, row.verdict)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_judged_by_its_aim_and_nan_keeps_none() {
        let mut table = Table::default();
        table.judged("a", 1.15, 2, "x", Aim::AtMost(1.15));
        table.judged("b", 0.5, 1, " %", Aim::Below(0.5));
        table.judged("c", f64::NAN, 1, "", Aim::AtMost(1.0));
        table.told("d", "12 s");
        let verdicts: Vec<&str> = table.rows.iter().map(|row| row.verdict).collect();
        assert_eq!(verdicts, ["kept", "MISSED", "MISSED", "-"]);
    }
}
