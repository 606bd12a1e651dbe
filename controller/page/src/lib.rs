//! What people read: pages that stand alone, the charts in them, and deviation reports as HTML and Markdown.
//!
//! Pure: values in, text out. No page asks for anything: no script, no font, no request leaves it, so that it can be
//! attached to an incident and read years later. Light and dark follow the reader's system.

pub mod chart;
mod document;
pub mod report;
mod style;
pub mod text;

pub use document::document;
