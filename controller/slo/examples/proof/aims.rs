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
}

/// Prints aims as met or missed.
pub fn print(aims: &[Aim]) {
    println!("### Aims\n");
    println!("Median delays of the design's first simulation against those above, in minutes.\n");
    let row = |aim: &Aim| {
        let Aim { what, minutes, measured } = aim;
        let words = measured.map_or("-".to_owned(), |measured| measured.to_string());
        let met = if measured.is_some_and(|measured| measured <= *minutes) { "met" } else { "**missed**" };
        vec![what.clone(), minutes.to_string(), words, met.to_owned()]
    };
    table(&["delay", "aim", "measured", ""], &aims.iter().map(row).collect::<Vec<_>>());
}
