//! Which kind of server a review is for. Pure, data.

use serde::{Deserialize, Serialize};

/// The server's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// PostgreSQL, 11 to 18.
    Postgresql,
    /// MySQL, 5.7 and 8.0.
    Mysql,
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Postgresql => "PostgreSQL",
            Self::Mysql => "MySQL",
        })
    }
}

impl std::str::FromStr for Dialect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_lowercase().as_str() {
            "postgres" | "postgresql" | "pg" => Ok(Self::Postgresql),
            "mysql" => Ok(Self::Mysql),
            _ => Err(format!("`{text}` is no dialect that is reviewed: use postgresql or mysql")),
        }
    }
}
