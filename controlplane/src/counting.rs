//! A closed set of counters: each with a name for the API and one sentence for operators.

/// Declares `Counter` and `Counters`, and a test that names and sentences are fit to be shown.
///
/// `/// What is counted.` stands first, then for each: variant, name, sentence.
macro_rules! counters {
    ($(#[doc = $about:literal])+ $($variant:ident $name:literal $sentence:literal)+) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(usize)]
        pub enum Counter {
            $(#[doc = $sentence] $variant,)+
        }

        impl Counter {
            /// All of them, in the order of declaration.
            pub const ALL: &[Counter] = &[$(Counter::$variant),+];

            /// Its name, in lower case with underscores.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)+ }
            }

            /// What it counts, in one sentence.
            pub const fn sentence(self) -> &'static str {
                match self { $(Counter::$variant => $sentence,)+ }
            }
        }

        /// How often each happened since the start.
        #[derive(Clone, Debug)]
        pub struct Counters([u64; Counter::ALL.len()]);

        impl Default for Counters {
            fn default() -> Self {
                Self([0; Counter::ALL.len()])
            }
        }

        impl Counters {
            /// How often this happened.
            pub fn get(&self, counter: Counter) -> u64 {
                self.0[counter as usize]
            }

            /// All of them with their counts.
            pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
                Counter::ALL.iter().map(|counter| (*counter, self.get(*counter)))
            }

            pub(crate) fn count(&mut self, counter: Counter) {
                self.add(counter, 1);
            }

            pub(crate) fn add(&mut self, counter: Counter, times: usize) {
                let value = &mut self.0[counter as usize];
                *value = value.saturating_add(times as u64);
            }
        }

        #[cfg(test)]
        mod tests {
            use std::collections::BTreeSet;

            use super::*;

            #[test]
            fn each_counter_has_a_place_a_name_and_a_sentence_of_its_own() {
                let names: BTreeSet<_> = Counter::ALL.iter().map(|counter| counter.name()).collect();
                let sentences: BTreeSet<_> = Counter::ALL.iter().map(|counter| counter.sentence()).collect();
                assert_eq!((names.len(), sentences.len()), (Counter::ALL.len(), Counter::ALL.len()));
                assert!(sentences.iter().all(|sentence| sentence.ends_with('.')));
                assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
                let mut counters = Counters::default();
                Counter::ALL.iter().zip(1..).for_each(|(counter, times)| counters.add(*counter, times));
                Counter::ALL.iter().for_each(|counter| counters.count(*counter));
                let counts: Vec<u64> = counters.iter().map(|(_, count)| count).collect();
                assert_eq!(counts, (2..2 + Counter::ALL.len() as u64).collect::<Vec<_>>());
            }
        }
    };
}

pub(crate) use counters;
