"""The page of a study: one HTML file that opens with the answer."""
