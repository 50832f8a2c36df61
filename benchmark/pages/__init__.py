"""What the suite's pages share: their look, tables of text, and sections of tables and pictures in one HTML file."""
