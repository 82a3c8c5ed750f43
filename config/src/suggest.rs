//! "Did you mean".

/// The candidate that a typo most likely stands for, if any is near enough.
pub(crate) fn closest<'a>(typed: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let typed = typed.to_lowercase().replace('-', "_");
    candidates
        .iter()
        .map(|&candidate| (distance(&typed, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= allowed(candidate))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

fn distance(typed: &str, candidate: &str) -> usize {
    let candidate = candidate.replace('-', "_");
    // A singular for a plural, or a word cut short, is a typo of any length.
    let cut_short = typed.len() >= 3 && candidate.starts_with(typed);
    let run_on = candidate.len() >= 3 && typed.starts_with(candidate.as_str());
    if typed == candidate {
        0
    } else if cut_short || run_on {
        1
    } else {
        strsim::damerau_levenshtein(typed, &candidate)
    }
}

/// One wrong letter in three, at least one and at most three.
fn allowed(candidate: &str) -> usize {
    (candidate.len() / 3).clamp(1, 3)
}

#[cfg(test)]
mod test {
    use super::*;

    const KEYS: &[&str] = &["name", "side", "queues", "allow_shared", "mtu", "dscp_decap"];

    #[test]
    fn near_words_are_found() {
        for (typed, meant) in [
            ("mut", "mtu"),
            ("MTU", "mtu"),
            ("queue", "queues"),
            ("allow-shared", "allow_shared"),
            ("allow_sharde", "allow_shared"),
            ("nane", "name"),
            ("dscp", "dscp_decap"),
        ] {
            assert_eq!(closest(typed, KEYS), Some(meant), "{typed}");
        }
    }

    #[test]
    fn far_words_are_not_guessed() {
        for typed in ["colour", "x", "", "gateway", "ip"] {
            assert_eq!(closest(typed, KEYS), None, "{typed}");
        }
    }
}
