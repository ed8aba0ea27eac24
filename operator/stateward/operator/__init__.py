"""The reconciler: the life of a `StatefulService`, from its first member to its last backup."""
