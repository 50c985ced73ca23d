//! What the name of a stream in a capture tells about the depth events that came by it.

/// The cadence of `@depth` without a number (binance-spot-api-docs, "Diff. Depth Stream").
const DEPTH_CADENCE_MS_DEFAULT: u32 = 1000;

/// A depth stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DepthStream {
    /// `<symbol>@depth`, `<symbol>@depth@100ms`: what changed, every so many milliseconds.
    Updates {
        /// The cadence.
        cadence_ms: u32,
    },
    /// `<symbol>@depth5` and the like: the top of the book, which a book cannot be restored from.
    Partial,
}

impl DepthStream {
    /// What `name` is the name of, if it is a depth stream's.
    pub(super) fn of(name: &str) -> Option<DepthStream> {
        let (_, kind) = name.split_once('@')?;
        let rest = kind.strip_prefix("depth")?;
        let (levels, cadence) = rest.split_once('@').unwrap_or((rest, ""));
        if !levels.is_empty() {
            return levels
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then_some(DepthStream::Partial);
        }
        let cadence_ms = match cadence {
            "" => DEPTH_CADENCE_MS_DEFAULT,
            text => text.strip_suffix("ms")?.parse().ok()?,
        };
        Some(DepthStream::Updates { cadence_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_cadence_and_partial_depth() {
        let updates = |cadence_ms| Some(DepthStream::Updates { cadence_ms });
        for (name, stream) in [
            ("btcusdt@depth", updates(1000)),
            ("btcusdt@depth@100ms", updates(100)),
            ("btcusdt@depth@0ms", updates(0)),
            ("btcusdt@depth5", Some(DepthStream::Partial)),
            ("btcusdt@depth20@100ms", Some(DepthStream::Partial)),
            ("btcusdt@depth@", updates(1000)),
            ("btcusdt@depth@fast", None),
            ("btcusdt@depth@99999999999ms", None),
            ("btcusdt@depths", None),
            ("btcusdt@trade", None),
            ("btcusdt", None),
            ("", None),
        ] {
            assert_eq!(DepthStream::of(name), stream, "{name}");
        }
    }
}
