"""The pure engine: what is asked, whom it is about, what is wrong with it. No I/O, no clock, no client."""
