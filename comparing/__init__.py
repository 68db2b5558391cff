"""Many runs compared: statistics, words, tables, figures and a page."""
