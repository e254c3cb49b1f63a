//! The policies that come with the program, as files.

/// Each preset's name with the text of its file, the usual one first.
pub const PRESETS: [(&str, &str); 3] = [
    ("default", include_str!("../presets/default.yaml")),
    ("strict", include_str!("../presets/strict.yaml")),
    ("toolchains", include_str!("../presets/toolchains.yaml")),
];
