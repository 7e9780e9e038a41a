"""Examples of the test sets with the answers of all schedules side by side, as pages and as CSV."""
