//! A key that a site and its Map-Server share, as a file that nobody else may read.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{LabError, Result};
use crate::site::Site;

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// The file's name, beside the config that names it.
    pub file: String,
    /// Its content.
    pub secret: String,
}

impl KeyFile {
    /// The key of a site; of the lab alone, so it may stand here.
    pub fn of(site: Site) -> Self {
        Self::named(&format!("site-{}", site.letter()))
    }

    /// A key by the name of its owner.
    pub fn named(owner: &str) -> Self {
        Self { file: format!("{owner}.key"), secret: format!("the lab's secret of {owner}") }
    }

    /// Writes the file, for its owner's eyes only.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(&self.file);
        let what = || LabError::io(format!("writing {}", path.display()));
        let mut file = fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(what())?;
        file.write_all(self.secret.as_bytes()).map_err(what())
    }
}
