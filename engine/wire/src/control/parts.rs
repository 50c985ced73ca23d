//! The parts of a request, read in one pass over its JSON without building a tree: nested values are skipped where
//! they stand (iteratively, so depth costs no stack), and no more params are kept than a request may have.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::REQUEST_PARAMS_MAX;

/// A JSON value as far as a request can use it.
#[derive(Debug)]
pub(super) enum Scalar<'de> {
    Null,
    Bool(bool),
    Integer(i64),
    Text(Cow<'de, str>),
    /// A number that is no signed 64-bit integer, an array or an object.
    Other,
}

/// What stands for params.
#[derive(Debug)]
pub(super) enum Params<'de> {
    Null,
    Array {
        /// Its first [`REQUEST_PARAMS_MAX`] values.
        first: Vec<Scalar<'de>>,
        /// How many it had.
        count: usize,
    },
    /// Something else.
    Other,
}

/// The parts of a request. `None` is a key that is not there.
#[derive(Debug, Default)]
pub(super) struct Parts<'de> {
    /// False where the JSON is no object; then nothing else is set.
    pub(super) is_object: bool,
    pub(super) method: Option<Scalar<'de>>,
    pub(super) params: Option<Params<'de>>,
    pub(super) id: Option<Scalar<'de>>,
}

/// A request that names a method, read to learn where one does not.
#[derive(Deserialize)]
pub(super) struct WithMethod {
    #[expect(dead_code, reason = "it is read to see whether it can be")]
    method: MethodName,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum MethodName {
    Subscribe,
    Unsubscribe,
    ListSubscriptions,
    SetProperty,
    GetProperty,
}

/// A request that has params, likewise.
#[derive(Deserialize)]
pub(super) struct WithParams {
    #[expect(dead_code, reason = "it is read to see whether it can be")]
    params: IgnoredAny,
}

/// What the visitors below make of each JSON type; every type has an answer, so the only errors left are of syntax.
trait FromJson<'de>: Sized {
    fn from_scalar(scalar: Scalar<'de>) -> Self;

    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::from_scalar(Scalar::Other))
    }

    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::from_scalar(Scalar::Other))
    }
}

impl<'de> FromJson<'de> for Scalar<'de> {
    fn from_scalar(scalar: Scalar<'de>) -> Self {
        scalar
    }
}

impl<'de> FromJson<'de> for Params<'de> {
    fn from_scalar(scalar: Scalar<'de>) -> Self {
        match scalar {
            Scalar::Null => Params::Null,
            _ => Params::Other,
        }
    }

    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut first = Vec::new();
        while first.len() < REQUEST_PARAMS_MAX {
            match seq.next_element::<Json<Scalar<'de>>>()? {
                Some(Json(param)) => first.push(param),
                None => break,
            }
        }
        let mut count = first.len();
        while count >= REQUEST_PARAMS_MAX && seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Params::Array { first, count })
    }
}

impl<'de> FromJson<'de> for Parts<'de> {
    fn from_scalar(_: Scalar<'de>) -> Self {
        Parts::default()
    }

    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut parts = Parts {
            is_object: true,
            ..Parts::default()
        };
        while let Some(Json(key)) = map.next_key::<Json<Scalar<'de>>>()? {
            let key = match &key {
                Scalar::Text(key) => key.as_ref(),
                _ => "",
            };
            match key {
                "method" => parts.method = Some(map.next_value::<Json<_>>()?.0),
                "params" => parts.params = Some(map.next_value::<Json<_>>()?.0),
                "id" => parts.id = Some(map.next_value::<Json<_>>()?.0),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(parts)
    }
}

/// Reads any JSON value as a `T`.
struct Json<T>(T);

impl<'de, T: FromJson<'de>> Deserialize<'de> for Json<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Parts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(|Json(parts)| parts)
    }
}

struct AnyVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: FromJson<'de>> Visitor<'de> for AnyVisitor<T> {
    type Value = Json<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json(T::from_scalar(Scalar::Null)))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json(T::from_scalar(Scalar::Bool(value))))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json(T::from_scalar(Scalar::Integer(value))))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        let integer = i64::try_from(value).map_or(Scalar::Other, Scalar::Integer);
        Ok(Json(T::from_scalar(integer)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Json(T::from_scalar(Scalar::Other)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json(T::from_scalar(Scalar::Text(Cow::Borrowed(text)))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json(T::from_scalar(Scalar::Text(Cow::Owned(text.into())))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        T::from_seq(seq).map(Json)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::from_map(map).map(Json)
    }
}
