//! The planner in a small world of its own: every rule by number, then anything at random.

mod oracles;
mod progress;
mod world;
