"""What came out: records, their files, and where and with what they were made (no torch)."""
