//! Enums that are words on the wire: one list gives the variants, the words and both directions of serde.

/// Declares an enum whose variants are words of a fixed set.
///
/// Each has `as_str` (the word on the wire) and a last variant `Unknown`: a word of a later version reads as that. It is
/// never sent.
macro_rules! words {
    (
        $(#[$doc:meta])*
        pub enum $name:ident { $( $(#[$variant_doc:meta])* $variant:ident = $word:literal, )+ }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $( $(#[$variant_doc])* #[serde(rename = $word)] $variant, )+
            /// A word of a later version. Never sent.
            #[default]
            #[serde(rename = "unknown", other)]
            Unknown,
        }

        impl $name {
            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $word, )+
                    Self::Unknown => "unknown",
                }
            }
        }
    };
}

pub(crate) use words;
