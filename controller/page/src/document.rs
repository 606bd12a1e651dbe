//! The frame of every page. Pure.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::style;

/// A whole page with this title and this content.
pub fn document(title: &str, content: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(style::CSS)) }
            }
            body { main { (content) } }
        }
    };
    page.into_string()
}
