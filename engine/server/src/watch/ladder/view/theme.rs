//! Colours, and what stands for them where there are none.

use ratatui::style::{Color, Modifier, Style};

/// How things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::watch::ladder) struct Theme {
    has_colour: bool,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    /// Less important.
    Aside,
    Strong,
    /// The symbol.
    Title,
    Good,
    /// Something is on its way.
    Warning,
    /// What must not be overlooked.
    Alarm,
    Bid,
    FreshBid,
    Ask,
    FreshAsk,
    /// A key in the footer.
    Key,
}

impl Theme {
    /// With colours, unless the environment variable NO_COLOR has a value (<https://no-color.org>).
    pub(in crate::watch::ladder) fn from_environment() -> Theme {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Theme {
            has_colour: !no_colour,
        }
    }

    #[cfg(test)]
    pub(in crate::watch::ladder) fn new(has_colour: bool) -> Theme {
        Theme { has_colour }
    }

    pub(super) fn style(self, role: Role) -> Style {
        let (colour, modifier) = match role {
            Role::Plain => (Color::Reset, Modifier::empty()),
            Role::Aside => (Color::Reset, Modifier::DIM),
            Role::Strong => (Color::Reset, Modifier::BOLD),
            Role::Title => (Color::Reset, Modifier::BOLD | Modifier::REVERSED),
            Role::Good => (Color::Green, Modifier::empty()),
            Role::Warning => (Color::Yellow, Modifier::BOLD),
            Role::Alarm => (Color::LightRed, Modifier::BOLD | Modifier::REVERSED),
            Role::Bid => (Color::Green, Modifier::empty()),
            Role::FreshBid => (Color::LightGreen, Modifier::BOLD),
            Role::Ask => (Color::Red, Modifier::empty()),
            Role::FreshAsk => (Color::LightRed, Modifier::BOLD),
            Role::Key => (Color::Cyan, Modifier::BOLD),
        };
        let style = Style::new().add_modifier(modifier);
        if self.has_colour && colour != Color::Reset {
            style.fg(colour)
        } else {
            style
        }
    }
}
