//! The macro that declares an allow-list: a struct that reads an object field by field.
//!
//! Knows no agent. Used by the agents' folders, with the field types of [`super::tolerant`].

/// Structs whose fields may all be absent and are then not written. Of a repeated key the first value counts: with the
/// `Deserialize` that serde derives, it would cost the whole object. `field as "key"` names a field that is spelled
/// otherwise in JSON.
macro_rules! allow_list {
    ($($(#[$about:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident $(as $key:literal)?: $type:ty,)* })*) => {$(
        $(#[$about])*
        #[derive(Debug, Default, PartialEq, serde::Serialize)]
        pub(super) struct $name {
            $(
                $(#[$attribute])*
                #[serde(skip_serializing_if = "crate::agents::tolerant::is_default" $(, rename = $key)?)]
                pub(super) $field: $type,
            )*
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                #[serde(field_identifier)]
                #[allow(non_camel_case_types, reason = "named as the fields are")]
                enum Key {
                    $($(#[serde(rename = $key)])? $field,)*
                    #[serde(other)]
                    Unknown,
                }

                struct ObjectVisitor;

                impl<'de> serde::de::Visitor<'de> for ObjectVisitor {
                    type Value = $name;

                    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        out.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<$name, A::Error> {
                        $(let mut $field = None;)*
                        while let Some(key) = members.next_key()? {
                            match key {
                                $(Key::$field if $field.is_none() => $field = Some(members.next_value()?),)*
                                _ => {
                                    members.next_value::<serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        Ok($name { $($field: $field.unwrap_or_default(),)* })
                    }
                }

                deserializer.deserialize_map(ObjectVisitor)
            }
        }
    )*};
}

pub(super) use allow_list;
