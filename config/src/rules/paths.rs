//! Paths: sockets have short names.

use crate::Paths;
use crate::code::Code;
use crate::draft::Draft;
use crate::finding::Findings;

/// A Unix socket's path has 108 bytes with its final zero (unix(7)).
const SOCKET_PATH_MAX: usize = 107;

pub(super) fn check(draft: &Draft, found: &Findings) {
    let Some(run_dir) = &draft.paths.run_dir else {
        return;
    };
    let Some(given) = &run_dir.value else { return };
    let paths = Paths { run_dir: given.clone(), ..Paths::of("") };
    let len = paths.dataplane_socket().as_os_str().len();
    if len > SOCKET_PATH_MAX {
        let text = format!(
            "the socket's path below `run_dir` would have {len} bytes; {SOCKET_PATH_MAX} are the most"
        );
        found.push(Code::BadName, &run_dir.at, text, "choose a shorter directory");
    }
}
