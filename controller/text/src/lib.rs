//! Text for people: how it is cut, how figures are written, which name was meant. Pure, and it depends on nothing.
//!
//! [`cut`] bounds what comes from outside; [`figure`] writes counts, shares and plain numbers; [`near`] finds the names that a
//! wrong one may stand for. Who needs another shape builds it on these, beside the words that are its own.

pub mod cut;
pub mod figure;
pub mod near;
