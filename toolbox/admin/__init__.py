"""Views for operators that cross domains."""
