//! Who this gateway is towards the mapping system, kept over restarts.
//!
//! A Map-Server takes a register for a replay unless its nonce is above the last one of the same xTR-ID, so nonces must
//! grow over restarts, crashes and clock steps. The file `identity` in the state directory holds the xTR-ID, how often
//! the gateway was started, and a nonce *above* all that were used: nonces are reserved ahead in blocks of 2^20, so
//! that a crash loses numbers but never repeats one, and no message waits for the disk. The wall clock is looked at
//! only where there is no file: a gateway whose state was lost but whose xTR-ID is configured then starts above what it
//! used before, unless its clock is wrong as well.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sterna_config::Config;
use sterna_wire::lisp::control::XtrId;
use tracing::warn;

use crate::random::Random;

/// Nonces reserved at a time. At one register per second a block lasts twelve days.
pub const BLOCK: u64 = 1 << 20;

/// Who this gateway is, from its start on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// xTR-ID and site-ID of its messages.
    pub xtr: XtrId,
    /// How often it was started, this time included.
    pub start: u32,
    /// The first nonce of its registers.
    pub first_nonce: u64,
    /// It is not kept: the next start is somebody else.
    pub fleeting: bool,
}

impl Identity {
    /// An identity for as long as this process lives.
    pub fn fleeting(config: &Config) -> Self {
        let kept = Kept::fresh();
        Self { xtr: xtr_id(config, kept.xtr_id), start: kept.starts, first_nonce: kept.nonce, fleeting: true }
    }
}

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    xtr_id: [u8; 16],
    starts: u32,
    /// Above every nonce that was used.
    nonce: u64,
}

impl Kept {
    /// The state of a gateway without a file.
    fn fresh() -> Self {
        let mut random = Random::from_system();
        let mut xtr_id = [0; 16];
        let (high, low) = xtr_id.split_at_mut(8);
        high.copy_from_slice(&random.number().to_be_bytes());
        low.copy_from_slice(&random.number().to_be_bytes());
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO).as_secs();
        // Seconds count in blocks of 2^24 nonces: more than a gateway can use in one.
        Self { xtr_id, starts: 0, nonce: since_1970.saturating_mul(1 << 24) }
    }

    fn text(&self) -> String {
        let Self { xtr_id, starts, nonce } = self;
        let id: String = xtr_id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("xtr_id {id}\nstarts {starts}\nnonce {nonce}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let (id, starts, nonce) = (value("xtr_id")?, value("starts")?, value("nonce")?);
        let mut xtr_id = [0; 16];
        if id.len() != 32 || !id.is_ascii() {
            return None;
        }
        for (byte, at) in xtr_id.iter_mut().zip((0..32).step_by(2)) {
            *byte = u8::from_str_radix(id.get(at..at + 2)?, 16).ok()?;
        }
        Some(Self { xtr_id, starts: starts.parse().ok()?, nonce: nonce.parse().ok()? })
    }
}

/// The configured xTR-ID goes before the one that we made.
fn xtr_id(config: &Config, made: [u8; 16]) -> XtrId {
    let system = config.mapping_system.as_ref();
    XtrId {
        xtr_id: system.and_then(|system| system.xtr_id).unwrap_or(made),
        site_id: system.map_or(0, |system| system.site_id),
    }
}

/// The file that keeps an [`Identity`].
#[derive(Debug)]
pub struct IdentityFile {
    path: PathBuf,
    kept: Kept,
}

impl IdentityFile {
    /// Reads (or makes) the file in this directory, counts the start and reserves the first block of nonces.
    pub fn open(state_dir: &Path, config: &Config) -> io::Result<(Identity, IdentityFile)> {
        DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
        let path = state_dir.join("identity");
        let before = match std::fs::read_to_string(&path) {
            Ok(text) => Kept::parse(&text).map_or_else(|| set_aside(&path), Ok)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::fresh(),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => set_aside(&path)?,
            Err(error) => return Err(error),
        };
        let starts = before.starts.wrapping_add(1);
        let kept = Kept { starts, nonce: before.nonce.saturating_add(BLOCK), ..before };
        let file = IdentityFile { path, kept };
        file.write()?;
        let xtr = xtr_id(config, kept.xtr_id);
        Ok((Identity { xtr, start: starts, first_nonce: before.nonce, fleeting: false }, file))
    }

    /// Reserves another block when less than half a block is left above `next`, the next nonce to be used.
    /// Blocks on the disk; true when it wrote.
    pub fn reserve(&mut self, next: u64) -> io::Result<bool> {
        if next.saturating_add(BLOCK / 2) <= self.kept.nonce {
            return Ok(false);
        }
        let before = self.kept;
        self.kept.nonce = self.kept.nonce.max(next).saturating_add(BLOCK);
        self.write().inspect_err(|_| self.kept = before)?;
        Ok(true)
    }

    /// In one step: a crash leaves the old file or the new one.
    fn write(&self) -> io::Result<()> {
        let draft = self.path.with_extension("new");
        let mut file = File::create(&draft)?;
        file.write_all(self.kept.text().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, &self.path)?;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// A file that is not ours to understand is kept for whoever looks for the cause, and the gateway starts anew.
fn set_aside(path: &Path) -> io::Result<Kept> {
    let aside = path.with_extension("broken");
    std::fs::rename(path, &aside)?;
    warn!(file = %aside.display(), "the identity file was not understood and set aside; there is a new xTR-ID now");
    Ok(Kept::fresh())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = "[gateway]\nname = \"gw\"\nroles = [\"xtr\"]\n[[port]]\nname = \"e0\"\nside = \"eid\"\n[[port]]\n\
                    name = \"u0\"\nside = \"rloc\"\n[[rloc]]\naddress = \"192.0.2.1\"\nport = \"u0\"\n\
                    [[group]]\niid = 1\nname = \"g\"\nport = \"e0\"\ngateway = [\"10.1.0.1/16\"]\n\
                    eids = [\"10.1.1.0/24\"]\n";
        sterna_config::parse(text, "test").unwrap().into_config()
    }

    #[test]
    fn nonces_grow_over_restarts_and_the_xtr_id_stays() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let (first, mut file) = IdentityFile::open(&state, &config()).unwrap();
        assert_eq!(first.start, 1);
        assert!(!file.reserve(first.first_nonce + BLOCK / 2).unwrap(), "half a block is left");
        assert!(file.reserve(first.first_nonce + BLOCK / 2 + 1).unwrap());
        let (second, _) = IdentityFile::open(&state, &config()).unwrap();
        assert_eq!((second.start, second.xtr), (2, first.xtr));
        assert_eq!(second.first_nonce, first.first_nonce + 2 * BLOCK);
        let (third, _) = IdentityFile::open(&state, &config()).unwrap();
        assert_eq!(third.first_nonce, second.first_nonce + BLOCK, "the block of a crashed process is lost");
    }

    #[test]
    fn a_broken_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        for broken in ["", "xtr_id 00\nstarts 1\nnonce 1\n", "nonsense"] {
            std::fs::write(folder.path().join("identity"), broken).unwrap();
            let (identity, _) = IdentityFile::open(folder.path(), &config()).unwrap();
            assert_eq!(identity.start, 1);
            assert!(identity.first_nonce > 1 << 50, "above what was used before, by the clock");
            assert_eq!(std::fs::read_to_string(folder.path().join("identity.broken")).unwrap(), broken);
        }
    }

    #[test]
    fn text_and_back() {
        let kept = Kept { xtr_id: std::array::from_fn(|at| at as u8 * 16), starts: 7, nonce: u64::MAX };
        assert_eq!(Kept::parse(&kept.text()), Some(kept));
    }

    #[test]
    fn a_state_directory_that_cannot_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(IdentityFile::open(&file, &config()).is_err());
    }
}
