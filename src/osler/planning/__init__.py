"""Planning: what could be done for a patient, by how much it would help, and on what evidence."""
