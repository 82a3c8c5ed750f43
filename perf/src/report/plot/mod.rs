//! Pictures: axes, what is drawn between them, and the figure that a page shows.

pub mod axis;
pub mod chart;
pub mod figure;
