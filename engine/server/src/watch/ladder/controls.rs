//! What the keys have set: depth, grouping, pause, help, the symbol asked for. Keys in, wishes out; no I/O.

use depthcast_wire::stream::SymbolName;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::GROUPS;

/// The most rows a side: the tallest terminals, and a bound of what a picture holds.
pub(super) const LEVELS_MAX: u16 = 200;

/// The longest text taken for a symbol; names end at 20.
const QUERY_CHARS_MAX: usize = 20;

/// How many rows a side are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// As many as fit.
    Auto,
    /// So many, where they fit.
    Fixed(u16),
}

/// What is in front of the ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Overlay {
    None,
    Help,
    /// A symbol is being typed.
    Search(Search),
}

/// A symbol being typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    /// In upper case.
    pub(super) query: String,
    /// The place of the chosen one among the matches.
    pub(super) chosen: usize,
}

/// What is known of the server's symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Symbols {
    /// They have been asked for.
    Awaited,
    /// In the server's order.
    Known(Vec<SymbolName>),
    /// They cannot be had, and why.
    Unknown(String),
}

/// What a key asks of the rest of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing but to be drawn again.
    Draw,
    /// Not even that.
    Nothing,
    Quit,
    Watch(SymbolName),
    Group(i64),
}

/// Everything that keys set.
#[derive(Clone, Debug)]
pub(super) struct Controls {
    pub(super) symbol: SymbolName,
    pub(super) symbols: Symbols,
    pub(super) depth: Depth,
    /// The rows a side that fit, as of the last frame.
    pub(super) fit: u16,
    group: usize,
    pub(super) is_paused: bool,
    pub(super) overlay: Overlay,
    /// A sentence for the footer, until the next key.
    pub(super) message: Option<String>,
    /// A recording holds one symbol.
    is_recording: bool,
}

impl Controls {
    pub(super) fn new(symbol: SymbolName, is_recording: bool) -> Controls {
        Controls {
            symbol: symbol.to_upper(),
            symbols: Symbols::Awaited,
            depth: Depth::Auto,
            fit: 1,
            group: 0,
            is_paused: false,
            overlay: Overlay::None,
            message: None,
            is_recording,
        }
    }

    /// Ticks a row.
    pub(super) fn group(&self) -> i64 {
        GROUPS[self.group]
    }

    /// How many rows a side are wanted of the `fit` that there is room for.
    pub(super) fn levels(&self, fit: u16) -> u16 {
        match self.depth {
            Depth::Auto => fit.min(LEVELS_MAX),
            Depth::Fixed(levels) => levels.min(fit),
        }
    }

    /// The symbols that begin with what is typed; then those that contain it.
    pub(super) fn matches(&self, query: &str) -> Vec<SymbolName> {
        let Symbols::Known(symbols) = &self.symbols else {
            return Vec::new();
        };
        let begin = symbols.iter().filter(|name| name.as_str().starts_with(query));
        let contain = symbols
            .iter()
            .filter(|name| !name.as_str().starts_with(query) && name.as_str().contains(query));
        begin.chain(contain).copied().collect()
    }

    /// Takes a key.
    pub(super) fn on_key(&mut self, key: KeyEvent) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        self.message = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c' | 'C') => Wish::Quit,
                _ => Wish::Nothing,
            };
        }
        match std::mem::replace(&mut self.overlay, Overlay::None) {
            Overlay::Search(search) => self.on_search_key(search, key.code),
            Overlay::Help => match key.code {
                KeyCode::Char('q') => Wish::Quit,
                // Any other key closes it, and does nothing else.
                _ => Wish::Draw,
            },
            Overlay::None => self.on_plain_key(key.code),
        }
    }

    fn on_plain_key(&mut self, code: KeyCode) -> Wish {
        match code {
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Char('+' | '=') | KeyCode::Up => self.change_depth(1),
            KeyCode::Char('-' | '_') | KeyCode::Down => self.change_depth(-1),
            KeyCode::Char('a') => self.depth = Depth::Auto,
            KeyCode::Char('g') => return self.change_group(1),
            KeyCode::Char('G') => return self.change_group(GROUPS.len() - 1),
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('?' | 'h') => self.overlay = Overlay::Help,
            KeyCode::Char('/') if self.may_leave() => self.overlay = Overlay::Search(Search::default()),
            KeyCode::Left | KeyCode::Char('[') | KeyCode::BackTab => return self.neighbour(false),
            KeyCode::Right | KeyCode::Char(']') | KeyCode::Tab => return self.neighbour(true),
            _ => {}
        }
        Wish::Draw
    }

    fn on_search_key(&mut self, mut search: Search, code: KeyCode) -> Wish {
        let matches = self.matches(&search.query);
        match code {
            KeyCode::Esc => return Wish::Draw,
            KeyCode::Enter => return self.choose(&search, &matches),
            KeyCode::Backspace => {
                // What was not there need not be deleted: one more backspace leaves.
                if search.query.pop().is_none() {
                    return Wish::Draw;
                }
                search.chosen = 0;
            }
            KeyCode::Tab => {
                let common = common_start(&matches, &search.query);
                if common.len() > search.query.len() {
                    search.query = common;
                    search.chosen = 0;
                } else {
                    search.chosen = (search.chosen + 1) % matches.len().max(1);
                }
            }
            KeyCode::Down => search.chosen = (search.chosen + 1).min(matches.len().saturating_sub(1)),
            KeyCode::Up | KeyCode::BackTab => search.chosen = search.chosen.saturating_sub(1),
            KeyCode::Char(c) => {
                let c = c.to_ascii_uppercase();
                let fits = c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                if fits && search.query.len() < QUERY_CHARS_MAX {
                    search.query.push(c);
                    search.chosen = 0;
                }
            }
            _ => {}
        }
        self.overlay = Overlay::Search(search);
        Wish::Draw
    }

    /// The chosen match; without any, what was typed: the server knows better than a list that may be old.
    fn choose(&mut self, search: &Search, matches: &[SymbolName]) -> Wish {
        let chosen = matches.get(search.chosen).copied();
        match chosen.or_else(|| SymbolName::new(&search.query)) {
            Some(symbol) if !search.query.is_empty() || search.chosen > 0 => self.watch(symbol),
            _ => Wish::Draw,
        }
    }

    fn watch(&mut self, symbol: SymbolName) -> Wish {
        if symbol == self.symbol {
            return Wish::Draw;
        }
        self.symbol = symbol;
        self.is_paused = false;
        Wish::Watch(symbol)
    }

    /// The next symbol of the server's list or the one before, around its ends.
    fn neighbour(&mut self, is_next: bool) -> Wish {
        if !self.may_leave() {
            return Wish::Draw;
        }
        match &self.symbols {
            Symbols::Awaited => self.message = Some("the server's symbols are not there yet".into()),
            Symbols::Unknown(reason) => self.message = Some(format!("no symbols: {reason}")),
            Symbols::Known(symbols) if symbols.iter().all(|name| *name == self.symbol) => {
                self.message = Some("the server has no other symbol".into());
            }
            Symbols::Known(symbols) => {
                let here = symbols.iter().position(|name| *name == self.symbol);
                let step = if is_next { 1 } else { symbols.len() - 1 };
                let place = here.map_or(0, |here| (here + step) % symbols.len());
                let symbol = symbols[place];
                return self.watch(symbol);
            }
        }
        Wish::Draw
    }

    fn may_leave(&mut self) -> bool {
        if self.is_recording {
            self.message = Some(format!(
                "{} is being recorded, and a recording holds one symbol",
                self.symbol
            ));
        }
        !self.is_recording
    }

    fn change_depth(&mut self, by: i32) {
        let now = i32::from(self.levels(self.fit));
        let levels = (now + by).clamp(1, i32::from(self.fit.clamp(1, LEVELS_MAX)));
        self.depth = Depth::Fixed(u16::try_from(levels).unwrap_or(1));
    }

    fn change_group(&mut self, by: usize) -> Wish {
        self.group = (self.group + by) % GROUPS.len();
        Wish::Group(self.group())
    }
}

/// The longest text that all those matches begin with which begin with `query`.
fn common_start(matches: &[SymbolName], query: &str) -> String {
    let mut begin = matches
        .iter()
        .map(SymbolName::as_str)
        .filter(|name| name.starts_with(query));
    let Some(first) = begin.next() else {
        return query.to_owned();
    };
    let shared = begin.fold(first.len(), |shared, name| {
        let same = first
            .bytes()
            .zip(name.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        shared.min(same)
    });
    first[..shared].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SymbolName {
        SymbolName::new(text).unwrap()
    }

    fn controls() -> Controls {
        let mut controls = Controls::new(name("btcusdt"), false);
        controls.symbols = Symbols::Known(["BTCUSDT", "ETHUSDT", "BTCEUR", "SOLBTC"].map(name).into());
        controls.fit = 10;
        controls
    }

    fn press(controls: &mut Controls, code: KeyCode) -> Wish {
        controls.on_key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn type_text(controls: &mut Controls, text: &str) {
        for c in text.chars() {
            press(controls, KeyCode::Char(c));
        }
    }

    #[test]
    fn q_escape_and_control_c_quit() {
        for code in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(press(&mut controls(), code), Wish::Quit);
        }
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        let mut controls = controls();
        type_text(&mut controls, "/q");
        assert_eq!(controls.on_key(control_c), Wish::Quit, "while typing too");
        controls.overlay = Overlay::Help;
        assert_eq!(press(&mut controls, KeyCode::Esc), Wish::Draw, "the help closes");
        assert_eq!(controls.overlay, Overlay::None);
        let released = KeyEvent::new_with_kind(KeyCode::Esc, KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!(controls.on_key(released), Wish::Nothing);
    }

    #[test]
    fn depth_stays_within_what_fits() {
        let mut controls = controls();
        assert_eq!(controls.levels(10), 10);
        press(&mut controls, KeyCode::Down);
        press(&mut controls, KeyCode::Char('-'));
        assert_eq!((controls.depth, controls.levels(10)), (Depth::Fixed(8), 8));
        assert_eq!(controls.levels(3), 3, "a smaller terminal");
        for _ in 0..20 {
            press(&mut controls, KeyCode::Char('-'));
        }
        assert_eq!(controls.levels(10), 1);
        for _ in 0..20 {
            press(&mut controls, KeyCode::Up);
        }
        assert_eq!(controls.depth, Depth::Fixed(10));
        press(&mut controls, KeyCode::Char('a'));
        assert_eq!(controls.levels(u16::MAX), LEVELS_MAX);
    }

    #[test]
    fn neighbours_go_around_the_list() {
        let mut controls = controls();
        let left = press(&mut controls, KeyCode::Left);
        assert_eq!(left, Wish::Watch(name("SOLBTC")));
        assert_eq!(press(&mut controls, KeyCode::Tab), Wish::Watch(name("BTCUSDT")));
        assert_eq!(
            press(&mut controls, KeyCode::Char(']')),
            Wish::Watch(name("ETHUSDT"))
        );
        assert_eq!(
            press(&mut controls, KeyCode::BackTab),
            Wish::Watch(name("BTCUSDT"))
        );
        controls.symbols = Symbols::Unknown("refused".into());
        assert_eq!(press(&mut controls, KeyCode::Right), Wish::Draw);
        assert_eq!(controls.message.as_deref(), Some("no symbols: refused"));
        controls.symbols = Symbols::Known(vec![name("BTCUSDT")]);
        assert_eq!(press(&mut controls, KeyCode::Right), Wish::Draw);
        assert_eq!(
            controls.message.as_deref(),
            Some("the server has no other symbol")
        );
    }

    #[test]
    fn a_symbol_is_completed_and_chosen() {
        let mut controls = controls();
        type_text(&mut controls, "/b");
        assert_eq!(
            controls.matches("B"),
            ["BTCUSDT", "BTCEUR", "SOLBTC"].map(name),
            "those that begin with it first"
        );
        press(&mut controls, KeyCode::Tab);
        let Overlay::Search(search) = controls.overlay.clone() else {
            panic!("a search");
        };
        assert_eq!((search.query.as_str(), search.chosen), ("BTC", 0));
        press(&mut controls, KeyCode::Down);
        assert_eq!(press(&mut controls, KeyCode::Enter), Wish::Watch(name("BTCEUR")));
        assert_eq!(
            (controls.symbol, &controls.overlay),
            (name("BTCEUR"), &Overlay::None)
        );

        type_text(&mut controls, "/new!coin");
        assert_eq!(press(&mut controls, KeyCode::Enter), Wish::Watch(name("NEWCOIN")));
        type_text(&mut controls, "/");
        assert_eq!(
            press(&mut controls, KeyCode::Enter),
            Wish::Draw,
            "nothing was typed"
        );
        type_text(&mut controls, "/x");
        press(&mut controls, KeyCode::Backspace);
        press(&mut controls, KeyCode::Backspace);
        assert_eq!(controls.overlay, Overlay::None);
        type_text(&mut controls, &format!("/{}", "x".repeat(50)));
        let Overlay::Search(search) = &controls.overlay else {
            panic!("a search");
        };
        assert_eq!(search.query.len(), 20);
    }

    #[test]
    fn a_recording_keeps_its_symbol() {
        let mut controls = controls();
        controls.is_recording = true;
        for code in [KeyCode::Right, KeyCode::Char('/')] {
            assert_eq!(press(&mut controls, code), Wish::Draw);
            assert!(controls.message.as_deref().unwrap().contains("one symbol"));
            assert_eq!(controls.overlay, Overlay::None);
        }
    }

    #[test]
    fn groups_go_round_and_pause_toggles() {
        let mut controls = controls();
        assert_eq!(press(&mut controls, KeyCode::Char('g')), Wish::Group(2));
        assert_eq!(press(&mut controls, KeyCode::Char('G')), Wish::Group(1));
        assert_eq!(press(&mut controls, KeyCode::Char('G')), Wish::Group(1000));
        press(&mut controls, KeyCode::Char('p'));
        assert!(controls.is_paused);
        assert_eq!(press(&mut controls, KeyCode::Right), Wish::Watch(name("ETHUSDT")));
        assert!(!controls.is_paused, "another symbol is to be seen");
    }

    #[test]
    fn no_key_panics_in_any_state() {
        let codes = "+-a gGp?hq/[]xX".chars().map(KeyCode::Char).chain([
            KeyCode::Esc,
            KeyCode::Enter,
            KeyCode::Tab,
            KeyCode::BackTab,
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::Left,
            KeyCode::Right,
            KeyCode::Backspace,
            KeyCode::F(1),
        ]);
        let codes: Vec<KeyCode> = codes.collect();
        let mut controls = controls();
        let mut state = 7usize;
        for n in 0..20_000 {
            // Any sequence will do.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n);
            controls.fit = u16::try_from((state >> 20) % 70).unwrap();
            if n % 500 == 0 {
                controls.symbols = Symbols::Known(Vec::new());
            } else if n % 500 == 250 {
                controls.symbols = Symbols::Known(["A", "B"].map(name).into());
            }
            press(&mut controls, codes[(state >> 33) % codes.len()]);
            assert!(controls.levels(controls.fit) <= controls.fit);
        }
    }
}
