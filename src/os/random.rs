//! A random number from the system.
//!
//! Called by the daemon, which names its state by one.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The bits that a number of JSON keeps in every reader (RFC 8259, section 6): those of a double's mantissa.
const BITS: u32 = 53;

/// A random number of 53 bits. The standard library seeds a [`RandomState`] from the system's random numbers: no secret,
/// but no two daemons draw the same.
pub(crate) fn number() -> u64 {
    RandomState::new().build_hasher().finish() >> (u64::BITS - BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_and_fit_into_a_double() {
        let numbers = [number(), number(), number()];
        assert!(numbers.iter().all(|number| *number < 1 << BITS));
        assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2]);
    }
}
