//! The macros that give the API's words and names their text. Pure.

/// Makes an enum of a table with one row per word: the variant, its word where that is another one than the variant's name, and
/// what it means. A row may add facts of one type (`=> expression`), which the vocabulary's own file gives names to.
///
/// The word, not the variant, is the wire form: a renamed variant changes no object.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident is a $kind:literal with $facts:ty {
        $($variant:ident $(($word:literal))?: $meaning:literal => $fact:expr;)+
    }) => {
        $crate::words::table::words! {
            $(#[$doc])* $name is a $kind { $($variant $(($word))?: $meaning;)+ }
        }

        impl $name {
            /// What hangs on the word.
            const fn facts(self) -> $facts {
                match self { $(Self::$variant => $fact,)+ }
            }
        }
    };
    ($(#[$doc:meta])* $name:ident is a $kind:literal {
        $($variant:ident $(($word:literal))?: $meaning:literal;)+
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $(#[doc = $meaning] $variant,)+ }

        impl $name {
            /// All of them, in the table's order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word as in the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $crate::words::table::words!(@word $variant $($word)?),)+ }
            }

            /// What it means, in one line of Markdown.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }

        impl $crate::words::Vocabulary for $name {
            const KIND: &'static str = $kind;

            fn all() -> &'static [Self] {
                Self::ALL
            }

            fn as_str(self) -> &'static str {
                Self::as_str(self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::words::word::read(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "kube")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string"})
            }
        }
    };
    (@word $variant:ident) => { stringify!($variant) };
    (@word $variant:ident $word:literal) => { $word };
}

/// Gives an enum whose variants are shown or stored by name that name as text: `as_str` and `Display`.
#[macro_export]
macro_rules! names {
    ($name:ident { $($variant:ident),+ $(,)? }) => {
        impl $name {
            /// The variant's name, as it is shown and stored.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(super) use words;
