//! A kind of rough link: what it does to frames each way, and where each figure comes from.
//!
//! The files are `lib/lab/profiles/*.toml`; `up` is from the site to the core. A figure without a source is a mistake in
//! the file like any other.

mod finding;
mod link;
mod read;
mod source;

use super::impairment::Impairment;

pub use finding::{Finding, ProfileError};
pub use source::{Kind, Source};

/// A kind of link. The default is a wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// What it stands for, in one sentence.
    pub about: String,
    /// From the site to the core.
    pub up: Impairment,
    /// From the core to the site.
    pub down: Impairment,
    /// Where the figures come from.
    pub sources: Vec<Source>,
}

/// A profile that comes with the lab.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! profiles {
    ($($name:literal)*) => {
        [$(Shipped { name: $name, text: include_str!(concat!("../../profiles/", $name, ".toml")) }),*]
    };
}

/// All of them.
pub const SHIPPED: [Shipped; 5] = profiles! { "wan" "satellite" "wifi" "5g" "leo" };

impl Profile {
    /// One that comes with the lab, by its name.
    ///
    /// # Errors
    /// [`ProfileError::Unknown`] with the names there are, or what is wrong with it.
    pub fn shipped(name: &str) -> Result<Self, ProfileError> {
        let found = SHIPPED.iter().find(|one| one.name == name);
        let found = found.ok_or_else(|| ProfileError::Unknown { name: name.to_owned() })?;
        Self::parse(found.text).map_err(|findings| ProfileError::Wrong { name: name.to_owned(), findings })
    }

    /// What waits at least when it goes up here and down at another link of the kind, there and back, microseconds.
    pub fn round_trip_us(&self) -> u64 {
        2 * (self.up.delay_us + self.down.delay_us)
    }

    /// The same without the other link: to a node of the core and back, at most, with all the jitter there is.
    pub fn longest_to_core_us(&self) -> u64 {
        let way = |knobs: &Impairment| {
            let queue =
                knobs.rate.map_or(0, |rate| u64::try_from(rate.queue.as_micros()).unwrap_or(u64::MAX));
            knobs.delay_us + knobs.jitter_us + knobs.reorder_us + queue
        };
        way(&self.up) + way(&self.down)
    }
}

#[cfg(test)]
mod test;
