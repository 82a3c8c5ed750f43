//! Comparing the eight tags of a bucket at once.

/// Compares every tag with `wanted`; bit `i` of the answer is set where `tags[i]` is equal.
#[inline(always)]
pub fn match_tags(tags: &[u16; 8], wanted: u16) -> u8 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        match_tags_sse2(tags, wanted)
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    {
        match_tags_portable(tags, wanted)
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
fn match_tags_sse2(tags: &[u16; 8], wanted: u16) -> u8 {
    use core::arch::x86_64::{
        __m128i, _mm_cmpeq_epi16, _mm_loadu_si128, _mm_movemask_epi8, _mm_packs_epi16, _mm_set1_epi16,
        _mm_setzero_si128,
    };
    // SAFETY: SSE2 is guaranteed on x86-64; the load is unaligned and reads the 16 bytes that `tags` borrows.
    let lanes = unsafe { _mm_loadu_si128(tags.as_ptr().cast::<__m128i>()) };
    // SAFETY: SSE2 is guaranteed on x86-64, and these touch registers only.
    let mask = unsafe {
        let equal = _mm_cmpeq_epi16(lanes, _mm_set1_epi16(wanted.cast_signed()));
        // Narrows 0xffff to 0xff by signed saturation, so that there is one byte, and one mask bit, per tag.
        _mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()))
    };
    mask as u8
}

#[cfg(any(test, not(all(target_arch = "x86_64", not(miri)))))]
#[inline(always)]
fn match_tags_portable(tags: &[u16; 8], wanted: u16) -> u8 {
    let mut mask = 0;
    for (lane, tag) in tags.iter().enumerate() {
        mask |= u8::from(*tag == wanted) << lane;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_has_its_bit() {
        let tags = [0x8001, 2, 0x8001, 0, 0xffff, 5, 6, 0x8001];
        for form in [match_tags, match_tags_portable] {
            assert_eq!(form(&tags, 0x8001), 0b1000_0101);
            assert_eq!(form(&tags, 0), 0b0000_1000);
            assert_eq!(form(&tags, 0xffff), 0b0001_0000);
            assert_eq!(form(&tags, 7), 0);
        }
        assert_eq!(match_tags(&[9; 8], 9), 0xff);
    }

    #[test]
    fn the_two_forms_agree() {
        let mut state = 1_u64;
        for _ in 0..if cfg!(miri) { 50 } else { 20_000 } {
            // Few distinct values, so that every pattern of hits turns up; some with the sign bit.
            let tags: [u16; 8] = core::array::from_fn(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let small = (state >> 60) as u16 & 3;
                if state >> 59 & 1 == 1 { small | 0x8000 } else { small }
            });
            for wanted in [0, 1, 2, 3, 0x8000, 0x8003, 0xffff] {
                assert_eq!(
                    match_tags(&tags, wanted),
                    match_tags_portable(&tags, wanted),
                    "{tags:?} {wanted}"
                );
            }
        }
    }
}
