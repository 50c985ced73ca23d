//! How many connections to a market of what rate make so many sends a second.

/// The highest rate of a simulated symbol, book changes a second.
const RATE_MAX: u32 = 1000;

/// Connections where nobody says how many, and each event is sent.
const CONNECTIONS_DEFAULT: u32 = 10_000;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// Sends a second that the server's core can make one by one.
    pub sends_per_s: f64,
    /// How many times that are to be offered.
    pub times: f64,
    /// The time between two ticks of the stream, ms; 0 where each event is sent.
    pub cadence_ms: u32,
    /// Connections, where that is given.
    pub connections: Option<u32>,
    /// Book changes a second, where that is given.
    pub rate: Option<u32>,
}

/// What is offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// Connections, all of them.
    pub connections: u32,
    /// Book changes a second.
    pub rate: u32,
    /// Flushes a second of each connection.
    pub flushes_per_s: f64,
}

impl Offer {
    /// Sends a second, each flush of each connection on its own.
    pub fn sends_per_s(&self) -> f64 {
        f64::from(self.connections) * self.flushes_per_s
    }
}

/// What offers so much; Err says what would.
pub fn plan(wanted: &Wanted) -> Result<Offer, String> {
    let needed = wanted.sends_per_s * wanted.times;
    let offer = |connections: u32, rate: u32| Offer {
        connections,
        rate,
        flushes_per_s: flushes_per_s(rate, wanted.cadence_ms),
    };
    let connections_for =
        |rate: u32| ceil(needed / flushes_per_s(rate, wanted.cadence_ms).max(f64::MIN_POSITIVE)).max(1);
    match (wanted.connections, wanted.rate) {
        (Some(connections), Some(rate)) => Ok(offer(connections, rate)),
        (None, Some(rate)) => Ok(offer(connections_for(rate), rate)),
        (None, None) if wanted.cadence_ms > 0 => Ok(offer(connections_for(RATE_MAX), RATE_MAX)),
        (connections, None) => {
            let connections = connections.unwrap_or(CONNECTIONS_DEFAULT).max(1);
            let flushes = needed / f64::from(connections);
            match rate_for(flushes, wanted.cadence_ms) {
                Some(rate) => Ok(offer(connections, rate)),
                None => Err(format!(
                    "--connections {connections} would need {flushes:.0} flushes a second each for {needed:.0} sends a second, and \
                     a market gives {:.0} at most at this cadence: give --connections {} or more",
                    flushes_per_s(RATE_MAX, wanted.cadence_ms),
                    connections_for(RATE_MAX)
                )),
            }
        }
    }
}

/// Flushes a second at a rate: the ticks in which anything changes, of changes that come at random.
fn flushes_per_s(rate: u32, cadence_ms: u32) -> f64 {
    let rate = f64::from(rate);
    if cadence_ms == 0 {
        return rate;
    }
    let ticks_per_s = 1000.0 / f64::from(cadence_ms);
    ticks_per_s * (1.0 - (-rate / ticks_per_s).exp())
}

/// The least rate that gives so many flushes a second; None where none does.
fn rate_for(flushes: f64, cadence_ms: u32) -> Option<u32> {
    (1..=RATE_MAX).find(|&rate| flushes_per_s(rate, cadence_ms) >= flushes)
}

fn ceil(number: f64) -> u32 {
    // Saturates.
    number.ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted {
        sends_per_s: 90_000.0,
        times: 2.0,
        cadence_ms: 0,
        connections: None,
        rate: None,
    };

    #[test]
    fn the_offer_is_as_much_as_is_wanted() {
        let offer = plan(&WANTED).unwrap();
        assert_eq!((offer.connections, offer.rate), (10_000, 18));
        assert_eq!(offer.sends_per_s(), 180_000.0);
        let few = Wanted {
            connections: Some(200),
            ..WANTED
        };
        assert_eq!(plan(&few).unwrap().rate, 900);
        let fast = Wanted {
            rate: Some(1000),
            ..WANTED
        };
        assert_eq!(plan(&fast).unwrap().connections, 180);
        let told = Wanted {
            rate: Some(7),
            connections: Some(5),
            ..WANTED
        };
        assert_eq!(plan(&told).unwrap().sends_per_s(), 35.0);
    }

    #[test]
    fn ticks_without_a_change_are_no_flushes() {
        let ticking = Wanted {
            cadence_ms: 20,
            ..WANTED
        };
        let offer = plan(&ticking).unwrap();
        // 50 ticks a second, nearly all of them with a change at 1,000 a second.
        assert_eq!((offer.connections, offer.rate), (3601, 1000));
        let slow = Wanted {
            connections: Some(6000),
            ..ticking
        };
        let offer = plan(&slow).unwrap();
        // 30 of 50 ticks: a change in 60 % of them takes 0.92 a tick.
        assert_eq!(offer.rate, 46);
        assert!(offer.sends_per_s() >= 180_000.0);
    }

    #[test]
    fn what_no_market_gives_is_refused_with_what_would_do() {
        let refusal = |connections, cadence_ms| {
            let wanted = Wanted {
                connections: Some(connections),
                cadence_ms,
                ..WANTED
            };
            plan(&wanted).unwrap_err()
        };
        assert_eq!(
            refusal(100, 0),
            "--connections 100 would need 1800 flushes a second each for 180000 sends a second, and a market gives 1000 at \
             most at this cadence: give --connections 180 or more"
        );
        assert!(refusal(3000, 20).ends_with("give --connections 3601 or more"));
    }
}
