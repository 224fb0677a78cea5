//! Enums that are words: one list gives the variants, the words and both directions of serde.

/// Declares an enum whose variants are words of a fixed set, with `as_str`.
///
/// One of the protocol gets a last variant `Unknown`: a word of a later version reads as that. It is never sent. A
/// `closed` one has no such variant: another word is an error.
macro_rules! words {
    (
        $(#[$doc:meta])*
        $vis:vis enum $name:ident { $( $(#[$variant_doc:meta])* $variant:ident = $word:literal, )+ }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        $vis enum $name {
            $( $(#[$variant_doc])* #[serde(rename = $word)] $variant, )+
            /// A word of a later version. Never sent.
            #[default]
            #[serde(rename = "unknown", other)]
            Unknown,
        }

        impl $name {
            /// The word on the wire.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $word, )+
                    Self::Unknown => "unknown",
                }
            }
        }
    };
    (
        $(#[$doc:meta])*
        $vis:vis closed enum $name:ident {
            $( $(#[$variant_doc:meta])* $variant:ident = $word:literal, )+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        $vis enum $name {
            $( $(#[$variant_doc])* #[serde(rename = $word)] $variant, )+
        }

        impl $name {
            /// The word.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $word, )+
                }
            }
        }
    };
}

pub(crate) use words;
