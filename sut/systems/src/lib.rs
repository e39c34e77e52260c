//! The systems under test and the sut program that runs them.
