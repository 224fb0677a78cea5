//! A checksum of files and names: FNV-1a, 64 bits, against accidents and not against an attacker. Used by `stamp` and
//! `hooks`.

/// The checksum as 16 hexadecimal digits. It is part of file names and formats: every version must give the same.
#[must_use]
pub(super) fn checksum(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_the_same_in_every_version() {
        assert_eq!(super::checksum(b"agent-console"), "f489d493251821b6");
    }
}
