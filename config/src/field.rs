//! What a field may hold, as data.
//!
//! Each section of the file has one table of these.
//! The walker judges a file by it and `schema.json` is made from it, so the two cannot differ.

/// One TOML table: its fields and how it is written.
pub(crate) struct Section {
    /// How people call it, such as `[[port]]`.
    pub name: &'static str,
    /// One sentence on what it is.
    pub meaning: &'static str,
    pub fields: &'static [Field],
    /// Keys that a later release will know, with what they are for.
    pub reserved: &'static [(&'static str, &'static str)],
}

/// One key of a table.
pub(crate) struct Field {
    pub key: &'static str,
    pub kind: Kind,
    pub need: Need,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// A right value as TOML text, for help texts.
    pub example: &'static str,
}

/// Whether a key must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    /// Its default as TOML text.
    Default(&'static str),
    /// What its absence means.
    Optional(&'static str),
}

/// What a value must look like.
pub(crate) enum Kind {
    Bool,
    /// A range and the reason for it.
    Integer {
        min: i64,
        max: i64,
        why: &'static str,
    },
    Text(Form),
    /// One of these words; `later` lists words that a later release will know.
    Word {
        words: &'static [&'static str],
        later: &'static [&'static str],
    },
    /// A number from 0 to 1.
    Fraction,
    /// One of these words, or an integer.
    WordOr {
        words: &'static [&'static str],
        min: i64,
        max: i64,
    },
    List {
        of: &'static Kind,
        min: usize,
        max: usize,
    },
    Table(&'static Section),
    /// A prefix, or a table that says more about one.
    PrefixOr(&'static Section),
}

/// What a text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Safe in a file name.
    Name,
    /// What Linux takes as an interface's name.
    Interface,
    Address,
    Prefix,
    /// An address with the length of its subnet; host bits are welcome.
    Subnet,
    Mac,
    /// An absolute path.
    Path,
    /// A path that may begin in the config file's folder.
    File,
    /// 16 octets in hexadecimal digits, not all zero.
    XtrId,
    /// A kind of hardware, or a name of one's own for some.
    Hardware,
    /// A transport port, or the lowest and the highest of a range.
    Ports,
}

impl Section {
    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }
}

impl Kind {
    /// The kind in words, as in "must be ...".
    pub fn in_words(&self) -> String {
        match self {
            Kind::Bool => "true or false".to_owned(),
            Kind::Integer { min, max, .. } => format!("an integer from {min} to {max}"),
            Kind::Text(form) => form.in_words().to_owned(),
            Kind::Word { words, .. } => one_of(words),
            Kind::Fraction => "a number from 0 to 1".to_owned(),
            Kind::WordOr { words, min, max } => {
                format!("{}, or an integer from {min} to {max}", one_of(words))
            }
            Kind::List { of, .. } => match of {
                Kind::Table(section) => format!("a list of tables, each headed {}", section.name),
                _ => format!("a list, each entry {}", of.in_words()),
            },
            Kind::Table(section) => format!("a table, headed {}", section.name),
            Kind::PrefixOr(section) => format!("{}, or {}", Form::Prefix.in_words(), section.meaning),
        }
    }
}

impl Form {
    pub const fn in_words(self) -> &'static str {
        match self {
            Form::Name => "a name of 1 to 64 letters, digits, `-`, `_` or `.`",
            Form::Interface => "an interface name of 1 to 15 characters",
            Form::Address => "an IPv4 or IPv6 address in quotes",
            Form::Prefix => "a prefix in quotes, such as \"10.1.0.0/24\"",
            Form::Subnet => "an address with its subnet's length in quotes, such as \"10.1.0.1/16\"",
            Form::Mac => "a MAC address in quotes, such as \"02:53:54:00:00:64\"",
            Form::Path => "an absolute path in quotes",
            Form::File => "a file's path in quotes",
            Form::XtrId => "32 hexadecimal digits in quotes",
            Form::Hardware => "a name of hardware in quotes, such as \"gpu\"",
            Form::Ports => "a port in quotes, or a range such as \"8000-8100\"",
        }
    }
}

/// "`a`", "`a` or `b`", "one of `a`, `b`, `c`".
pub(crate) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [one, two] => format!("{one} or {two}"),
        many => format!("one of {}", many.join(", ")),
    }
}
