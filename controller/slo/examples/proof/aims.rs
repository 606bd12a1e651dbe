//! What was aimed at beside what was measured. Pure.

use crate::figures::table;

/// A median delay.
#[derive(Debug, Clone)]
pub struct Aim {
    /// Which.
    pub what: String,
    /// At most so many minutes.
    pub minutes: usize,
    /// The measured median; none where it was not found in time.
    pub measured: Option<usize>,
    /// Median of the pooled test alone, without evidence per tenant, at dispersion 1 in place of 1.25: as the design's
    /// first simulation had it.
    pub pooled: Option<usize>,
}

/// Prints aims as met or missed.
pub fn print(aims: &[Aim]) {
    println!("### Aims\n");
    println!("Median delays of the design's first simulation against those above, in minutes.\n");
    let row = |aim: &Aim| {
        let Aim { what, minutes, measured, pooled } = aim;
        let words = |delay: Option<usize>| delay.map_or("-".to_owned(), |delay| delay.to_string());
        let met = if measured.is_some_and(|measured| measured <= *minutes) { "met" } else { "**missed**" };
        vec![what.clone(), minutes.to_string(), words(*measured), met.to_owned(), words(*pooled)]
    };
    table(
        &["delay", "aim", "measured", "", "pooled test alone, dispersion 1 or 1.5"],
        &aims.iter().map(row).collect::<Vec<_>>(),
    );
}
