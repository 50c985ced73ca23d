//! What is read of a process and of the host from outside, by a program that is not being measured.
