"""Stand-ins to rehearse with. Nothing here decides anything: what is rehearsed are the operator's own decisions."""
