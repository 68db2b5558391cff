"""Playing one policy: which file and which environment, what is measured, what is filmed, drawn and exported."""
