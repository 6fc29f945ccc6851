"""The scenarios T1 to T98 of the behaviour specification, in both columns: Xen as it is, and as it should be."""
