//! Network namespaces, veth pairs, shaping through rtnetlink, and the user-space emulator.
