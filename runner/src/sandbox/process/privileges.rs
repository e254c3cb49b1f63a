//! What this process may do beyond its uid.

use std::fs;

/// Returns the effective capabilities of this process by their bits in capabilities(7); 0 where
/// they cannot be read.
pub fn effective() -> u64 {
    fs::read_to_string("/proc/self/status").map_or(0, |status| effective_in(&status))
}

/// Returns those that `status` tells, as in proc_pid_status(5).
fn effective_in(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_capabilities_are_read_among_the_others() {
        let status = "CapPrm:\t000001ffffffffff\nCapEff:\t00000000a80425fb\nCapBnd:\t0\n";
        assert_eq!(effective_in(status), 0xa804_25fb);
        assert_eq!(effective_in("Name:\tx\n"), 0);
    }
}
