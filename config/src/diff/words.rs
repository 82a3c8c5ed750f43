//! Values as a change's sentence shows them: as the file writes them.

use std::path::PathBuf;

use sterna_wire::{Mac, VlanId};

use crate::{DscpDecap, KeyAlgorithm, OnNegative, Polling, ProxyReply, Role, Side};

/// A value in the file's words.
pub(super) trait Words {
    fn words(&self) -> String;
}

macro_rules! displayed {
    ($($type:ty),*) => {$(
        impl Words for $type {
            fn words(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

displayed!(bool, KeyAlgorithm, u8, u16, u32, u64, usize, String, Role, Side, Mac, VlanId);

impl Words for PathBuf {
    fn words(&self) -> String {
        self.display().to_string()
    }
}

impl<T: Words> Words for Option<T> {
    fn words(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), T::words)
    }
}

impl<T: Words> Words for Vec<T> {
    fn words(&self) -> String {
        let entries: Vec<String> = self.iter().map(T::words).collect();
        format!("[{}]", entries.join(", "))
    }
}

impl Words for Polling {
    fn words(&self) -> String {
        match self {
            Polling::Adaptive { spin_turns, sleep_ms } => {
                format!("adaptive ({spin_turns} turns, {sleep_ms} ms)")
            }
            Polling::Spin => "spin".to_owned(),
        }
    }
}

impl Words for DscpDecap {
    fn words(&self) -> String {
        match self {
            DscpDecap::Uniform => "uniform".to_owned(),
            DscpDecap::Pipe => "pipe".to_owned(),
        }
    }
}

/// An xTR-ID.
impl Words for [u8; 16] {
    fn words(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(*self))
    }
}

impl Words for ProxyReply {
    fn words(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Words for OnNegative {
    fn words(&self) -> String {
        match self {
            OnNegative::Drop => "drop".to_owned(),
            OnNegative::Native => "native".to_owned(),
        }
    }
}
