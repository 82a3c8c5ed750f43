//! Declaring a layout: one list of fields gives size, fingerprint, encoder and decoder.

/// A struct lies in the record field by field, in the order given here.
macro_rules! layout_struct {
    ($name:ident { $($field:ident: $ty:ty),+ $(,)? }) => {
        impl $crate::layout::Field for $name {
            const SIZE: usize = 0 $(+ <$ty as $crate::layout::Field>::SIZE)+;
            const SHAPE: u64 = {
                let hash = $crate::shape::text($crate::shape::START, stringify!($name));
                $(let hash = $crate::shape::field(
                    hash, stringify!($field), <$ty as $crate::layout::Field>::SHAPE);)+
                hash
            };
            #[inline]
            fn put(&self, out: &mut $crate::layout::Writer) {
                $($crate::layout::Field::put(&self.$field, out);)+
            }
            #[inline]
            fn take(from: &mut $crate::layout::Reader<'_>) -> Result<Self, $crate::layout::Invalid> {
                $(let $field = <$ty as $crate::layout::Field>::take(from)?;)+
                Ok(Self { $($field),+ })
            }
        }
    };
}

/// A choice: one tag byte, then the fields of that variant, then zeroes up to the longest variant.
macro_rules! layout_choice {
    ($name:ident { $($tag:literal => $variant:ident { $($field:ident: $ty:ty),* $(,)? }),+ $(,)? }) => {
        impl $crate::layout::Field for $name {
            const SIZE: usize =
                1 + $crate::layout::greatest(&[$(0 $(+ <$ty as $crate::layout::Field>::SIZE)*),+]);
            const SHAPE: u64 = {
                let hash = $crate::shape::text($crate::shape::START, stringify!($name));
                $(
                    let hash = $crate::shape::number($crate::shape::text(hash, stringify!($variant)), $tag);
                    $(let hash = $crate::shape::field(
                        hash, stringify!($field), <$ty as $crate::layout::Field>::SHAPE);)*
                )+
                hash
            };
            #[inline]
            fn put(&self, out: &mut $crate::layout::Writer) {
                let end = out.at() + <Self as $crate::layout::Field>::SIZE;
                match self {
                    $(Self::$variant { $($field),* } => {
                        $crate::layout::Field::put(&($tag as u8), out);
                        $($crate::layout::Field::put($field, out);)*
                    })+
                }
                out.zeros_to(end);
            }
            #[inline]
            fn take(from: &mut $crate::layout::Reader<'_>) -> Result<Self, $crate::layout::Invalid> {
                let end = from.at() + <Self as $crate::layout::Field>::SIZE;
                let value = match <u8 as $crate::layout::Field>::take(from)? {
                    $($tag => {
                        $(let $field = <$ty as $crate::layout::Field>::take(from)?;)*
                        Self::$variant { $($field),* }
                    })+
                    _ => return Err($crate::layout::Invalid(
                        concat!("unknown ", stringify!($name)))),
                };
                from.zeros_to(end)?;
                Ok(value)
            }
        }
    };
}

/// The records of one ring: kind number, then the fields of that variant, padded with zeroes to whole words.
macro_rules! layout_records {
    ($name:ident { $($kind:literal => $variant:ident { $($field:ident: $ty:ty),* $(,)? }),+ $(,)? }) => {
        impl $crate::record::Record for $name {
            const SHAPE: u64 = {
                let hash = $crate::shape::text($crate::shape::START, stringify!($name));
                $(
                    let hash = $crate::shape::number($crate::shape::text(hash, stringify!($variant)), $kind);
                    $(let hash = $crate::shape::field(
                        hash, stringify!($field), <$ty as $crate::layout::Field>::SHAPE);)*
                )+
                hash
            };
            const LONGEST: usize = $crate::layout::greatest(&[
                $($crate::record::whole_words(0 $(+ <$ty as $crate::layout::Field>::SIZE)*)),+
            ]);
            #[inline]
            fn encode(&self) -> $crate::record::Encoded {
                const {
                    assert!(<$name as $crate::record::Record>::LONGEST <= $crate::record::BODY);
                }
                let mut out = $crate::layout::Writer::new();
                let kind: u16 = match self {
                    $(Self::$variant { $($field),* } => {
                        $($crate::layout::Field::put($field, &mut out);)*
                        $kind
                    })+
                };
                $crate::record::Encoded::new(kind, out)
            }
            #[inline]
            fn decode(kind: u16, body: &[u8]) -> Result<Self, $crate::record::RecordFault> {
                use $crate::record::RecordFault;
                let bad = |invalid: $crate::layout::Invalid| RecordFault::Value { kind, what: invalid.0 };
                match kind {
                    $($kind => {
                        const LEN: usize = $crate::record::whole_words(
                            0 $(+ <$ty as $crate::layout::Field>::SIZE)*);
                        if body.len() != LEN {
                            return Err(RecordFault::Length { kind, found: body.len() as u16 });
                        }
                        let mut from = $crate::layout::Reader::new(body);
                        $(let $field = <$ty as $crate::layout::Field>::take(&mut from).map_err(bad)?;)*
                        from.zeros_to(LEN).map_err(bad)?;
                        Ok(Self::$variant { $($field),* })
                    })+
                    _ => Err(RecordFault::Kind(kind)),
                }
            }
        }
    };
}

pub(crate) use {layout_choice, layout_records, layout_struct};
