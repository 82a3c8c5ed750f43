//! What standard output is.

use std::io::{IsTerminal, stdout};

use sterna_config::Look;

/// Colours and width that suit standard output.
pub fn look() -> Look {
    let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let columns = rustix::termios::tcgetwinsize(stdout()).map(|size| size.ws_col).ok();
    let width = columns.filter(|&columns| columns >= 40).map_or(Look::PLAIN.width, |columns| columns.into());
    Look { colour, width }
}
